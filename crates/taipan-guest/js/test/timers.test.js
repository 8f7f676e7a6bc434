import assert from "node:assert/strict";
import test from "node:test";
import { clock, drain, host, internals, logged, runDue, told, web } from "./support/platform.js";

const { timers } = internals;

test("in order of time, then of making", async () => {
  const order = [];
  const note = (what) => order.push(what);
  web.setTimeout(note, 20, "20");
  web.setTimeout(note, 10, "10 first");
  web.setTimeout(note, 10, "10 second");
  web.setTimeout(note, 0, "0");
  web.setTimeout(note, -5, "negative");
  web.setTimeout(note, undefined, "undefined");
  web.setTimeout(note, "5", "text");
  web.setTimeout(note, 2 ** 32, "wraps to 0");
  web.setTimeout(note, NaN, "NaN");
  assert.equal(timers.nextDue(), clock.now);
  await runDue();
  assert.deepEqual(order.splice(0), ["0", "negative", "undefined", "wraps to 0", "NaN"]);
  assert.equal(timers.nextDue(), clock.now + 5);
  clock.now += 4.9;
  await runDue();
  assert.deepEqual(order, []);
  clock.now += 15.1;
  await runDue();
  assert.deepEqual(order, ["text", "10 first", "10 second", "20"]);
  assert.equal(timers.nextDue(), undefined);
});

test("one task at a time, microtasks between", async () => {
  const order = [];
  web.setTimeout(() => {
    order.push("first");
    web.queueMicrotask(() => order.push("microtask"));
  });
  web.setTimeout(() => order.push("second"));
  assert.equal(timers.runDue(clock.now), true);
  assert.deepEqual(order, ["first"]);
  await drain();
  assert.equal(timers.runDue(clock.now), true);
  assert.equal(timers.runDue(clock.now), false);
  assert.deepEqual(order, ["first", "microtask", "second"]);
});

test("random timers come in order and cancelled ones not at all", async () => {
  // A generator with a fixed seed: every run is the same.
  let seed = 42;
  const random = (n) => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % n;
  const expected = [];
  const ran = [];
  const made = [];
  for (let i = 0; i < 2000; i++) {
    const delay = random(100);
    made.push({ id: web.setTimeout(() => ran.push(i), delay), i, delay });
    if (random(3) === 0) {
      const [gone] = made.splice(random(made.length), 1);
      web.clearTimeout(gone.id);
    }
  }
  made.sort((a, b) => a.delay - b.delay || a.i - b.i);
  expected.push(...made.map((t) => t.i));
  clock.now += 100;
  while (timers.runDue(clock.now));
  assert.deepEqual(ran, expected);
  assert.equal(timers.nextDue(), undefined);
});

test("the turn loop is told when there is something to do again", async () => {
  const order = [];
  const note = (what) => order.push(what);
  for (const _ of [1, 2]) {
    assert.equal(timers.nextDue(), undefined);
    const before = told.ofTimers;
    // It has not asked for a while, and what is made now is not older than this.
    clock.now += 50;
    web.setTimeout(note, 0, "timer");
    web.setImmediate(note, "immediate");
    web.setTimeout(note, 10, "later");
    assert.equal(told.ofTimers, before + 1);
    await runDue();
    assert.deepEqual(order.splice(0), ["timer", "immediate"]);
    assert.equal(timers.nextDue(), clock.now + 10);
    // It asks still.
    web.setImmediate(note, "another");
    assert.equal(told.ofTimers, before + 1);
    clock.now += 10;
    await runDue();
    assert.deepEqual(order.splice(0).sort(), ["another", "later"]);
  }
});

test("intervals", async () => {
  let runs = 0;
  const id = web.setInterval((by) => (runs += by), 10, 1);
  for (let i = 0; i < 3; i++) {
    clock.now += 10;
    await runDue();
  }
  assert.equal(runs, 3);
  clock.now += 1000; // what was missed is not made up for
  await runDue();
  assert.equal(runs <= 5, true);
  web.clearInterval(id);
  clock.now += 100;
  const before = runs;
  await runDue();
  assert.equal(runs, before);
  const own = web.setInterval(() => web.clearInterval(own), 0);
  await runDue();
  assert.equal(timers.nextDue(), undefined);
});

