import assert from "node:assert/strict";
import test from "node:test";
import { clock, host, internals, outcome, runDue, web } from "./support/platform.js";

const same = (what, run) =>
  test(what, () =>
    assert.deepEqual(
      outcome(() => run(web)),
      outcome(() => run(globalThis)),
    ),
  );

// ---- structuredClone ----
const VALUES = {
  primitives: () => [1, -0, NaN, "x", true, null, undefined, 12n],
  boxes: () => [Object(1), Object("x"), Object(false), Object(1n)],
  nested: () => ({ a: [1, { b: new Date(5) }], c: /x/gi, 1: 2 }),
  sparse: () => [1, , 3],
  "array with a name": () => Object.assign([1], { x: 2 }),
  map: () => new Map([[{ k: 1 }, new Set([1, { x: 1 }])]]),
  buffer: () => new Uint8Array([1, 2, 3]).buffer,
  views: () => [new Uint8Array([1, 2, 3]).subarray(1), new Float64Array([1.5]), new DataView(new ArrayBuffer(4), 1, 2)],
  "null prototype": () => Object.assign(Object.create(null), { a: 1 }),
  "object of a class": () =>
    new (class Point {
      x = 1;
      #y = 2;
      get z() {
        return this.#y;
      }
    })(),
  getter: () => ({
    get a() {
      return 5;
    },
  }),
  symbols: () => ({ [Symbol("s")]: 1, a: 2 }),
  function: () => ({ f() {} }),
  symbol: () => Symbol("s"),
  weak: () => new WeakMap(),
  promise: () => Promise.resolve(),
  "proto key": () => JSON.parse('{"__proto__": 1}'),
};
for (const [what, make] of Object.entries(VALUES)) {
  same(`structuredClone: ${what}`, ({ structuredClone }) => {
    const value = make();
    const copy = structuredClone(value);
    assert.ok(copy === null || typeof copy !== "object" || copy !== value);
    return copy;
  });
}
test("structuredClone: cycles and shared parts", () => {
  const value = { list: [], map: new Map() };
  value.self = value;
  value.list.push(value.list, value);
  value.map.set(value, value.map);
  const bytes = new Uint8Array(4);
  value.views = [bytes, new Uint8Array(bytes.buffer, 2)];
  const copy = web.structuredClone(value);
  assert.equal(copy.self, copy);
  assert.equal(copy.list[0], copy.list);
  assert.equal(copy.map.get(copy), copy.map);
  assert.equal(copy.views[0].buffer, copy.views[1].buffer);
  assert.notEqual(copy.views[0].buffer, bytes.buffer);
});
test("structuredClone: errors", () => {
  const error = new RangeError("r", { cause: { a: 1 } });
  error.extra = 1;
  const copy = web.structuredClone(error);
  assert.ok(copy instanceof RangeError);
  assert.deepEqual(
    [copy.name, copy.message, copy.cause, copy.stack, copy.extra],
    ["RangeError", "r", { a: 1 }, error.stack, undefined],
  );
  class Own extends Error {
    name = "Own";
  }
  assert.equal(Object.getPrototypeOf(web.structuredClone(new Own("x"))), Error.prototype);
  const exception = web.structuredClone(new DOMException("m", "AbortError"));
  assert.deepEqual([exception.name, exception.message, exception.code], ["AbortError", "m", 20]);
});
same("structuredClone: transfer", ({ structuredClone }) => {
  const { buffer } = new Uint8Array([1, 2, 3, 4]);
  const view = new Uint16Array(buffer, 2, 1);
  const copy = structuredClone({ buffer, view, list: [buffer] }, { transfer: [buffer] });
  return [
    buffer.byteLength,
    [...new Uint8Array(copy.buffer)],
    copy.view.byteOffset,
    copy.view.buffer === copy.buffer,
    copy.list[0] === copy.buffer,
  ];
});
test("structuredClone: transfer of streams", async () => {
  const { structuredClone, ReadableStream, TransformStream } = web;
  const collect = async (stream) => {
    const all = [];
    for await (const chunk of stream) all.push(chunk);
    return all;
  };
  const source = new ReadableStream({
    start(controller) {
      controller.enqueue({ a: 1 });
      controller.enqueue("two");
      controller.close();
    },
  });
  const { inner } = structuredClone({ inner: source }, { transfer: [source] });
  let refused;
  try {
    structuredClone(source, { transfer: [source] });
  } catch (e) {
    refused = e.name;
  }
  const doubling = new TransformStream({ transform: (chunk, controller) => controller.enqueue(chunk + chunk) });
  const moved = structuredClone(doubling, { transfer: [doubling] });
  const writer = moved.writable.getWriter();
  const writing = writer.write("x").then(() => writer.close());
  const results = [source.locked, inner !== source, await collect(inner), await collect(moved.readable)];
  await writing;
  assert.deepEqual(
    [...results, moved instanceof TransformStream, refused],
    [true, true, [{ a: 1 }, "two"], ["xx"], true, "DataCloneError"],
  );
});
test("MessagePort: a transferred port goes on where the old one was", async () => {
  const outer = new web.MessageChannel();
  const inner = new web.MessageChannel();
  inner.port1.postMessage("before");
  const arrived = new Promise((resolve) => (outer.port2.onmessage = resolve));
  outer.port1.postMessage({ port: inner.port2 }, [inner.port2]);
  await runDue();
  const event = await arrived;
  assert.equal(event.ports[0], event.data.port);
  assert.notEqual(event.data.port, inner.port2);
  const heard = [];
  const all = new Promise((resolve) => {
    event.data.port.onmessage = ({ data }) => heard.push(data) === 2 && resolve();
  });
  inner.port1.postMessage("after");
  await runDue();
  await all;
  assert.deepEqual(heard, ["before", "after"]);
  for (const port of [inner.port2, outer.port1]) {
    assert.throws(() => outer.port1.postMessage(1, [port]), { name: "DataCloneError" });
  }
  assert.throws(() => outer.port1.postMessage(inner.port1), { name: "DataCloneError" });
});
test("structuredClone: nothing moves when cloning fails", () => {
  const buffer = new ArrayBuffer(4);
  assert.throws(() => web.structuredClone({ buffer, f() {} }, { transfer: [buffer] }), { name: "DataCloneError" });
  assert.equal(buffer.byteLength, 4);
  assert.throws(() => web.structuredClone(buffer, { transfer: [buffer, buffer] }), { name: "DataCloneError" });
  assert.throws(() => web.structuredClone(1, { transfer: [{}] }), { name: "DataCloneError" });
  assert.equal(buffer.byteLength, 4);
});
test("structuredClone: blobs, and interfaces that cannot be cloned", async () => {
  const copy = web.structuredClone({ blob: new web.Blob(["x"]) });
  assert.equal(await copy.blob.text(), "x");
  for (const value of [new web.Headers(), new web.Response(), new web.URL("https://h/")]) {
    assert.throws(() => web.structuredClone(value), { name: "DataCloneError" });
  }
});

