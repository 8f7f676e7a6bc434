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
    await env.BACK.fail("key").then(() => { throw new Error("no error") }, e => same(e.name, "KeyError"));
}
