// workers.Request, and how handlers are called.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker, skip } from "./harness.mjs";

const HANDLERS = {
  "async, request only": ["class", "async def fetch(self, request):"],
  "sync, request only": ["class", "def fetch(self, request):"],
  "with env and ctx": ["class", "async def fetch(self, request, env, ctx):\n        assert env is self.env and ctx is self.ctx"],
  "with env": ["class", "def fetch(self, request, env):\n        assert env.NAME == 'v'"],
  "with *args": ["class", "def fetch(self, *args):\n        request, env, ctx = args"],
  "nothing at all": ["class", "def fetch(self):\n        return Response('no request')"],
  "static": ["class", "@staticmethod\n    def fetch(request):"],
  "global": ["global", "def on_fetch(request):"],
  "global, async, all": ["global", "async def on_fetch(request, env, ctx):\n        assert env.NAME == 'v'"],
  "global, decorated": ["global", "@handler\nasync def on_fetch(request, env, ctx):\n        assert isinstance(request, Request)"],
};

for (const [name, [style, head]] of Object.entries(HANDLERS)) {
  test(`handler: ${name}`, { skip }, async () => {
    const body = `        return Response(f"{request.method} {request.url}")\n`;
    const source =
      "from workers import Request, Response, WorkerEntrypoint, handler\n" +
      (style === "class" ? `class Default(WorkerEntrypoint):\n    ${head}\n${body}` : `${head}\n${body}`);
    const worker = await Worker.start({ "entry.py": source }, { globalHandlers: style === "global", env: { NAME: "v" } });
    assert.equal(worker.failure, null);
    const { text } = await worker.fetch("/x");
    assert.equal(text, name === "nothing at all" ? "no request" : "GET http://localhost/x");
  });
}

test("an entrypoint's own constructor and one instance per request", { skip }, async () => {
  const worker = await Worker.start({
    "entry.py": `
from workers import Response, WorkerEntrypoint

class Base(WorkerEntrypoint):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.count = 0

    async def fetch(self, request):
        self.count += 1
        return Response(f"{self.count} {self.env.NAME}")

class Default(Base):
    pass
`,
  }, { env: { NAME: "v" } });
  assert.equal((await worker.fetch("/")).text, "1 v");
  assert.equal((await worker.fetch("/")).text, "1 v");
});

test("properties of a request", { skip }, async () => {
  const worker = await Worker.start({
    "entry.py": `
from http import HTTPMethod
from http.client import HTTPMessage
from collections.abc import Mapping
from workers import Request, Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        assert request.method is HTTPMethod.PUT, request.method
        assert request.url == "http://localhost/a%20b?x=1"
        headers = request.headers
        assert isinstance(headers, HTTPMessage) and isinstance(headers, Mapping)
        assert headers["X-One"] == "1" and headers.get("x-one") == "1" and "x-ONE" in headers
        assert headers["missing"] is None and headers.get("missing", "d") == "d"
        assert dict(headers) == {"x-one": "1", "content-type": "text/plain"}, dict(headers)
        assert headers.get_content_type() == "text/plain"
        assert request.cf.colo == "X" and request.cf["asn"] == 1
        assert not request.body_used
        copy = request.clone()
        assert await request.text() == "body ä" and request.body_used
        for read in (request.text, request.bytes, request.json, request.buffer, request.form_data):
            try:
                await read()
            except OSError as error:
                assert str(error) == "Body already used"
            else:
                raise AssertionError(read)
        assert await copy.bytes() == "body ä".encode()
        assert request.redirect in ("follow", "manual") and request.keepalive is False
        assert repr(request) == "<Request PUT http://localhost/a%20b?x=1>"
        assert not request.signal.aborted
        made = Request("http://localhost/", method=HTTPMethod.POST, headers={"A": "b"}, body="text")
        assert made.method == "POST" and made.headers["a"] == "b" and await made.text() == "text"
        again = Request(Request("http://localhost/z"), method="DELETE")
        assert again.url == "http://localhost/z" and again.method == "DELETE"
        return Response("ok")
`,
  });
  const options = { method: "PUT", headers: { "x-one": "1", "content-type": "text/plain" }, body: ["body ", "ä"], cf: { colo: "X", asn: 1 } };
  const { text, failure } = await worker.fetch("/a%20b?x=1", options);
  assert.equal(failure?.text, undefined);
  assert.equal(text, "ok");
});

test("bodies of requests", { skip }, async () => {
  const worker = await Worker.start({
    "entry.py": `
from workers import File, Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "json":
                return Response.json(await request.json())
            case "invalid":
                try:
                    await request.json()
                except ValueError as error:
                    return Response(type(error).__name__)
            case "bytes":
                data = await request.bytes()
                assert type(data) is bytes
                return Response(data)
            case "empty":
                assert request.body is None
                return Response(repr(await request.bytes()))
            case "blob":
                blob = await request.blob()
                return Response(f"{blob.size} {blob.content_type} {await blob.text()}")
            case "form":
                form = await request.form_data()
                file = form["file"]
                assert isinstance(file, File) and file.name == "f.txt"
                assert form.get_all("a") == ["1", "2"] and form["a"] == "1" and len(form) == 2
                assert "b" not in form and form.get("b") is None
                return Response(await file.text())
`,
  });
  const post = (path, body, type) => worker.fetch(path, { method: "POST", body, headers: type ? { "content-type": type } : {} });
  assert.equal((await post("/json", '{"a": [1, null, "ä"]}')).text, '{"a":[1,null,"ä"]}');
  assert.equal((await post("/invalid", "{")).text, "JSONDecodeError");
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
  assert.deepEqual((await post("/bytes", [bytes.subarray(0, 100_000), bytes.subarray(100_000)])).bytes, bytes);
  assert.equal((await worker.fetch("/empty")).text, "b''");
  assert.equal((await post("/blob", "data", "text/css")).text, "4 text/css data");
  const part = (head, value) => `--B\r\ncontent-disposition: form-data; ${head}\r\n\r\n${value}\r\n`;
  const form = part('name="a"', "1") + part('name="a"', "2") + part('name="file"; filename="f.txt"', "content") + "--B--\r\n";
  assert.equal((await post("/form", form, "multipart/form-data; boundary=B")).text, "content");
});

test("a request that is over can be asked for what came with it, and for nothing else", { skip }, async () => {
  const worker = await Worker.start({
    "entry.py": `
from workers import Response, WorkerEntrypoint

kept = []

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if kept:
            assert kept[0].url == "http://localhost/first"
            assert kept[0].headers["x-a"] == "b"
            try:
                await kept[0].text()
            except RuntimeError as error:
                return Response(str(error))
        kept.append(request)
        return Response("kept")
`,
  });
  assert.equal((await worker.fetch("/first", { method: "POST", body: "unread", headers: { "x-a": "b" } })).text, "kept");
  assert.match((await worker.fetch("/")).text, /^The request is over/);
});

test("the signal tells that the client has gone", { skip }, async () => {
  const worker = await Worker.start({
    "entry.py": `
import asyncio
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        signal = request.signal
        while not signal.aborted:
            await asyncio.sleep(0.005)
        return Response("gone")
`,
  });
  const id = worker.send("/");
  worker.runtime.onEvent(3, id, []);
  assert.equal((await worker.finished(id)).text, "gone");
  worker.runtime.onEvent(3, id, []);
});
