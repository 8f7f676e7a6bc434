"""Touches every name of `workers` and its objects, as code for Cloudflare has them."""

import asyncio
import inspect
import io
import sys
import tarfile
import time
from array import array
from datetime import datetime
from http import HTTPMethod, HTTPStatus
from http.client import HTTPMessage
from pathlib import Path
from typing import get_type_hints

import js
import workers
from pyodide.code import run_js
from pyodide.ffi import JsProxy, to_js
from pyodide.http import FetchResponse as PyodideResponse
from workers import (
    Blob,
    BlobEnding,
    Context,
    DurableObject,
    FetchKwargs,
    FetchResponse,
    File,
    FormData,
    Headers,
    Request,
    Response,
    WorkerEntrypoint,
    WorkflowEntrypoint,
    asgi,
    env,
    fetch,
    handler,
    import_from_javascript,
    patch_env,
    python_from_rpc,
    python_to_rpc,
    wait_until,
    waitUntil,
    wsgi,
)
from workers.gateway import BaseOptions
from workers.workflows import NonRetryableError

DOCUMENTED = """Blob BlobEnding BlobValue Body Context DurableObject FetchKwargs FetchResponse File FormData FormDataValue Headers
JSBody Request RequestInitCfProperties Response WorkerEntrypoint WorkflowEntrypoint env fetch handler import_from_javascript patch_env
python_from_rpc python_to_rpc waitUntil wait_until"""

settled = []


def raises(kind, call):
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"{kind.__name__} was not raised")


def names():
    missing = [name for name in DOCUMENTED.split() if name not in workers.__all__ or not hasattr(workers, name)]
    assert not missing, missing
    assert get_type_hints(FetchKwargs).keys() >= {"headers", "body", "method", "redirect", "cf", "fetcher"}
    assert Path(workers.__file__).with_name("py.typed").exists()
    assert FetchResponse is PyodideResponse and issubclass(Response, FetchResponse)
    assert waitUntil is wait_until
    assert issubclass(NonRetryableError, Exception) and NonRetryableError("no", "Own").name == "Own"
    for options in (asgi.Options, wsgi.Options):
        assert issubclass(options, BaseOptions) and options(encode_body="manual").encode_body == "manual"
    twins()


