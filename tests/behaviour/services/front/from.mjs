import { RpcTarget } from "cloudflare:workers";

export async function run(env) {
    const same = (a, b) => { if (JSON.stringify(a) !== JSON.stringify(b)) throw new Error(`${JSON.stringify(a)}`); };
    same(await env.BACK.add(1, 2), 3);
    same(await env.BACK.each([1, 2], n => n * 10), [10, 20]);
    same(await (await env.BACK.fetch("https://back/echo", { method: "POST", body: "js" })).text(), "js");
    const map = await env.BACK.same(new Map([["a", new Date(5)]]));
    same(map.a?.getTime?.() ?? map.get("a").getTime(), 5);
    same(await env.BACK.version, { major: 1 });
    const counter = await env.BACK.make("js");
    same(await counter.increment(2), 2);
    same(await counter.value, 2);
    same(await counter.twin.value, 2);
    const copy = counter.dup();
    counter[Symbol.dispose]();
    await counter.increment().then(() => { throw new Error("no error") }, e => same(e.message, "The stub has been disposed of"));
    same(await copy.increment(), 3);
    class Mine extends RpcTarget {
        count = 0;
        increment(by) { return (this.count += by); }
        get double() { return this.count * 2; }
    }
    const mine = new Mine();
    same(await env.BACK.borrow(mine), 10);
    const { again } = await env.BACK.pass_on(mine);
    same([await again.increment(1), await again.double, mine.count], [11, 22, 11]);
    for (const hidden of ["count", "absent"]) {
        await again[hidden].then(() => { throw new Error(hidden) }, e => same(e.message, `Mine has no method or property "${hidden}" that another Worker could use`));
    }
    same(await env.BACK.slowly("pipelined").increment(2), 2);
    same(await env.BACK.slowly("pipelined").twin.increment(2), 2);
    same(await env.BACK.adder(1)(2), 3);
    same(await env.BACK.version.major, 1);
    const promise = env.BACK.slowly("once");
    same(await Promise.all([promise.increment(), promise.increment(), promise.value]), [1, 2, 2]);
    same(await (await promise).increment(), 3);
    await env.BACK.fail("key").anything().then(() => { throw new Error("no error") }, e => same(e.name, "KeyError"));
    await env.BACK.same(env.BACK.make("no value")).then(() => { throw new Error("no error") }, e => same(e.name, "TypeError"));
    // All that a result has is disposed of with it, as soon as it goes out of scope.
    {
        using pair = await env.BACK.pair("using");
        same(await pair.first.increment(), 1);
        using data = await env.BACK.same({ a: [1] });
        same(data, { a: [1] });
        using early = env.BACK.make("early");
    }
    for (const name of ["using 1", "using 2", "early", "pipelined"]) {
        for (let i = 0; !(await env.BACK.disposed()).includes(name); i++) {
            if (i > 300) throw new Error(`never disposed of: ${name}`);
            await new Promise(done => setTimeout(done, 10));
        }
    }
    await env.BACK.fail("key").then(() => { throw new Error("no error") }, e => same(e.name, "KeyError"));
}

async function many(env) {
    for (let i = 0; i < 2000; i++) {
        const counter = await env.BACK.make("flat");
        if (i % 10 === 0) await counter.increment();
        if (i % 10 === 1) await env.BACK.make("flat").increment();
    }
}

/** Calls without end leave nothing behind that a collector would have to look for. */
export async function flat(env) {
    const before = await env.BACK.held();
    await many(env);
    for (let i = 0; (await env.BACK.held()) > before; i++) {
        if (i > 300) throw new Error(`${await env.BACK.held()} objects are held, not ${before}`);
        await new Promise(done => setTimeout(done, 10));
    }
}
