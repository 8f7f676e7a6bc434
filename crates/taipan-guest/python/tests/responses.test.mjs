// workers.Response and everything that can be a body.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker, skip } from "./harness.mjs";

/** Each function of the module is a path. */
const start = (imports, body) =>
  Worker.start({
    "entry.py": `
from js import console
from workers import *
${imports}
${body}

class Default(WorkerEntrypoint):
    def fetch(self, request):
        return globals()[request.url.rsplit("/", 1)[1]]()
`,
  });

test("bodies", { skip }, async () => {
  const worker = await start(
    "from js import Array, ArrayBuffer, Uint8Array, URLSearchParams, ReadableStream\nimport js\nfrom pyodide.code import run_js",
    `
def none(): return Response()
def empty(): return Response("")
def text(): return Response("ä 🐍 \\0 end")
def surrogate(): return Response("a\\ud800b")
def bytes_(): return Response(bytes(range(256)))
def utf8(): return Response("\\ufeffä 🐍 \\0".encode())
def large(): return Response("ä".encode() * 100_000)
def bytearray_(): return Response(bytearray(b"mutable"))
def view(): return Response(memoryview(b"_view_")[1:-1])
def buffer(): return Response(run_js("new Uint8Array([104, 105]).buffer"))
def array(): return Response(run_js("new Uint8Array([104, 105])"))
def blob(): return Response(Blob(["a", b"b"], content_type="text/css"))
def jsblob(): return Response(Blob("abc").js_object)
def params(): return Response(URLSearchParams.new("a=1&b=2"))
def stream(): return Response(run_js("new Blob(['stre', 'am']).stream()"))
def jsresponse(): return Response(js.Response.new("inner", status=201))
def rewrapped(): return Response(js.Response.new("inner", status=201), status=202)
def raw(): return js.Response.new("raw", status=203)
def form():
    form = FormData({"a": "1"})
    form.append("f", b"data", filename="n.txt")
    return Response(form)
def json(): return Response.json({"a": [1, None, "ä"]}, status=201)
def from_json(): return Response.from_json([], headers={"Content-Type": "x/y"})
def redirect(): return Response.redirect("http://h/ä b", 301)
def replaced(): return Response("old", status=404, headers={"X": "y"}).replace_body("new")
async def read():
    assert await Response("t").text() == "t"
    assert await Response(b"b").bytes() == b"b"
    assert await Response('{"a": 1}').json() == {"a": 1}
    assert await Response(b"b").buffer()
    assert (await Response("blob").blob()).size == 4
    assert await Response("x").clone().text() == "x"
    assert (await Response(FormData({"a": "1"})).form_data())["a"] == "1"
    r = Response("x")
    assert not r.body_used
    await r.text()
    assert r.body_used
    try:
        await r.text()
    except OSError as e:
        return Response(str(e))
`
  );
  assert.equal(worker.failure, null);
  const get = async path => {
    const response = await worker.fetch(`/${path}`);
    assert.equal(response.failure, null, response.failure?.text);
    return response;
  };
  const none = await get("none");
  assert.deepEqual([none.status, none.text, none.headers, none.chunks.length], [200, "", {}, 0]);
  assert.equal((await get("empty")).headers["content-type"], "text/plain;charset=UTF-8");
  assert.equal((await get("text")).text, "ä 🐍 \0 end");
  assert.equal((await get("surrogate")).text, "a\ufffdb");
  assert.deepEqual([...(await get("bytes_")).bytes], Array.from({ length: 256 }, (_, i) => i));
  assert.deepEqual((await get("utf8")).bytes, Buffer.from("\ufeffä 🐍 \0"));
  assert.deepEqual((await get("utf8")).headers, {});
  assert.deepEqual((await get("large")).bytes, Buffer.from("ä".repeat(100_000)));
  assert.equal((await get("bytearray_")).text, "mutable");
  assert.equal((await get("view")).text, "view");
  for (const path of ["buffer", "array"]) assert.equal((await get(path)).text, "hi");
  const blob = await get("blob");
  assert.deepEqual([blob.text, blob.headers["content-type"]], ["ab", "text/css"]);
  assert.equal((await get("jsblob")).text, "abc");
  assert.equal((await get("params")).text, "a=1&b=2");
  const stream = await get("stream");
  assert.deepEqual([stream.text, stream.isStream, stream.closed], ["stream", true, true]);
  const inner = await get("jsresponse");
  assert.deepEqual([inner.status, inner.text], [201, "inner"]);
  assert.equal((await get("rewrapped")).status, 202);
  assert.equal((await get("raw")).status, 203);
  const form = await get("form");
  assert.match(form.headers["content-type"], /^multipart\/form-data; ?boundary=/);
  assert.match(form.text, /name="f"; filename="n.txt"[^]*data/);
  const json = await get("json");
  assert.deepEqual([json.status, json.text, json.headers["content-type"]], [201, '{"a":[1,null,"ä"]}', "application/json"]);
  assert.deepEqual((await get("from_json")).headers, { "content-type": "x/y" });
  const redirect = await get("redirect");
  assert.deepEqual([redirect.status, redirect.headers.location], [301, "http://h/%C3%A4%20b"]);
  const replaced = await get("replaced");
  assert.deepEqual([replaced.status, replaced.text, replaced.headers.x], [404, "new", "y"]);
  assert.equal((await get("read")).text, "Body already used");
});