def twins():
    """Each method of a binding that has to be awaited has a twin that blocks, by all of its names."""
    bindings = {"KVNamespace", "D1Database", "D1DatabaseSession", "D1PreparedStatement", "R2Bucket", "R2ObjectBody"}
    bindings |= {"R2MultipartUpload", "Queue", "Fetcher", "Service", "RateLimit", "RpcStub"}
    #: These are no bindings: bodies, and what is called itself.
    others = {"AbortSignal", "Request", "Response", "FetchResponse", "Blob", "File", "ByteStream", "RemoteFunction"}
    found = set()
    for module in [module for name, module in sys.modules.items() if name.startswith("workers._")]:
        for cls in [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]:
            methods = {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_")}
            methods = {name: m for name, m in methods.items() if inspect.iscoroutinefunction(m) or inspect.isasyncgenfunction(m)}
            if cls.__name__.startswith("_"):
                continue
            view = getattr(cls, "sync", None)
            if not isinstance(view, property):
                assert not methods or cls.__name__ in others or cls.__name__ not in workers.__all__, f"{cls.__name__} has no `sync`"
                continue
            found.add(cls.__name__)
            blocking = getattr(module, view.fget.__annotations__["return"])
            for name, method in methods.items():
                twin = getattr(blocking, name, None)
                assert twin is not None, f"{cls.__name__}.sync.{name} is missing"
                assert not inspect.iscoroutinefunction(twin) and not inspect.isasyncgenfunction(twin) and twin.__name__ == method.__name__, (cls, name)
    assert found == bindings, found ^ bindings
    for module, members in ((asgi, "Options entrypoint fetch websocket"), (wsgi, "Options entrypoint fetch")):
        assert all(hasattr(module, name) for name in members.split()), module
    for cls in (DurableObject, WorkerEntrypoint, WorkflowEntrypoint):
        made = cls("ctx", "env")
        assert (made.ctx, made.env) == ("ctx", "env"), cls

    @handler
    async def wrapped(request, env, ctx):
        return Response(request.url)

    assert callable(wrapped)


async def responses():
    made = Response("text", HTTPStatus.CREATED, "Made", [("x-a", "1"), ("x-a", "2")])
    assert (made.status, made.status_text, made.ok, made.url) == (201, "Made", True, "")
    assert isinstance(made.headers, HTTPMessage) and made.headers.get_all("x-a") == ["1", "2"]
    assert (await made.text(), made.body_used) == ("text", True)
    assert isinstance(Response("x").body, JsProxy) and js.Object.prototype.toString.call(Response("x").js_object)
    assert await Response(b"\x00\x01").bytes() == b"\x00\x01"
    assert (await Response("abc").buffer()).byteLength == 3
    assert bytes(await Response("abc").memoryview()) == b"abc"
    assert await Response('{"a": [1]}').json() == {"a": [1]}
    blob = await Response("blob", headers={"content-type": "text/x"}).blob()
    assert (await blob.text(), blob.content_type) == ("blob", "text/x")
    form = FormData({"a": "1", "b": ["2", "3"]})
    assert FormData(form).items() == FormData([("a", "1"), ("b", "2"), ("b", "3")]).items() == form.items()
    assert "made of a mapping, not int" in raises(TypeError, lambda: FormData(5))
    assert await Blob([array("H", [0x6968]), "!"]).text() == "hi!"
    assert (await Response(form).form_data()).get_all("b") == ["2", "3"]
    assert (await Response(form).formData())["a"] == "1"
    assert await Response(Blob("from a blob")).text() == "from a blob"
    for body in (js.Uint8Array.new(to_js([104, 105])), js.URLSearchParams.new("hi"), js.Blob.new(to_js(["hi"]))):
        assert (await Response(body).text()).startswith("hi")
    assert await Response(js.Response.new("twin")).text() == "twin"
    assert await Response(None, status=204).text() == ""
    assert "Unsupported type in Response: set" in raises(TypeError, lambda: Response({1}))
    for make in (Response.json, Response.from_json):
        made = make({"a": None}, status=202, headers={"x-b": "y"})
        assert (made.status, made.headers["content-type"], await made.json()) == (202, "application/json", {"a": None})
    moved = Response.redirect("http://elsewhere/", 301)
    assert (moved.status, moved.headers["location"]) == (301, "http://elsewhere/")
    copy = made.replace_body("other") if not made.body_used else Response("a", status=418).replace_body("other")
    assert await copy.text() == "other"
    first = Response("twice")
    second = first.clone()
    assert (await first.text(), await second.text()) == ("twice", "twice")
    Response("fine").raise_for_status()
    assert "404" in raises(OSError, Response("no", status=404).raise_for_status)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("packed.txt"))
    Path("/tmp/names").mkdir(exist_ok=True)
    await Response(archive.getvalue()).unpack_archive(extract_dir="/tmp/names", format="tar")
    assert Path("/tmp/names/packed.txt").exists()
    try:
        await first.text()
        raise AssertionError("read twice")
    except OSError:
        pass


async def requests(incoming):
    assert incoming.method is HTTPMethod.POST and incoming.url.endswith("/all?q=1") and incoming.headers["x-a"] == "b"
    assert incoming.cf is not None and not incoming.body_used
    assert await incoming.json() == {"sent": True} and incoming.body_used
    try:
        await incoming.text()
        raise AssertionError("read twice")
    except OSError as error:
        assert "Body already used" in str(error)
    made = Request("http://h/p", method="PUT", body="body", headers={"x-b": "c"}, redirect="manual")
    assert (made.method, made.url, made.headers["x-b"], made.redirect) == (HTTPMethod.PUT, "http://h/p", "c", "manual")
    copy = made.clone()
    assert (await made.text(), await copy.bytes(), made.body_used) == ("body", b"body", True)
    again = Request(Request("http://h/", method="POST", body="x"), headers={"x-c": "d"})
    assert (again.method, again.headers["x-c"], (await again.buffer()).byteLength) == ("POST", "d", 1)
    assert await (await Request("http://h/", method="POST", body="b").blob()).text() == "b"
    form = Request("http://h/", method="POST", body=FormData({"k": "v"}))
    assert (await form.form_data())["k"] == "v"
    plain = Request(js.Request.new("http://h/"))
    assert isinstance(plain.js_object, JsProxy) and plain.body is None and plain.cf is None
    for name in "cache credentials destination integrity mode referrer referrer_policy".split():
        assert isinstance(getattr(plain, name), str), name
    assert (plain.keepalive, plain.is_history_navigation) == (False, False)
    assert not plain.signal.aborted

    async def fetcher(request):
        return js.Response.new(f"fetched {request.method} {await request.text()}")

    assert await (await fetch("http://h/", method="POST", body="it", fetcher=fetcher)).text() == "fetched POST it"


