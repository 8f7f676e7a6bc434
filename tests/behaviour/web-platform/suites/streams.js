const stream = (...chunks) => new ReadableStream({
  start(c) {
    for (const chunk of chunks) c.enqueue(typeof chunk === "string" ? utf8(chunk) : chunk);
    c.close();
  },
});

test("gzip, deflate and deflate-raw, there and back", async () => {
  for (const format of ["gzip", "deflate", "deflate-raw"]) {
    const packed = await collect(stream("hello, ", "hello, ", "hello").pipeThrough(new CompressionStream(format)));
    equal(text(await collect(stream(packed).pipeThrough(new DecompressionStream(format)))), "hello, hello, hello");
    const bytes = [...packed].map(byte => Uint8Array.of(byte));
    equal(text(await collect(stream(...bytes).pipeThrough(new DecompressionStream(format)))), "hello, hello, hello");
  }
});
test("what others have compressed", async () => {
  const gzip = hex("1f8b08000000000000034bcb2fca0400ed2e3f9e04000000");
  await fails("TypeError", () => collect(stream(gzip).pipeThrough(new DecompressionStream("gzip"))));
  const expected = "expected output";
  const deflate = Uint8Array.of(120, 156, 75, 173, 40, 72, 77, 46, 73, 77, 81, 200, 47, 45, 41, 40, 45, 1, 0, 48, 173, 6, 36);
  equal(text(await collect(stream(deflate).pipeThrough(new DecompressionStream("deflate")))), expected);
  const raw = deflate.slice(2, -4);
  equal(text(await collect(stream(raw).pipeThrough(new DecompressionStream("deflate-raw")))), expected);
});
test("data that is cut or goes on is an error", async () => {
  const packed = await collect(stream("some text").pipeThrough(new CompressionStream("gzip")));
  await fails("TypeError", () => collect(stream(packed.slice(0, -3)).pipeThrough(new DecompressionStream("gzip"))));
  await fails("TypeError", () => collect(stream(packed, Uint8Array.of(0)).pipeThrough(new DecompressionStream("gzip"))));
  await fails("TypeError", () => collect(stream("no").pipeThrough(new DecompressionStream("gzip"))));
});
test("only bytes are taken, and only these formats are known", async () => {
  const writer = new CompressionStream("gzip").writable.getWriter();
  await fails("TypeError", () => writer.write("text"));
  await fails("TypeError", async () => new CompressionStream("zip"));
  await fails("TypeError", async () => new DecompressionStream());
});
test("a bomb is read in parts", async () => {
  const zeros = new Uint8Array(1 << 20);
  const packed = await collect(stream(...Array(32).fill(zeros)).pipeThrough(new CompressionStream("gzip")));
  ok(packed.length < 100_000);
  let sum = 0, largest = 0;
  for await (const chunk of stream(packed).pipeThrough(new DecompressionStream("gzip"))) {
    sum += chunk.length;
    largest = Math.max(largest, chunk.length);
  }
  equal(sum, 32 << 20);
  ok(largest < 3 << 20, `a chunk has ${largest} bytes`);
});
test("cancelling and aborting", async () => {
  const compression = new CompressionStream("gzip");
  const writer = compression.writable.getWriter();
  writer.closed.catch(() => undefined);
  await compression.readable.cancel("enough");
  await writer.write(utf8("x")).then(() => { throw new Error("it was written"); }, reason => equal(reason, "enough"));
  const other = new DecompressionStream("gzip");
  const reader = other.readable.getReader();
  reader.closed.catch(() => undefined);
  await other.writable.abort("never mind");
  await reader.read().then(() => { throw new Error("it was read"); }, reason => equal(reason, "never mind"));
});
test("more streams than there may be", async () => {
  const open = [];
  await fails("RangeError", () => {
    for (let i = 0; i < 300; i++) open.push(new CompressionStream("gzip"));
  });
  await Promise.all(open.map(each => each.readable.cancel()));
  new CompressionStream("gzip");
});
test("IdentityTransformStream and FixedLengthStream", async () => {
  equal(text(await collect(stream("a", "b").pipeThrough(new IdentityTransformStream()))), "ab");
  equal(text(await collect(stream("a", "b").pipeThrough(new FixedLengthStream(2)))), "ab");
  await fails("TypeError", () => collect(stream("a", "b").pipeThrough(new FixedLengthStream(3))));
  await fails("TypeError", () => collect(stream("a", "b").pipeThrough(new FixedLengthStream(1))));
  await fails("TypeError", async () => new FixedLengthStream(-1));
});
test("byte streams: BYOB readers, tee, and iteration", async () => {
  const bytes = new ReadableStream({
    type: "bytes",
    start(c) {
      c.enqueue(Uint8Array.of(1, 2, 3, 4, 5));
      c.close();
    },
  });
  const [a, b] = bytes.tee();
  const reader = a.getReader({ mode: "byob" });
  equal((await reader.read(new Uint8Array(2))).value, Uint8Array.of(1, 2));
  equal((await reader.read(new Uint8Array(9))).value, Uint8Array.of(3, 4, 5));
  equal((await reader.read(new Uint8Array(1))).done, true);
  const seen = [];
  for await (const chunk of b) seen.push(...chunk);
  equal(seen, [1, 2, 3, 4, 5]);
});
test("pipeTo stops at a signal, and tells both sides", async () => {
  const controller = new AbortController();
  const told = [];
  const endless = new ReadableStream({
    async pull(c) {
      await scheduler.wait(1);
      c.enqueue(1);
    },
    cancel: reason => void told.push(["source", reason]),
  });
  let count = 0;
  const sink = new WritableStream({
    write() {
      if (++count === 3) controller.abort("enough");
    },
    abort: reason => void told.push(["sink", reason]),
  });
  await endless.pipeTo(sink, { signal: controller.signal }).then(() => { throw new Error("it ended"); }, reason => equal(reason, "enough"));
  equal(told.sort(), [["sink", "enough"], ["source", "enough"]]);
});
test("ReadableStream.from, and preventClose", async () => {
  const parts = [];
  const sink = new WritableStream({ write: chunk => void parts.push(chunk), close: () => void parts.push("closed") });
  await ReadableStream.from(["a", "b"]).pipeTo(sink, { preventClose: true });
  const writer = sink.getWriter();
  await writer.write("c");
  await writer.close();
  equal(parts, ["a", "b", "c", "closed"]);
});
test("a transform holds a fast writer back", async () => {
  const transform = new TransformStream();
  const writer = transform.writable.getWriter();
  let written = 0;
  for (let i = 0; i < 5; i++) void writer.write(i).then(() => written++);
  await scheduler.wait(5);
  equal(written, 0);
  const reader = transform.readable.getReader();
  equal((await reader.read()).value, 0);
  await scheduler.wait(5);
  ok(written >= 1 && written < 5, `${written} were written`);
});
test("text streams across the boundaries of chunks", async () => {
  const snake = utf8("a🐍");
  const decoded = stream(...[...snake].map(byte => Uint8Array.of(byte))).pipeThrough(new TextDecoderStream());
  let all = "";
  for await (const part of decoded) all += part;
  equal(all, "a🐍");
  const encoded = ReadableStream.from(["\ud83d", "\udc0d"]).pipeThrough(new TextEncoderStream());
  equal(text(await collect(encoded)), "🐍");
});
test("a Blob as a stream, and a form through a stream", async () => {
  equal(text(await collect(new Blob(["ab", "cd"]).stream())), "abcd");
  const form = new FormData();
  form.append("file", new File(["content"], "name.txt", { type: "text/plain" }));
  const request = new Request("http://x/", { method: "POST", body: form });
  const through = request.body.pipeThrough(new IdentityTransformStream());
  const again = await new Response(through, { headers: { "content-type": request.headers.get("content-type") } }).formData();
  equal([again.get("file").name, await again.get("file").text()], ["name.txt", "content"]);
});
