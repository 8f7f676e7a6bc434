test("URLPattern", async () => {
  const pattern = new URLPattern({ pathname: "/books/:id(\\d+)" });
  equal([pattern.test("https://x/books/12"), pattern.test("https://x/books/ab")], [true, false]);
  equal(pattern.exec("https://x/books/12").pathname.groups.id, "12");
  const whole = new URLPattern("https://*.example.com/:kind/*\\?q=:q");
  const match = whole.exec("https://www.example.com/a/b/c?q=d");
  equal([match.hostname.groups[0], match.pathname.groups.kind, match.pathname.groups[0], match.search.groups.q], ["www", "a", "b/c", "d"]);
  equal(new URLPattern("/foo{/:bar}?", "https://x").exec({ pathname: "/foo" , protocol: "https", hostname: "x" })?.pathname.input, "/foo");
  equal(new URLPattern({ pathname: "/A" }, { ignoreCase: true }).test({ pathname: "/a" }), true);
  equal([pattern.hasRegExpGroups, new URLPattern({ pathname: "/*" }).hasRegExpGroups], [true, false]);
  await fails("TypeError", () => new URLPattern("no-base/:x"));
  await fails("TypeError", () => new URLPattern({ pathname: "/:a/:a" }));
});
test("base64 and hex of bytes", async () => {
  equal(utf8("hi?>").toBase64(), "aGk/Pg==");
  equal(utf8("hi?>").toBase64({ alphabet: "base64url", omitPadding: true }), "aGk_Pg");
  equal(text(Uint8Array.fromBase64("aGk=")), "hi");
  equal([Uint8Array.fromHex("00ff"), Uint8Array.of(10).toHex()], [Uint8Array.of(0, 255), "0a"]);
});
test("scheduler", async () => {
  const before = performance.now();
  await scheduler.wait(15);
  ok(performance.now() - before >= 14);
  await scheduler.yield();
  await fails("TimeoutError", () => scheduler.wait(60_000, { signal: AbortSignal.timeout(5) }));
  await fails("AbortError", () => scheduler.wait(1, { signal: AbortSignal.abort() }));
});
test("AbortSignal.any and timeout", async () => {
  const controller = new AbortController();
  const any = AbortSignal.any([controller.signal, AbortSignal.timeout(60_000)]);
  controller.abort("why");
  equal([any.aborted, any.reason], [true, "why"]);
  await fails("AbortError", () => AbortSignal.abort().throwIfAborted());
});
test("performance marks and measures", async () => {
  const mark = performance.mark("a", { detail: { n: 1 } });
  equal([mark.name, mark.entryType, mark.duration, mark.detail], ["a", "mark", 0, { n: 1 }]);
  await scheduler.wait(3);
  const measure = performance.measure("m", "a");
  ok(measure.duration >= 2 && measure.startTime === mark.startTime);
  equal(performance.measure("n", { start: 1, duration: 2 }).duration, 2);
  equal(performance.getEntriesByType("measure").map(e => e.name).sort(), ["m", "n"]);
  equal(performance.getEntriesByName("a").length, 1);
  performance.clearMarks();
  performance.clearMeasures("m");
  equal(performance.getEntries().map(e => e.name), ["n"]);
  await fails("SyntaxError", () => performance.measure("x", "missing"));
});
test("structuredClone: kinds, cycles, transfer", async () => {
  const cyclic = { list: [1n, new Date(0), /x/gi, new Map([[1, new Set([2])]])], error: new RangeError("r") };
  cyclic.self = cyclic;
  const clone = structuredClone(cyclic);
  ok(clone.self === clone && clone !== cyclic && clone.error instanceof RangeError);
  equal([clone.list[0], clone.list[1].getTime(), clone.list[2].flags, [...clone.list[3].get(1)]], [1n, 0, "gi", [2]]);
  const buffer = new ArrayBuffer(8);
  const moved = structuredClone({ view: new Uint8Array(buffer, 2) }, { transfer: [buffer] });
  equal([buffer.detached, moved.view.byteOffset, moved.view.length], [true, 2, 6]);
  await fails("DataCloneError", () => structuredClone(() => 1));
  await fails("DataCloneError", () => structuredClone(Symbol()));
});
test("messages through a channel, with a port in them", async () => {
  const { port1, port2 } = new MessageChannel();
  const got = new Promise(resolve => (port2.onmessage = resolve));
  port1.postMessage({ a: [1] });
  const event = await got;
  equal([event.data, event instanceof MessageEvent], [{ a: [1] }, true]);
});
test("caches", async () => {
  const cache = await caches.open("suite");
  equal(await cache.match("http://x/a"), undefined);
  await cache.put("http://x/a#fragment", new Response("body", { headers: { "cache-control": "max-age=9", vary: "accept", "x-y": "z" } }));
  const found = await cache.match("http://x/a");
  equal([found.status, await found.text(), found.headers.get("x-y"), found.headers.get("age")], [200, "body", "z", "0"]);
  equal(await cache.match(new Request("http://x/a", { headers: { accept: "text/html" } })), undefined);
  equal(await cache.match(new Request("http://x/a", { method: "POST", body: "x" })), undefined);
  equal(await (await cache.match(new Request("http://x/a", { method: "HEAD" }))).text(), "");
  equal(await caches.default.match("http://x/a"), undefined);
  await fails("TypeError", () => cache.put(new Request("http://x/", { method: "POST" }), new Response("")));
  await fails("TypeError", () => cache.put("http://x/", new Response("", { headers: { vary: "*" } })));
  await fails("TypeError", () => cache.put("http://x/", new Response("", { status: 206 })));
  await fails("TypeError", () => new Cache());
  equal([await cache.delete("http://x/a"), await cache.delete("http://x/a")], [true, false]);
});
test("EventSource over a stream that is there", async () => {
  const parts = ["\ufeff: comment\r\nretry: 5\r\nid: 7\r\nda", "ta: one\rdata:  two\n\n", "event: named\ndata\n\ndata: cut off"];
  const source = EventSource.from(ReadableStream.from(parts.map(utf8)));
  equal([source.readyState, source.url], [EventSource.CONNECTING, null]);
  const seen = [];
  source.onmessage = event => seen.push([event.type, event.data, event.lastEventId]);
  source.addEventListener("named", event => seen.push([event.type, event.data, event.lastEventId]));
  await new Promise(resolve => (source.onerror = resolve));
  equal(seen, [["message", "one\n two", "7"], ["named", "", "7"]]);
  equal(source.readyState, EventSource.CLOSED);
  await fails("TypeError", () => EventSource.from("text"));
  await fails("SyntaxError", () => new EventSource("no url"));
});
test("the globals that Workers have", async () => {
  const names = `AbortController AbortSignal Blob Cache CacheStorage CloseEvent CompressionStream Crypto CryptoKey CustomEvent DOMException
    DecompressionStream ErrorEvent Event EventSource EventTarget ExtendableEvent File FixedLengthStream FormData HTMLRewriter Headers
    IdentityTransformStream MessageChannel MessageEvent MessagePort Navigator PerformanceObserver PromiseRejectionEvent ReadableStream
    ServiceWorkerGlobalScope
    ReadableStreamBYOBReader ReadableStreamDefaultReader Request Response SubtleCrypto TextDecoder TextDecoderStream TextEncoder
    TextEncoderStream TransformStream URL URLPattern URLSearchParams WebSocket WebSocketPair WorkerGlobalScope WritableStream
    WritableStreamDefaultWriter atob btoa caches clearInterval clearTimeout console crypto fetch navigator performance queueMicrotask
    reportError scheduler self setInterval setTimeout structuredClone WebAssembly addEventListener removeEventListener dispatchEvent`;
  equal(names.split(/\s+/).filter(name => typeof globalThis[name] === "undefined"), []);
  equal([self === globalThis, navigator.userAgent, Object.keys(globalThis).includes("URL")], [true, "Cloudflare-Workers", false]);
});
test("structuredClone moves streams and ports", async () => {
  const stream = new Response("moved").body;
  const { port1, port2 } = new MessageChannel();
  const copy = structuredClone({ stream, port: port2 }, { transfer: [stream, port2] });
  equal([stream.locked, await new Response(copy.stream).text()], [true, "moved"]);
  const heard = new Promise((resolve) => (copy.port.onmessage = ({ data }) => resolve(data)));
  port1.postMessage({ n: 1 });
  equal(await heard, { n: 1 });
  const socket = new WebSocketPair()[0];
  const handler = () => undefined;
  socket.onmessage = handler;
  equal([socket.onmessage === handler, socket.onclose], [true, null]);
  await fails("TypeError", () => Object.getOwnPropertyDescriptor(WebSocket.prototype, "onopen").set.call({}, handler));
});
test("observers of marks and measures", async () => {
  performance.clearMarks();
  performance.mark("old");
  const seen = [];
  const observer = new PerformanceObserver((list, self) => seen.push([list.getEntries().map(e => e.name), self === observer]));
  observer.observe({ type: "mark", buffered: true });
  performance.mark("new");
  performance.measure("not asked for");
  await scheduler.wait(1);
  equal(seen, [[["old", "new"], true]]);
  performance.mark("taken");
  equal(observer.takeRecords().map(e => e.name), ["taken"]);
  observer.disconnect();
  performance.mark("unseen");
  await scheduler.wait(1);
  equal(seen.length, 1);
  equal([...PerformanceObserver.supportedEntryTypes], ["mark", "measure"]);
  await fails("TypeError", () => observer.observe({}));
  await fails("TypeError", () => new PerformanceObserverEntryList());
  await fails("TypeError", () => navigator.sendBeacon("file:///x"));
  equal(self instanceof ServiceWorkerGlobalScope, true);
});
test("what Workers had before the standards", async () => {
  const headers = new Headers([["set-cookie", "a=1"], ["set-cookie", "b=2"]]);
  equal(headers.getAll("Set-Cookie"), ["a=1", "b=2"]);
  await fails("TypeError", () => headers.getAll("accept"));
  const bytes = new ReadableStream({ type: "bytes", start: c => [1, 2, 3].forEach(byte => c.enqueue(Uint8Array.of(byte))) });
  const { value } = await bytes.getReader({ mode: "byob" }).readAtLeast(3, new Uint8Array(8));
  equal(value, Uint8Array.of(1, 2, 3));
  equal([console.profile(), console.profileEnd(), console.timeStamp("x")], [undefined, undefined, undefined]);
});
