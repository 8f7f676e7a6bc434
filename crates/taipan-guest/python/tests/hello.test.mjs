import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker, skip } from "./harness.mjs";

test("class style", { skip }, async () => {
  const worker = await Worker.start({
    "entry.py": `
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("Hello, World!")
`,
  });
  assert.equal(worker.failure, null);
  const response = await worker.fetch("/");
  assert.equal(response.status, 200);
  assert.equal(response.text, "Hello, World!");
  assert.deepEqual(response.headers, { "content-type": "text/plain;charset=UTF-8" });
  assert.equal(response.isStream, false);
});

test("global style, with JavaScript's Response", { skip }, async () => {
  const worker = await Worker.start(
    {
      "entry.py": `
from js import Headers, Response

async def on_fetch(request, env, ctx):
    if request.method == "GET":
        return Response.new(env.GREETING)
    text = await request.text()
    headers = Headers.new({"content-type": "text/html"}.items())
    headers.set("x-name", request.headers.get("x-name"))
    return Response.new(f"{request.method} {request.url} {text}", status=201, headers=headers)
`,
    },
    { globalHandlers: true, env: { GREETING: "hello" } }
  );
  assert.equal(worker.failure, null);
  assert.equal((await worker.fetch("/")).text, "hello");
  const response = await worker.fetch("/p?q", { method: "POST", headers: { "x-name": "n" }, body: ["a", "b"] });
  assert.equal(response.status, 201);
  assert.equal(response.text, "POST http://localhost/p?q ab");
  assert.equal(response.headers["x-name"], "n");
});
