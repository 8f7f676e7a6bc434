import assert from "node:assert/strict";
import test from "node:test";
import { clock, logged, outcome, runDue, web } from "./support/platform.js";

const same = (what, run) =>
  test(what, () =>
    assert.deepEqual(
      outcome(() => run(web)),
      outcome(() => run(globalThis)),
    ),
  );

same("listeners in order, each once", ({ EventTarget, Event }) => {
  const target = new EventTarget();
  const seen = [];
  const listener = (event) => seen.push(["function", event.type]);
  target.addEventListener("x", listener);
  target.addEventListener("x", listener);
  target.addEventListener("x", listener, true);
  target.addEventListener("x", { handleEvent: (event) => seen.push(["object", event.target === target]) });
  target.addEventListener("x", null);
  target.addEventListener("y", () => seen.push("wrong"));
  target.dispatchEvent(new Event("x"));
  target.removeEventListener("x", listener);
  target.dispatchEvent(new Event("x"));
  return seen;
});
test("once; changes while dispatching", () => {
  const target = new web.EventTarget();
  const seen = [];
  const late = () => seen.push("late");
  target.addEventListener("x", () => seen.push("once"), { once: true });
  target.addEventListener("x", () => {
    target.removeEventListener("x", late);
    target.addEventListener("x", () => seen.push("new"), { once: true });
  });
  target.addEventListener("x", late);
  target.dispatchEvent(new web.Event("x"));
  assert.deepEqual(seen, ["once"]);
  target.dispatchEvent(new web.Event("x"));
  assert.deepEqual(seen, ["once", "new"]); // Node 20 runs the new one at once
});
same("stopping", ({ EventTarget, Event }) => {
  const target = new EventTarget();
  const seen = [];
  target.addEventListener("x", (event) => {
    seen.push(1);
    event.stopPropagation();
  });
  target.addEventListener("x", (event) => {
    seen.push(2);
    event.stopImmediatePropagation();
  });
  target.addEventListener("x", () => seen.push(3));
  target.dispatchEvent(new Event("x"));
  return seen;
});
same("preventing", ({ EventTarget, Event }) => {
  const target = new EventTarget();
  const results = [];
  const prevent = (event) => event.preventDefault();
  target.addEventListener("x", prevent);
  for (const init of [{}, { cancelable: true }]) {
    const event = new Event("x", init);
    results.push([target.dispatchEvent(event), event.defaultPrevented]);
  }
  return results;
});
test("a passive listener prevents nothing", () => {
  const target = new web.EventTarget();
  target.addEventListener("x", (event) => event.preventDefault(), { passive: true });
  assert.equal(target.dispatchEvent(new web.Event("x", { cancelable: true })), true);
});
same("a signal removes", ({ EventTarget, Event, AbortController }) => {
  const target = new EventTarget();
  const controller = new AbortController();
  let n = 0;
  target.addEventListener("x", () => n++, { signal: controller.signal });
  target.dispatchEvent(new Event("x"));
  controller.abort();
  target.dispatchEvent(new Event("x"));
  target.addEventListener("x", () => n++, { signal: controller.signal });
  target.dispatchEvent(new Event("x"));
  return n;
});
same("during and after", ({ EventTarget, Event }) => {
  const target = new EventTarget();
  const event = new Event("x", { bubbles: true, composed: true });
  const states = [];
  const look = () => states.push([event.eventPhase, event.currentTarget === target, event.composedPath().length]);
  target.addEventListener("x", look);
  look();
  target.dispatchEvent(event);
  look();
  return [states, event.bubbles, event.composed, event.isTrusted, event.target === target];
});
same("dispatching twice at once", ({ EventTarget, Event }) => {
  const target = new EventTarget();
  const event = new Event("x");
  let inner;
  target.addEventListener("x", () => (inner = outcome(() => target.dispatchEvent(event)).threw !== undefined));
  target.dispatchEvent(event);
  return inner;
});
same("not an event", ({ EventTarget }) => new EventTarget().dispatchEvent({ type: "x" }));
same("no type", ({ Event }) => new Event());
test("constants", () => assert.deepEqual([web.Event.AT_TARGET, new web.Event("x").BUBBLING_PHASE], [2, 3]));

