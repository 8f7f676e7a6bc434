import assert from "node:assert/strict";
import test from "node:test";
import { internals, outcomeAsync, web } from "./support/platform.js";

const same = (what, run) =>
  test(what, async () =>
    assert.deepEqual(await outcomeAsync(() => run(web)), await outcomeAsync(() => run(globalThis))),
  );
const bytes = (...values) => new Uint8Array(values);
const streamOf = ({ ReadableStream }, ...chunks) =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
const READERS = ["text", "json", "arrayBuffer", "blob", "formData"];
async function read(message, how) {
  const value = await message[how]();
  if (how === "arrayBuffer") return [...new Uint8Array(value)];
  if (how === "blob") return [value.size, value.type, await value.text()];
  if (how === "formData") return [...value];
  return value;
}

const BODIES = {
  none: () => undefined,
  null: () => null,
  empty: () => "",
  text: () => "häl\ud800lo",
  "text with a mark": () => "\ufeff{}",
  json: () => '{"a":[1,2]}',
  "bad json": () => "{",
  bytes: () => bytes(0, 1, 255),
  buffer: () => bytes(65, 66).buffer,
  view: () => new DataView(bytes(1, 65, 66, 2).buffer, 1, 2),
  number: () => 5,
  object: () => ({}),
  parameters: (w) => new w.URLSearchParams({ a: "ä b", b: "2" }),
  blob: (w) => new w.Blob(["x", bytes(65)], { type: "Text/X" }),
  "blob without a type": (w) => new w.Blob(["x"]),
  stream: (w) => streamOf(w, bytes(72, 195), bytes(164)),
  "empty stream": (w) => streamOf(w),
  "stream of strings": (w) => streamOf(w, "text"),
};
for (const [what, make] of Object.entries(BODIES)) {
  for (const how of READERS) {
    same(`Response of ${what}: ${how}`, async (w) => {
      const response = new w.Response(make(w));
      const before = [response.headers.get("content-type"), response.bodyUsed];
      const result = await outcomeAsync(() => read(response, how));
      return [before, result, response.bodyUsed, await outcomeAsync(() => read(response, how))];
    });
  }
  same(`Request with ${what}`, async (w) => {
    const request = new w.Request("https://h/", { method: "POST", body: make(w), duplex: "half" });
    return [
      request.headers.get("content-type"),
      request.bodyUsed,
      await outcomeAsync(() => request.text()),
      request.bodyUsed,
    ];
  });
  same(`clones of a Response of ${what}`, async (w) => {
    const first = new w.Response(make(w), { headers: { a: "1" }, status: 201 });
    const second = first.clone();
    second.headers.set("a", "2");
    return [
      await outcomeAsync(() => first.text()),
      await outcomeAsync(() => second.text()),
      first.headers.get("a"),
      second.status,
      second.bodyUsed,
    ];
  });
  same(`body of a Response of ${what} as a stream`, async (w) => {
    const response = new w.Response(make(w));
    const { body } = response;
    if (!body) return body;
    const states = [body === response.body, response.bodyUsed, body.locked];
    const reader = body.getReader();
    const all = [];
    for (let r; !(r = await reader.read()).done;) all.push(...r.value);
    return [states, all, response.bodyUsed, await outcomeAsync(() => response.text())];
  });
}