test("status and headers", { skip }, async () => {
  const worker = await start(
    "import js\nfrom http import HTTPStatus",
    `
def status(): return Response("x", status=HTTPStatus.IM_A_TEAPOT, status_text="Teapot")
def mapping(): return Response("x", headers={"X-A": "1", "x-b": 2, "Content-Type": "text/html"})
def pairs(): return Response("x", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
def jsheaders(): return Response("x", headers=js.Headers.new([["a", "1"]]))
def own(): return Response("x", headers=Headers({"a": "1"}))
def changed():
    response = Response("x", headers={"a": "1"})
    headers = response.headers
    headers["A"] = "2"
    headers.append("b", "3")
    headers.append("b", "4")
    assert response.headers["b"] == "3" and headers.get_all("b") == ["3", "4"]
    return response
def changed_after_js():
    response = Response("x", headers={"a": "1", "c": "3"})
    headers = response.headers
    assert response.js_object.headers.get("a") == "1"
    headers["A"] = "2"
    del headers["c"]
    response.headers.append("b", "4")
    assert response.js_object.headers.get("a") == "2"
    assert response.js_object is response.js_response
    return response
def properties():
    r = Response("x", status=404, status_text="No", headers={"a": "b"})
    assert (r.status, r.status_text, r.ok, r.url, r.redirected, r.type) == (404, "No", False, "", False, "default")
    assert Response().ok and repr(r) == "<Response 404>"
    js_twin = r.js_object
    assert (r.status, r.status_text, r.ok, r.headers["a"]) == (404, "No", False, "b")
    assert isinstance(r, FetchResponse)
    try:
        r.raise_for_status()
    except OSError as e:
        return Response(str(e))
`
  );
  const get = async path => {
    const response = await worker.fetch(`/${path}`);
    assert.equal(response.failure, null, response.failure?.text);
    return response;
  };
  const status = await get("status");
  assert.deepEqual([status.status, status.statusText], [418, "Teapot"]);
  assert.deepEqual((await get("mapping")).headers, { "x-a": "1", "x-b": "2", "content-type": "text/html" });
  assert.deepEqual((await get("pairs")).pairs.filter(([name]) => name === "set-cookie"), [["set-cookie", "a=1"], ["set-cookie", "b=2"]]);
  assert.equal((await get("jsheaders")).headers.a, "1");
  assert.equal((await get("own")).headers.a, "1");
  assert.deepEqual((await get("changed")).pairs.slice(-3), [["a", "2"], ["b", "3"], ["b", "4"]]);
  const changed = await get("changed_after_js");
  assert.deepEqual([changed.headers.a, changed.headers.b, changed.headers.c], ["2", "4", undefined]);
  assert.match((await get("properties")).text, /^404 /);
});

test("what cannot be a response", { skip }, async () => {
  const cases = {
    'Response({"a": 1})': "TypeError: Unsupported type in Response: dict; use Response.json(…) to send it as JSON",
    "Response(object())": "TypeError: Unsupported type in Response: object",
    "Response(5)": "TypeError: Unsupported type in Response: int",
    'Response(js.Date.new())': "TypeError: Unsupported type in Response: Date",
    'Response("x", status=204)': "TypeError: A response with status 204 has no body",
    'Response("x", status=99)': "ValueError: A response's status is from 200 to 599: 99",
    'Response("x", status="ok")': "ValueError: invalid literal for int() with base 10: 'ok'",
    'Response("x", headers={"a b": "c"})': "ValueError: Not a header's name: 'a b'",
    'Response("x", headers={"a": "b\\r\\nc: d"})': "ValueError: The value of header 'a' has a character that cannot be sent: '\\r'",
    'Response("x", headers={"a": "🐍"})': "ValueError: The value of header 'a' has a character that cannot be sent: '🐍'",
    'Response("x", headers={"a": ["b"]})': "TypeError: The value of header 'a' is a str, not list",
    'Response("x", headers=["ab"])': "TypeError: Headers are made from a mapping or from pairs of name and value: 'ab'",
    'Response("x", status_text="a\\nb")': "ValueError: The status text has a character that cannot be sent: '\\n'",
    "Response.json({1, 2})": "TypeError: Object of type set is not JSON serializable",
    'Response.redirect("http://h/", 200)': "ValueError: Not a redirect's status: 200",
    'Response.redirect("nonsense")': "TypeError: Invalid URL",
  };
  const worker = await start("import js", Object.keys(cases).map((code, i) => `def c${i}(): return ${code}\n`).join(""));
  for (const [i, [code, expected]] of Object.entries(cases).entries()) {
    const { failure } = await worker.fetch(`/c${i}`);
    assert.ok(failure, code);
    assert.equal(`${failure.type}: ${failure.message}`.replace(/(Invalid URL).*/, "$1"), expected);
    const own = failure.frames.filter(frame => frame.user);
    assert.deepEqual(own.map(frame => frame.function), ["fetch", `c${i}`]);
    assert.equal(own.at(-1).file, "entry.py");
  }
});