async def bodies():
    blob = Blob(["a\n", b"b", Blob("c")], "text/plain", BlobEnding.TRANSPARENT)
    assert (blob.size, len(blob), blob.content_type, await blob.text()) == (4, 4, "text/plain", "a\nbc")
    assert await blob.slice(2, 3).bytes() == b"b"
    file = File(["content"], "name.txt", "text/x", last_modified=1234)
    assert (file.name, file.last_modified, file.size, isinstance(file, Blob)) == ("name.txt", 1234, 7, True)
    form = FormData({"a": "1"})
    form.append("a", "2")
    form.append("f", b"bytes", "f.bin")
    form["b"] = file
    assert list(form) == ["a", "f", "b"] and form.get_all("a") == ["1", "2"] and form["f"].name == "f.bin"
    assert [name for name, _ in form.items()] == ["a", "a", "f", "b"] and len(form.values()) == 4
    form.delete("a")
    assert "a" not in form and set(form.keys()) == {"f", "b"} and isinstance(form.js_object, JsProxy)
    headers = Headers({"X-A": "1"})
    headers["x-b"] = "2"
    assert dict(headers) == {"X-A": "1", "x-b": "2"} or {k.lower(): v for k, v in headers.items()} == {"x-a": "1", "x-b": "2"}


def environment():
    assert env.COLOUR == "green" and env.PLACES.a == [1]
    with patch_env({"COLOUR": "red"}, OTHER="x"):
        assert (env.COLOUR, env.OTHER) == ("red", "x")
    assert env.COLOUR == "green" and not hasattr(env, "OTHER")
    assert import_from_javascript("cloudflare:workers").env.COLOUR == "green"
    assert callable(import_from_javascript("cloudflare:sockets").connect)
    assert "no/such.js" in raises(ImportError, lambda: import_from_javascript("no/such.js"))


def rpc():
    # Moments come back without a time zone.
    moment = datetime(2026, 1, 2)
    for value in (1, "text", [1, {"a": [None]}], {"a": moment}, b"bytes", None, True):
        back = python_from_rpc(python_to_rpc(value))
        assert back == value, back
    # Before 0.28, Pyodide has no value for JavaScript's null.
    assert run_js("x => x === null")(python_to_rpc(None)) or sys.version_info < (3, 13)
    assert run_js("x => x.a === null")(python_to_rpc({"a": None})) or sys.version_info < (3, 13)
    assert run_js("x => x.a instanceof Date")(python_to_rpc({"a": moment}))
    assert python_from_rpc(run_js("({a: {b: 1}})")).a.b == 1
    assert run_js("e => e instanceof Error")(python_to_rpc(ValueError("v")))
    for value in ((1, 2), bytearray(b"x")):
        raises(TypeError, lambda value=value: python_to_rpc(value))


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "sleep":
                time.sleep(2)
                return Response("slept")
            case "settled":
                return Response.json(settled)
        assert isinstance(self.ctx, Context) and self.env.COLOUR == "green"
        names()
        await responses()
        await requests(request)
        await bodies()
        environment()
        rpc()

        async def note(what):
            await asyncio.sleep(0.01)
            settled.append(what)

        wait_until(note("function"))
        self.ctx.wait_until(note("method"))
        self.ctx.waitUntil(note("its other name"))
        self.ctx.pass_through_on_exception()
        return Response("every name")