for (const status of [
  undefined,
  0,
  99,
  100,
  101,
  199,
  200,
  201,
  204,
  205,
  304,
  404,
  599,
  600,
  999,
  "301",
  NaN,
  65736,
  -1,
  200.9,
]) {
  same(`status ${status}`, ({ Response }) => {
    const r = new Response(null, { status });
    return [r.status, r.ok];
  });
  same(`status ${status} with a body`, ({ Response }) => new Response("", { status }).status);
}
for (const statusText of [undefined, "", "Fine", "ä", "ā", "a\nb", "a\tb", "\x7f"]) {
  same(`statusText ${JSON.stringify(statusText)}`, ({ Response }) => new Response(null, { statusText }).statusText);
}
same("a content type of one's own stays", ({ Response }) =>
  new Response("x", { headers: { "Content-Type": "a/b" } }).headers.get("content-type"),
);
same("defaults", ({ Response }) => {
  const { type, url, redirected, status, ok, statusText, body, bodyUsed } = new Response();
  return { type, url, redirected, status, ok, statusText, body, bodyUsed };
});
for (const init of [undefined, null, 5, "x", {}]) same(`init ${init}`, ({ Response }) => new Response("", init).status);
same("Response.error", ({ Response }) => {
  const r = Response.error();
  return [r.type, r.status, r.ok, r.body];
});
test("the headers of Response.error cannot be changed", () => {
  assert.throws(() => web.Response.error().headers.set("a", "b"), TypeError);
});
for (const args of [
  ["https://h/x y"],
  ["https://h/", 301],
  ["https://h/", "307"],
  ["https://h/", 200],
  ["https://h/", 304],
  ["nope"],
  [],
]) {
  same(`Response.redirect(${args})`, ({ Response }) => {
    const r = Response.redirect(...args);
    return [r.status, r.headers.get("location"), r.body, r.ok];
  });
}
for (const args of [
  [{ a: 1 }],
  [null],
  ["x"],
  [undefined],
  [() => 1],
  [Symbol("s")],
  [1n],
  [[], { status: 201, headers: { "x-a": "b" } }],
  [{}, { headers: { "content-type": "a/b" } }],
  [{}, { status: 204 }],
]) {
  same(
    `Response.json(${args.map((a) => (typeof a === "object" ? JSON.stringify(a) : String(a)))})`,
    async ({ Response }) => {
      const r = Response.json(...args);
      return [r.status, r.headers.get("content-type"), await r.text()];
    },
  );
}
test("bytes() gives bytes of one's own", async () => {
  const given = bytes(1, 2, 3);
  const response = new web.Response(given);
  const copy = response.clone();
  given[0] = 9;
  const first = await response.bytes();
  first[1] = 9;
  assert.deepEqual([...(await copy.bytes())], [1, 2, 3]);
});
same("no clone of what was read", async ({ Response }) => {
  const r = new Response("x");
  await r.text();
  return r.clone();
});
same("no clone of what is being read", async ({ Response }) => {
  const r = new Response("x");
  r.body.getReader();
  return r.clone();
});
same("no body from a locked stream", (w) => {
  const s = streamOf(w, bytes(1));
  s.getReader();
  return new w.Response(s);
});
same("clones of a stream are independent", async (w) => {
  const first = new w.Response(streamOf(w, bytes(65), bytes(66)));
  const second = first.clone();
  const reader = second.body.getReader();
  const { value } = await reader.read();
  return [await first.text(), [...value], second.bodyUsed];
});
same("a body is passed on", async ({ Response }) => new Response(new Response("x").body).text());
same("a stream that fails", async ({ Response, ReadableStream }) => {
  const r = new Response(new ReadableStream({ pull: (c) => c.error(new RangeError("broken")) }));
  return r.text();
});
test("a body in one piece never becomes a stream", async () => {
  const { ReadableStream } = web;
  const response = new web.Response("text");
  assert.equal(internals.takeBody(response), "text");
  assert.equal(response.bodyUsed, true);
  assert.throws(() => internals.takeBody(response), TypeError);
  assert.deepEqual(internals.takeBody(new web.Response(bytes(1))), bytes(1));
  assert.equal(internals.takeBody(new web.Response()), null);
  const looked = new web.Response("text");
  assert.ok(looked.body instanceof ReadableStream);
  assert.equal(internals.takeBody(looked), looked.body);
});
test("body on a used body is an empty stream", async () => {
  const response = new web.Response("x");
  await response.text();
  assert.equal((await response.body.getReader().read()).done, true);
  assert.equal(response.bodyUsed, true);
});