test("a listener that throws is reported and the next one runs", () => {
  logged.length = 0;
  const target = new web.EventTarget();
  let ran = false;
  target.addEventListener("x", () => {
    throw new Error("bad listener");
  });
  target.addEventListener("x", () => (ran = true));
  assert.equal(target.dispatchEvent(new web.Event("x")), true);
  assert.equal(ran, true);
  assert.match(logged[0][1], /^Uncaught Error: bad listener\n/);
});
test("CustomEvent and MessageEvent", () => {
  assert.deepEqual(new web.CustomEvent("x", { detail: { a: 1 } }).detail, { a: 1 });
  assert.equal(new web.CustomEvent("x").detail, null);
  const message = new web.MessageEvent("m", { data: 5, origin: "o" });
  assert.deepEqual(
    [message.data, message.origin, message.lastEventId, message.source, message.ports],
    [5, "o", "", null, []],
  );
});

// ---- abort ----
same("abort, with and without a reason", ({ AbortController }) => {
  const results = [];
  for (const reason of [undefined, null, "why", 0]) {
    const controller = new AbortController();
    const { signal } = controller;
    const events = [];
    signal.onabort = (event) => events.push(event.type, event.isTrusted, event.target === signal);
    signal.addEventListener("abort", () => events.push("listener"));
    const before = [signal.aborted, signal.reason, outcome(() => signal.throwIfAborted())];
    controller.abort(reason);
    controller.abort("again");
    const shown = signal.reason instanceof DOMException ? [signal.reason.name, signal.reason.code] : signal.reason;
    results.push([before, signal.aborted, shown, events, outcome(() => signal.throwIfAborted()).threw !== undefined]);
  }
  return results.map((r) => r.slice(0, 4));
});
same("AbortSignal.abort", ({ AbortSignal }) => [
  AbortSignal.abort().reason.name,
  AbortSignal.abort("x").reason,
  AbortSignal.abort().aborted,
]);
same("no signal of one's own", ({ AbortSignal }) => new AbortSignal());
same("AbortSignal.any", ({ AbortSignal, AbortController }) => {
  const [a, b] = [new AbortController(), new AbortController()];
  const any = AbortSignal.any([a.signal, b.signal]);
  const nested = AbortSignal.any([any]);
  const order = [];
  a.signal.addEventListener("abort", () => order.push("a", any.aborted, nested.aborted));
  any.addEventListener("abort", () => order.push("any"));
  nested.addEventListener("abort", () => order.push("nested"));
  const before = any.aborted;
  a.abort(1);
  b.abort(2);
  return [before, any.reason, nested.reason, order.filter((x) => typeof x === "string")];
});
same("AbortSignal.any of aborted ones, of none, of nonsense", ({ AbortSignal }) => [
  AbortSignal.any([AbortSignal.abort(1), AbortSignal.abort(2)]).reason,
  AbortSignal.any([]).aborted,
  outcome(() => AbortSignal.any([5])),
]);
test("a dependent signal that is listened to is not collected", async () => {
  const controller = new web.AbortController();
  let heard = 0;
  for (let i = 0; i < 100; i++) web.AbortSignal.any([controller.signal]).addEventListener("abort", () => heard++);
  globalThis.gc?.();
  controller.abort();
  assert.equal(heard, 100);
});
test("AbortSignal.timeout", async () => {
  const signal = web.AbortSignal.timeout(10);
  let event;
  signal.onabort = (e) => (event = e.type);
  await runDue();
  assert.equal(signal.aborted, false);
  clock.now += 10;
  await runDue();
  assert.deepEqual(
    [signal.aborted, signal.reason.name, signal.reason.code, event],
    [true, "TimeoutError", 23, "abort"],
  );
  assert.throws(() => web.AbortSignal.timeout(-1), TypeError);
});