// ---- crypto, performance ----
test("crypto", () => {
  const { crypto } = web;
  const uuid = crypto.randomUUID();
  assert.match(uuid, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  assert.notEqual(uuid, crypto.randomUUID());
  const array = new Uint32Array(16);
  assert.equal(crypto.getRandomValues(array), array);
  assert.ok(array.some((x) => x > 0));
  const part = new Uint8Array(8).subarray(2, 4);
  crypto.getRandomValues(part);
  assert.deepEqual(
    [...new Uint8Array(part.buffer)].filter((_, i) => i < 2 || i > 3),
    [0, 0, 0, 0, 0, 0],
  );
  crypto.getRandomValues(new BigInt64Array(2));
  crypto.getRandomValues(new Uint8Array(65536));
  assert.throws(() => crypto.getRandomValues(new Uint8Array(65537)), { name: "QuotaExceededError" });
  for (const wrong of [new Float32Array(1), new DataView(new ArrayBuffer(1)), [], new ArrayBuffer(1)]) {
    assert.throws(() => crypto.getRandomValues(wrong), { name: "TypeMismatchError" });
  }
});
test("performance", () => {
  const start = web.performance.now();
  clock.now += 5.5;
  assert.equal(web.performance.now(), start + 5.5);
  assert.equal(web.performance.timeOrigin, host.now(0) - host.now(1));
});

// ---- streams: the ponyfill has its own tests; here only that it is what the globals are ----
test("streams", async () => {
  const upper = new web.TransformStream({ transform: (chunk, c) => c.enqueue(chunk.toUpperCase()) });
  const out = [];
  await web.ReadableStream.from(["a", "b"])
    .pipeThrough(upper)
    .pipeTo(new web.WritableStream({ write: (chunk) => void out.push(chunk) }));
  assert.deepEqual(out, ["A", "B"]);
});

// ---- how globals are defined ----
test("globals are writable, configurable and not enumerable, and named as they are", () => {
  assert.deepEqual(Object.keys(web), []);
  for (const name of Object.getOwnPropertyNames(web)) {
    const { writable, configurable, value } = Object.getOwnPropertyDescriptor(web, name);
    assert.ok(writable && configurable, name);
    if (typeof value === "function") assert.equal(value.name, name);
    if (typeof value === "function" && /^[A-Z]/.test(name)) assert.equal(value.prototype[Symbol.toStringTag], name);
  }
});
test("interfaces have the length that Web IDL says", () => {
  const one = [
    "CloseEvent",
    "CustomEvent",
    "ErrorEvent",
    "Event",
    "EventSource",
    "MessageEvent",
    "PerformanceMark",
    "PerformanceObserver",
    "PromiseRejectionEvent",
    "Request",
    "URL",
    "WebSocket",
    "fetch",
    "queueMicrotask",
    "reportError",
    "setImmediate",
    "setInterval",
    "setTimeout",
    "structuredClone",
  ];
  const streams = Object.getOwnPropertyNames(web).filter((name) => /Stream|Strategy/.test(name));
  for (const name of Object.getOwnPropertyNames(web)) {
    if (typeof web[name] !== "function" || streams.includes(name)) continue;
    assert.equal(web[name].length, name === "File" ? 2 : one.includes(name) ? 1 : 0, name);
  }
});
test("the navigator comes when it is called", () => {
  const global = {};
  assert.equal(web.navigator, undefined);
  internals.installNavigator(global);
  assert.equal(global.navigator.userAgent, "Cloudflare-Workers");
  assert.equal(global.self, global);
});