test("streams go with backpressure and end in order", { skip }, async () => {
  const worker = await start(
    "import asyncio\nfrom js import TransformStream, TextEncoder\nfrom pyodide.code import run_js",
    `
def chunks():
    stream = TransformStream.new()
    async def produce():
        writer = stream.writable.getWriter()
        for i in range(3):
            await asyncio.sleep(0.001)
            await writer.write(TextEncoder.new().encode(f"{i} "))
        await writer.close()
    wait_until(produce())
    return Response(stream.readable)
def strings(): return Response(run_js("new ReadableStream({ start(c) { c.enqueue('text'); c.close(); } })"))
def numbers(): return Response(run_js("new ReadableStream({ start(c) { c.enqueue(5); c.close(); } })"))
def breaks(): return Response(run_js("new ReadableStream({ pull(c) { c.error(new Error('broken')); } })"))
def endless(): return Response(run_js("globalThis.cancelled = undefined; new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(10)); }, cancel(r) { globalThis.cancelled = String(r); } })"))
def used():
    import js
    response = js.Response.new("x")
    response.text()
    return response
`
  );
  const chunks = await worker.fetch("/chunks");
  assert.deepEqual(chunks.chunks.map(String), ["0 ", "1 ", "2 "]);
  assert.equal(chunks.closed, true);
  const { error } = console;
  const logged = [];
  console.error = (...args) => logged.push(args.join(" "));
  try {
    const numbers = await worker.fetch("/numbers");
    assert.match(numbers.aborted, /neither bytes nor a string/);
    assert.equal(numbers.closed, undefined);
    assert.match((await worker.fetch("/breaks")).aborted, /Error: broken/);
    assert.equal(logged.length, 2);
    const id = worker.send("/endless");
    await new Promise(resolve => setTimeout(resolve, 5));
    worker.runtime.onEvent(3, id, []);
    worker.host.of(id).refuse = true;
    const endless = await worker.finished(id);
    assert.match(endless.aborted, /disconnected|gone/i);
    assert.match(globalThis.cancelled, /AbortError/);
    assert.equal(logged.length, 2);
  } finally {
    console.error = error;
  }
  assert.match((await worker.fetch("/used")).failure.message, /already/);
  assert.deepEqual(worker.pending(), []);
});

test("blobs, files and forms", { skip }, async () => {
  const worker = await start(
    "import js",
    `
async def all():
    blob = Blob(["ab", b"cd", Blob("ef")], content_type="text/plain")
    assert blob.size == len(blob) == 6 and blob.content_type == "text/plain"
    assert await blob.text() == "abcdef" and await blob.bytes() == b"abcdef"
    part = blob.slice(1, 3)
    assert await part.text() == "bc" and part.content_type == ""
    assert Blob(blob).content_type == "text/plain"
    assert Blob(b"x", content_type="a/b", endings=BlobEnding.NATIVE).content_type == "a/b"
    file = File([b"x"], "n.txt", content_type="text/plain", last_modified=5)
    assert (file.name, file.last_modified, file.size) == ("n.txt", 5, 1) and isinstance(file, Blob)
    form = FormData({"a": "1", "f": file})
    form.append("a", "2")
    assert list(form) == ["a", "f"] and len(form) == 2 and "a" in form and "z" not in form
    assert form["a"] == "1" and form.get_all("a") == ["1", "2"] and form["f"].name == "n.txt"
    assert [name for name, _ in form.items()] == ["a", "f", "a"]
    form["a"] = "3"
    assert form.get_all("a") == ["3"]
    del form["a"]
    assert "a" not in form and form.get("a") is None
    try:
        form["a"]
    except KeyError:
        pass
    for wrong in (lambda: form.append("x", 5), lambda: Blob([5]), lambda: File([b"x"])):
        try:
            wrong()
        except TypeError:
            continue
        raise AssertionError
    return Response("ok")
`
  );
  const { text, failure } = await worker.fetch("/all");
  assert.equal(failure, null, failure?.text);
  assert.equal(text, "ok");
});