test("an interval of 0 lets the turn end", async () => {
  const id = web.setInterval(() => undefined, 0);
  await runDue();
  web.clearInterval(id);
});

test("immediates are first come, first served, and starve nobody", async () => {
  const order = [];
  web.setImmediate((x) => order.push(x), "a");
  const gone = web.setImmediate(() => order.push("gone"));
  web.setImmediate(() => order.push("b"));
  web.clearImmediate(gone);
  await runDue();
  assert.deepEqual(order.splice(0), ["a", "b"]);

  let rounds = 0;
  const again = () => {
    rounds++;
    clock.now++;
    if (!order.length) web.setImmediate(again);
  };
  web.setImmediate(again);
  web.setTimeout(() => order.push("timer"), 5);
  await runDue();
  assert.deepEqual(order, ["timer"]);
  assert.equal(rounds < 10, true);
});

test("clearing what is not there", () => {
  for (const id of [undefined, null, 0, -1, 999999, "x", {}]) {
    web.clearTimeout(id);
    web.clearInterval(id);
    web.clearImmediate(id);
  }
});

test("any of the clear functions clears", async () => {
  const fail = () => assert.fail("was cleared");
  web.clearInterval(web.setTimeout(fail));
  web.clearTimeout(web.setInterval(fail));
  web.clearTimeout(String(web.setTimeout(fail)));
  await runDue();
});

test("only functions", () => {
  for (const set of [web.setTimeout, web.setInterval, web.setImmediate, web.queueMicrotask])
    assert.throws(() => set("code"), TypeError);
});

test("an exception is reported and the next timer runs", async () => {
  logged.length = 0;
  let ran = false;
  web.setTimeout(() => {
    throw new RangeError("lost?");
  });
  web.setTimeout(() => {
    throw "a string";
  });
  web.queueMicrotask(() => {
    throw new Error("in a microtask");
  });
  web.setTimeout(() => (ran = true));
  await runDue();
  await drain();
  assert.equal(ran, true);
  const text = logged.sort().map(([level, line]) => `${level} ${line}`);
  assert.equal(text.length, 3);
  assert.match(text[0], /^4 Uncaught 'a string'/);
  assert.match(text[1], /^4 Uncaught Error: in a microtask\n/);
  assert.match(text[2], /^4 Uncaught RangeError: lost\?\n\s+at .*timers\.test\.js/);
});

test("message channels", async () => {
  const { port1, port2 } = new web.MessageChannel();
  const got = [];
  port2.postMessage("early");
  port1.onmessage = (event) => {
    got.push([event.data, event.type, event.target === port1, event instanceof web.MessageEvent]);
    web.queueMicrotask(() => got.push("microtask"));
  };
  const object = { a: [1] };
  port2.postMessage(object);
  object.a.push(2);
  assert.deepEqual(got, []);
  await runDue();
  assert.deepEqual(got, [
    ["early", "message", true, true],
    "microtask",
    [{ a: [1] }, "message", true, true],
    "microtask",
  ]);
  got.length = 0;
  port2.addEventListener("message", (event) => got.push(event.data));
  port1.postMessage(1);
  await runDue();
  assert.deepEqual(got, []); // not started
  port2.start();
  await runDue();
  assert.deepEqual(got, [1]);
  assert.throws(() => port1.postMessage(() => 1), { name: "DataCloneError" });
  port1.close();
  port2.postMessage(2);
  port1.postMessage(3);
  await runDue();
  assert.deepEqual(got, [1]);
});

test("a callback works for the request that asked for it", async () => {
  const causes = [];
  host.setCause(7);
  web.setTimeout(() => causes.push(host.cause()), 5);
  host.setCause(8);
  web.setImmediate(() => causes.push(host.cause()));
  host.setCause(9);
  clock.now += 5;
  await runDue();
  assert.deepEqual(causes, [8, 7]);
});
