// Evaluates to an object of cases; each gets the addresses of the upstream server.
const same = (a, b) => { if (a !== b) throw new Error(`expected ${b}, got ${a}`); };
const rejection = async (promise) => {
  try { await promise; } catch (e) { return e; }
  throw new Error("expected a rejection");
};
const message = async (promise) => {
  const e = await rejection(promise);
  return `${e.name}: ${e.message}`;
};
const echo = async (url, init) => {
  const seen = await (await fetch(url, init)).json();
  seen.header = (name) => seen.headers.filter(([n]) => n === name).map(([, v]) => v).join("; ");
  return seen;
};
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const counts = async ({ up }) => (await fetch(`${up}/counts`)).json();
const until = async (what, check) => {
  for (let i = 0; i < 500; i++) {
    if (await check()) return;
    await wait(20);
  }
  throw new Error(`still not: ${what}`);
};

({
  async basics({ up }) {
    const response = await fetch(`${up}/bytes/5#part`);
    same(response instanceof Response, true);
    const { status, ok, statusText, url, redirected, type, bodyUsed } = response;
    const body = [...new Uint8Array(await response.arrayBuffer())];
    same(url, `${up}/bytes/5`);
    same(response.bodyUsed, true);
    same((await rejection(response.text())).name, "TypeError");
    same((await rejection((async () => response.headers.set("a", "b"))())).name, "TypeError");
    const missing = await fetch(new URL(`${up}/status/404`));
    same(missing.body, null);
    return { status, ok, statusText, redirected, type, bodyUsed, body, length: response.headers.get("content-length"), missing: [missing.status, missing.ok, await missing.text()] };
  },

  async headers({ up }) {
    const seen = await echo(`${up}/echo?q=ä#part`, { method: "PUT", body: "hällo", headers: [["User-Agent", "mine/1"], ["X-A", "1"], ["x-a", "2"], ["Host", "forged"], ["Connection", "close"], ["Accept-Encoding", "identity"]] });
    same(seen.header("host"), new URL(up).host);
    const plain = await echo(`${up}/echo`);
    same(/^taipan\//.test(plain.header("user-agent")), true);
    const posted = await echo(`${up}/echo`, { method: "POST" });
    return { method: seen.method, uri: seen.uri, version: seen.version, agent: seen.header("user-agent"), a: seen.header("x-a"), type: seen.header("content-type"), size: seen.size, body: seen.body, connection: seen.header("connection"), encoding: seen.header("accept-encoding"), defaults: [plain.header("accept"), plain.header("accept-encoding")], empty: posted.header("content-length") };
  },

  async bodies({ up }) {
    const send = async (body, more) => (await echo(`${up}/echo`, { method: "POST", body, duplex: "half", ...more }));
    const form = new FormData();
    form.set("a", "b");
    const stream = (...chunks) => new ReadableStream({ start(c) { chunks.forEach((x) => c.enqueue(x)); c.close(); } });
    const text = new TextEncoder();
    const streamed = await send(stream(text.encode("one "), text.encode("two")));
    const echoed = await send((await fetch(`${up}/bytes/100000`)).body);
    return {
      bytes: (await send(new Uint8Array([65, 66]))).body,
      blob: (await send(new Blob(["x"], { type: "a/b" }))).header("content-type"),
      params: (await send(new URLSearchParams({ a: "ä" }))).body,
      form: (await send(form)).header("content-type").slice(0, 30),
      request: (await (await fetch(new Request(`${up}/echo`, { method: "POST", body: "in a request" }))).json()).body,
      streamed: [streamed.body, streamed.header("transfer-encoding"), streamed.header("content-length")],
      echoed: echoed.size,
      wrong: await message(send(stream("text"))),
      broken: await message(send(new ReadableStream({ start(c) { c.enqueue(text.encode("a")); c.error(new RangeError("mine")); } }))),
    };
  },

  // A stream that is never read by the server must not be pulled for ever.
  async backpressure({ up }) {
    let pulled = 0;
    const controller = new AbortController();
    const body = new ReadableStream({ pull(c) { pulled++; c.enqueue(new Uint8Array(65536)); } });
    const sending = fetch(`${up}/never/head`, { method: "POST", body, duplex: "half", signal: controller.signal });
    sending.catch(() => undefined);
    await until("pulled", () => pulled > 2);
    let before;
    do { before = pulled; await wait(300); } while (pulled !== before);
    controller.abort();
    same((await rejection(sending)).name, "AbortError");
    return { bounded: pulled < 1000 };
  },

  async streaming({ up }) {
    const response = await fetch(`${up}/drip/5/20`);
    const chunks = [];
    for await (const chunk of response.body) chunks.push(new TextDecoder().decode(chunk).trim());
    const [a, b] = (await fetch(`${up}/bytes/200000`)).body.tee();
    const sizes = await Promise.all([a, b].map(async (s) => (await new Response(s).arrayBuffer()).byteLength));
    const clone = (await fetch(`${up}/drip/2/1`)).clone();
    return { chunks, sizes, clone: await clone.text() };
  },

  async redirects({ up, tls }) {
    const to = (status, path, init) => fetch(`${up}/redirect/${status}?to=${encodeURIComponent(path)}`, init);
    const body = { method: "POST", body: "again", headers: { authorization: "secret", cookie: "c", "content-type": "a/b", "x-kept": "1" } };
    const list = async (status, path = "/echo") => {
      const r = await to(status, path, body);
      const s = await r.json();
      const has = (n) => s.headers.some(([name]) => name === n);
      return [s.method, s.body, has("content-type"), has("authorization"), has("cookie"), has("x-kept"), r.redirected];
    };
    const followed = await to(302, "/redirect/301?to=/bytes/3#end");
    same(followed.url, `${up}/bytes/3`);
    const manual = await to(302, "/x", { redirect: "manual" });
    const other = up.replace("127.0.0.1", "localhost");
    return {
      303: await list(303), 302: await list(302), 307: await list(307), 308: await list(308),
      other: await list(307, `${other}/echo`), secure: await list(307, `${tls}/echo`),
      without: [(await fetch(`${up}/redirect/302`)).status, (await fetch(`${up}/redirect/304?to=/x`)).status],
      manual: [manual.status, manual.headers.get("location"), manual.redirected],
      error: await message(to(301, "/x", { redirect: "error" })),
      loop: await message(fetch(`${up}/loop`)),
      scheme: await message(to(302, "ftp://host/")),
      stream: await message(to(307, "/echo", { method: "POST", duplex: "half", body: new ReadableStream({ start(c) { c.enqueue(new Uint8Array(1)); c.close(); } }) })),
    };
  },

  async secure({ tls, untrusted, up }) {
    const seen = await echo(`${tls}/echo`, { method: "POST", body: "over TLS" });
    const before = (await counts({ up })).connections;
    await Promise.all(Array.from({ length: 20 }, async () => same((await fetch(`${tls}/bytes/100000`).then((r) => r.arrayBuffer())).byteLength, 100000)));
    same((await counts({ up })).connections - before <= 1, true);
    return { version: seen.version, body: seen.body, untrusted: await message(fetch(untrusted)) };
  },

  async connections({ up }) {
    const before = (await counts({ up })).connections;
    for (let i = 0; i < 10; i++) await (await fetch(`${up}/bytes/10`)).text();
    return { added: (await counts({ up })).connections - before };
  },

  async aborts({ up }) {
    const aborted = AbortSignal.abort();
    const results = { before: await message(fetch(up, { signal: aborted })) };
    const controller = new AbortController();
    const head = fetch(`${up}/never/head`, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error("my reason")), 20);
    results.head = await message(head);
    results.timeout = await message(fetch(`${up}/never/head`, { signal: AbortSignal.timeout(30) }));

    const { abandoned } = await counts({ up });
    const second = new AbortController();
    const body = await fetch(`${up}/never/body`, { signal: second.signal });
    const reader = body.body.getReader();
    results.first = new TextDecoder().decode((await reader.read()).value);
    setTimeout(() => second.abort(), 20);
    results.body = await message(reader.read());
    await (await fetch(`${up}/never/body`)).body.cancel();
    const third = (await fetch(`${up}/never/body`)).body.getReader();
    await third.read();
    const pending = third.read();
    await third.cancel();
    results.cancelled = (await pending).done;
    // Nobody holds the response: its connection is let go.
    await fetch(`${up}/never/body`);
    await until("abandoned", async () => (await counts({ up })).abandoned >= abandoned + 4);
    return results;
  },

  async decoding({ up, tls }) {
    const results = {};
    const text = await (await fetch(`${up}/encoded/identity`)).text();
    for (const name of ["gzip", "deflate", "br", "zstd", "gzip,br"]) {
      const response = await fetch(`${up}/encoded/${name}`);
      results[name] = [(await response.text()) === text, response.headers.get("content-encoding"), response.headers.get("content-length")];
    }
    results.http2 = (await (await fetch(`${tls}/encoded/br`)).text()) === text;
    const raw = await fetch(`${up}/encoded/gzip`, { encodeResponseBody: "manual" });
    results.raw = [[...new Uint8Array(await raw.arrayBuffer()).slice(0, 2)], raw.headers.get("content-encoding")];
    results.unknown = (await (await fetch(`${up}/lie/compress`)).text()) === text;
    results.lie = await message(fetch(`${up}/lie/gzip`).then((r) => r.text()));
    const bomb = (await fetch(`${up}/bomb`)).body.getReader();
    let size = 0;
    for (let part; !(part = await bomb.read()).done; ) size += part.value.length;
    results.bomb = size;
    return results;
  },

  async failures({ bad, up }) {
    return {
      refused: await message(fetch(`http://127.0.0.1:1/`)),
      name: (await message(fetch("http://no-such-host.invalid/"))).startsWith("TypeError: cannot resolve the host: no-such-host.invalid: "),
      url: await message(fetch("/relative")),
      scheme: await message(fetch("ftp://host/")),
      method: await message(fetch(up, { method: "CONNECT" })),
      get: await message(fetch(up, { body: "x" })),
      garbage: await message(fetch(`${bad}/garbage`)),
      nothing: await message(fetch(`${bad}/nothing`)),
      flood: (await message(fetch(`${bad}/flood`))).slice(0, 44),
      headers: (await message(fetch(`${up}/header-flood`))).slice(0, 44),
      truncated: await message(fetch(`${bad}/truncated`).then((r) => r.text())),
      chunk: await message(fetch(`${bad}/truncated-chunk`).then((r) => r.text())),
    };
  },

  // What servers do that is not nice, and that every client puts up with.
  async tolerance({ bad }) {
    const text = async (path, init) => (await fetch(`${bad}/${path}`, init)).text();
    const folded = await fetch(`${bad}/folded`);
    const early = await fetch(`${bad}/early`, { method: "POST", body: new Uint8Array(4_000_000) });
    const again = [];
    // The second finds a connection that the server ends instead of answering.
    for (let i = 0; i < 4; i++) again.push(await text("once"));
    // What is not to be done twice is not sent twice. Whether a connection is used again is up to the pool.
    let post;
    for (let i = 0; i < 50 && !post; i++) {
      await wait(10);
      post = await text("once", { method: "POST", body: "x" }).then(() => undefined, (e) => `${e.name}: ${e.message}`.slice(0, 46));
    }
    return {
      hints: await text("early-hints"), folded: [folded.headers.get("x-folded"), await folded.text()], close: await text("until-close"),
      deflate: await text("deflate"), filled: await text("gzip-filled"), twice: await text("gzip-twice"),
      early: [early.status, await early.text()],
      again,
      post,
    };
  },

  async socket({ self }) {
    const response = await fetch(`${self}/socket`, { headers: { Upgrade: "websocket" } });
    const socket = response.webSocket;
    const heard = new Promise((done) => socket.addEventListener("message", (e) => done(e.data)));
    socket.accept();
    socket.send("hello");
    const text = await heard;
    socket.close(1000);
    return { status: response.status, text };
  },
});