// ---- Request ----
const REQUEST_FIELDS = [
  "method",
  "redirect",
  "cache",
  "credentials",
  "mode",
  "integrity",
  "keepalive",
  "referrerPolicy",
  "referrer",
  "destination",
  "duplex",
  "bodyUsed",
  "body",
];
for (const url of ["https://h/a/../b?c#d", "relative", "https://u:p@h/", "HTTP://H:80/", "", "data:,x"]) {
  same(`Request of ${url}`, ({ Request }) => new Request(url).url);
}
same("Request of a URL", (w) => new w.Request(new w.URL("https://h/x")).url);
same("Request of nothing", ({ Request }) => new Request());
for (const method of [
  "get",
  "Post",
  "patch",
  "PATCH",
  "delete",
  "head",
  "OPTIONS",
  "CONNECT",
  "trace",
  "a b",
  "",
  "Custom",
  "ä",
]) {
  same(`method ${method}`, ({ Request }) => new Request("https://h/", { method }).method);
  same(`method ${method} with a body`, ({ Request }) => new Request("https://h/", { method, body: "x" }).method);
}
for (const init of [
  null,
  5,
  { redirect: "manual" },
  { redirect: "nope" },
  { cache: "no-store" },
  { cache: "x" },
  { credentials: "omit" },
  { mode: "cors" },
  { mode: "x" },
  { referrerPolicy: "origin" },
  { integrity: "sha" },
  { keepalive: 1 },
  { signal: null },
  { signal: {} },
  { headers: 5 },
  { headers: null },
  { duplex: "half" },
]) {
  same(`Request init ${JSON.stringify(init)}`, ({ Request }) => {
    const made = new Request("https://h/", init);
    return Object.fromEntries(REQUEST_FIELDS.map((field) => [field, made[field]]));
  });
}
same("a Request from a Request", async ({ Request }) => {
  const first = new Request("https://h/", { method: "POST", body: "x", headers: { a: "1" }, redirect: "error" });
  const second = new Request(first);
  second.headers.set("a", "2");
  return [
    first.bodyUsed,
    second.bodyUsed,
    first.headers.get("a"),
    second.redirect,
    await second.text(),
    await outcomeAsync(() => new Request(first)),
  ];
});
same("a Request from a Request with a stream", async (w) => {
  const first = new w.Request("https://h/", { method: "POST", body: streamOf(w, bytes(65)), duplex: "half" });
  const second = new w.Request(first);
  return [first.bodyUsed, await second.text(), await outcomeAsync(() => first.text())];
});
same("a Request from a Request with another body", async ({ Request }) => {
  const first = new Request("https://h/", { method: "POST", body: "x", headers: { "content-type": "a/b" } });
  const second = new Request(first, { body: "y", method: "PUT" });
  return [first.bodyUsed, second.method, second.headers.get("content-type"), await second.text(), await first.text()];
});
same(
  "a GET from a POST",
  ({ Request }) => new Request(new Request("https://h/", { method: "POST", body: "x" }), { method: "GET" }).method,
);
same("clone of a Request", async ({ Request }) => {
  const first = new Request("https://h/", { method: "POST", body: "x", headers: { a: "1" } });
  const second = first.clone();
  second.headers.set("a", "2");
  return [await first.text(), await second.text(), first.headers.get("a"), second.method, second.url];
});
same("signals follow", ({ Request, AbortController }) => {
  const controller = new AbortController();
  const request = new Request("https://h/", { signal: controller.signal });
  const copy = request.clone();
  const again = new Request(request);
  controller.abort("why");
  return [
    request.signal === controller.signal,
    request.signal.aborted,
    copy.signal.reason,
    again.signal.aborted,
    new Request("https://h/").signal.aborted,
  ];
});
same("class strings and enumerable members", ({ Request, Response }) => [
  String(new Request("https://h/")),
  String(new Response()),
  Object.keys(Response.prototype)
    .filter((k) => !["cf", "bytes", "webSocket"].includes(k))
    .sort(),
  Object.keys(Response).sort(),
  [Request.length, Response.length, Request.name, Response.name, Response.json.length, Response.redirect.length],
]);

test("an incoming request", async () => {
  let chunks;
  const make = (signal) => {
    chunks = [bytes(72), bytes(), bytes(105)];
    return internals.makeIncomingRequest({
      method: "POST",
      url: "https://h/x",
      headers: ["Content-Type", "text/plain", "X", "1", "x", "2"],
      body: async () => chunks.shift() ?? null,
      length: 2,
      cf: { country: "X" },
      signal,
    });
  };
  const whole = make();
  assert.ok(whole instanceof web.Request);
  assert.deepEqual(
    [...whole.headers],
    [
      ["content-type", "text/plain"],
      ["x", "1, 2"],
    ],
  );
  assert.throws(() => whole.headers.set("a", "b"), TypeError);
  assert.deepEqual(
    [whole.method, whole.url, whole.bodyUsed, whole.cf.country, whole.signal.aborted],
    ["POST", "https://h/x", false, "X", false],
  );
  assert.equal(await whole.text(), "Hi");
  assert.equal(whole.bodyUsed, true);
  await assert.rejects(whole.text(), TypeError);

  const streamed = make();
  let text = "";
  for await (const chunk of streamed.body) text += String.fromCharCode(...chunk);
  assert.equal(text, "Hi");

  const cloned = make().clone();
  assert.equal(await cloned.text(), "Hi");
  assert.equal(cloned.headers.get("x"), "1, 2");
  cloned.headers.set("x", "3");

  const { signal } = new web.AbortController();
  const aborting = make(signal);
  assert.equal(aborting.signal, signal);
  const reader = aborting.body.getReader({ mode: "byob" });
  const { value } = await reader.read(new Uint8Array(1));
  assert.deepEqual([...value], [72]);
  assert.deepEqual([...(await reader.read(new Uint8Array(9))).value], [105]);
  assert.equal((await reader.read(new Uint8Array(9))).done, true);
});
test("an incoming request without a body", async () => {
  const request = internals.makeIncomingRequest({ method: "GET", url: "https://h/", headers: [], body: null });
  assert.equal(request.body, null);
  assert.equal(await request.text(), "");
  assert.equal(request.bodyUsed, false);
  assert.equal(new web.Request(request).url, "https://h/");
});
test("an incoming body that breaks off", async () => {
  const broken = () => Promise.reject(new Error("disconnected"));
  const make = () => internals.makeIncomingRequest({ method: "PUT", url: "https://h/", headers: [], body: broken });
  await assert.rejects(make().text(), /disconnected/);
  await assert.rejects(make().body.getReader().read(), /disconnected/);
});
