// In a realm with nothing but the language, as the engine's is: what leans on Node's globals fails here.
import { build } from "esbuild";
import assert from "node:assert/strict";
import test from "node:test";
import vm from "node:vm";

const { outputFiles } = await build({
  stdin: {
    contents: `import { installWeb } from "./src/web/index"; globalThis.installed = installWeb(host);`,
    resolveDir: new URL("..", import.meta.url).pathname,
  },
  bundle: true,
  format: "iife",
  target: "es2023",
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  write: false,
});
const bundle = outputFiles[0].text;

const SCRIPT = `
  class DOMException extends Error {}
  globalThis.DOMException = DOMException;
  ArrayBuffer.prototype.transfer ??= function () { return this.slice(); }; // Node 20 has none
  const lines = [];
  const host = {
    now: () => 0,
    cause: () => 0,
    setCause() {},
    awaitTimers() {},
    log: (level, line) => lines.push(line),
    utf8Encode: (text) => Uint8Array.from(text, (c) => c.charCodeAt(0)).buffer,
    utf8Decode: (bytes) => String.fromCharCode(...bytes),
    utf8Valid: () => true,
    opNumber: () => 0,
    opSync: (op, href) => [href, "https:", "", "", "h", "h", "", "/", "?a=1", "", "https://h"],
  };
  ${bundle}
  (async () => {
    const out = [];
    const request = new Request("https://h/?a=1", { method: "POST", body: "a=1" });
    out.push(await request.clone().text(), new TextDecoder().decode(await request.bytes()));
    out.push(new URL("https://h/?a=1").searchParams.get("a"));
    const stream = new Response(new Uint8Array([104, 105])).body.pipeThrough(new TextDecoderStream()).pipeThrough(new TextEncoderStream());
    out.push(await new Response(stream).text());
    for await (const chunk of ReadableStream.from(["x"])) out.push(chunk);
    setTimeout((x) => console.log(x), 0, { late: true });
    while (installed.timers.runDue(0));
    const controller = new AbortController();
    AbortSignal.any([controller.signal]).onabort = (event) => out.push(event.type);
    controller.abort();
    out.push(structuredClone(new Map([[1, [2]]])).get(1)[0], lines.join());
    return JSON.stringify(out);
  })();
`;

test("the bundle needs the language only", async () => {
  assert.equal(
    await vm.runInNewContext(SCRIPT, {}),
    JSON.stringify(["a=1", "a=1", "1", "hi", "x", "abort", 2, "{ late: true }"]),
  );
});
test("the bundle is small", () => assert.ok(bundle.length < 250_000, `${bundle.length} bytes`));
