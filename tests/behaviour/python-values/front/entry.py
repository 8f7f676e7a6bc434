"""Uses every public member of `workers`. What it gives is looked at by `watch`; here, that it is there and of some use."""

import asyncio
import io
import tarfile
from datetime import timedelta
from pathlib import Path

import watch

# Before anything takes a name of it.
watch.install()

import js  # noqa: E402
import workers  # noqa: E402
from pyodide.code import run_js  # noqa: E402
from pyodide.ffi import to_js  # noqa: E402
import workers.gateway as gateway_options  # noqa: E402
from workers.workflows import NonRetryableError  # noqa: E402
from workers import Blob, ByteStream, File, FormData, Headers, Request, Response, RpcTarget, WorkerEntrypoint, asgi, env, wsgi  # noqa: E402

delivered = 0


@workers.before_snapshot
def before():
    pass


@workers.after_restore
def after():
    pass


def fails(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def raises(error):
    raise error


async def awaits_failure(kind, awaitable):
    try:
        await awaitable
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def stream(*pieces):
    async def give():
        for piece in pieces:
            yield piece

    return ByteStream(Response(give()).body)


async def bodies(request):
    form = await request.form_data()
    assert dict(form) == {"a": "1", "b": "2"} and len(form) == 2 and "a" in form
    form.append("f", b"content", "f.txt")
    form.append("f", File(["x"], "g.txt", "text/x"))
    form["blob"] = Blob("y")
    assert [type(value) for value in form.get_all("f")] == [File, File] and type(form["blob"]) is File
    assert type(form.get("f")) is File and form.get("none") is None and form.setdefault("a", "2") == "1"
    assert list(form.keys()) == ["a", "b", "f", "blob"] and len(list(form.items())) == len(list(form.values())) == 5
    assert await form["f"].text() == "content" and form["f"].name == "f.txt"
    form.delete("blob")
    form.update({"c": "3"})
    assert form.pop("c") == "3" and form.popitem() == ("a", "1")
    form.clear()
    assert not form
    file = File([b"12", "34", Blob("56")], "n", "text/plain", last_modified=5)
    assert (file.size, len(file), file.content_type, file.last_modified, file.name) == (6, 6, "text/plain", 5, "n")
    assert await file.slice(1, 3).bytes() == b"23" and await file.text() == "123456" and file.js_object.size == 6
    blob = Blob(file)
    assert (blob.size, len(blob), blob.content_type, blob.js_object.size) == (6, 6, "text/plain", 6)
    assert await blob.slice(0, 1).text() == "1" and await blob.bytes() == b"123456" and await file.bytes() == b"123456"
    assert await stream("a", b"b").read() == b"ab" and [c async for c in stream("a")] == [b"a"] and list(stream("c")) == [b"c"]
    headers = Headers({"a": "1"})
    headers.append("a", "2")
    headers.add_header("b", "x", c="d")
    headers.replace_header("b", "y")
    headers.set("c", "z")
    headers.delete("c")
    assert headers.setdefault("d", "e") == "e"
    headers.update({"f": "g"})
    assert headers.get_all("a") == ["1", "2"] and headers["b"] == "y" and headers.get("none") is None


async def requests(request):
    for one in (request, Request("http://host/", method="PUT", body="text", headers={"a": "b"}), Request(js.Request.new("http://host/"))):
        for name in ("cache", "credentials", "destination", "integrity", "mode", "redirect", "referrer", "referrer_policy", "url"):
            assert isinstance(getattr(one, name), str), name
        for name in ("body_used", "is_history_navigation", "keepalive"):
            assert getattr(one, name) is False, name
        assert one.headers.get("none") is None and one.method in ("GET", "PUT") and one.js_object and one.body in (None, one.body)
        assert one.cf is None or one.cf["httpProtocol"] and one.cf.httpProtocol
        signal = one.signal
        assert signal.aborted is False and signal.reason is None and signal.js_object.aborted is False
        signal.throw_if_aborted()
        signal.throwIfAborted()
        copy = one.clone()
        assert copy.url == one.url
    put = lambda body="text": Request("http://host/", method="PUT", body=body)  # noqa: E731
    assert await put().text() == "text" and await put().bytes() == b"text" and await put("[null]").json() == [None]
    assert await (await put().blob()).text() == "text" and (await put().buffer()).byteLength == 4
    assert (await put(FormData({"a": "b"})).form_data())["a"] == "b" == (await put(FormData({"a": "b"})).formData())["a"]
    with_cf = Request("http://host/", cf={"a": {"b": [1]}})
    assert with_cf.cf == {"a": {"b": [1]}} and with_cf.cf.a.b == [1]
    used = put()
    await used.text()
    await awaits_failure(OSError, used.text())
    controller = js.AbortController.new()
    signal = Request("http://host/", signal=controller.signal).signal
    waiting = asyncio.ensure_future(signal.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    controller.abort()
    await waiting
    await signal.wait()
    assert signal.aborted and isinstance(signal.reason, OSError), signal.reason
    fails(OSError, signal.throw_if_aborted)
    # It goes wherever a signal goes.
    await awaits_failure(OSError, workers.fetch("http://127.0.0.1:1/", signal=signal))
    await awaits_failure(OSError, workers.fetch("http://127.0.0.1:1/"))
    await awaits_failure(TypeError, workers.fetch("http://"))


async def responses(request):
    for make in (lambda: Response("text"), lambda: Response(js.Response.new("text")), lambda: Response(iter([b"te", "xt"])), lambda: Response(stream("text"))):
        one = make()
        assert (one.status, one.status_text, one.ok, one.url, one.redirected, one.type, one.body_used) == (200, "", True, "", False, "default", False)
        assert one.headers.get("none") is None and one.js_object and one.js_response and one.js_request is None
        assert await one.clone().text() == "text" and await one.replace_body("other").text() == "other"
        assert await one.bytes() == b"text" and one.body_used
        assert await make().string() == "text" and (await make().buffer()).byteLength == 4
        assert bytes(await make().memoryview()) == b"text" and await (await make().blob()).text() == "text"
        assert make().body.locked is False
        make().raise_for_status()
        fails(ValueError, one.abort)
    assert await Response.json({"a": None}).json() == {"a": None} and await Response.from_json([1]).json() == [1]
    assert (await Response(FormData({"a": "b"})).form_data())["a"] == "b" == (await Response(FormData({"a": "b"})).formData())["a"]
    assert Response.redirect("http://host/", 301).status == 301 and Response.error().type == "error"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("packed"))
    Path("/tmp/unpacked").mkdir(exist_ok=True)
    await Response(archive.getvalue()).unpack_archive(extract_dir="/tmp/unpacked", format="tar")
    fails(OSError, Response("", status=404).raise_for_status)

    async def answer(asked):
        return js.Response.new(f"fetched {asked.url}")

    assert await (await workers.fetch("http://host/", fetcher=answer)).text() == "fetched http://host/"
    fetched = await workers.fetch("http://host/", fetcher=answer)
    fetched.abort()
    watch.look(fetched, "a fetched response")


async def keys(request):
    await env.KV.put("a", "1", metadata={"m": [None]}, expiration_ttl=timedelta(minutes=5))
    env.KV.sync.put("b", {"c": [None]})
    assert await env.KV.get("a") == "1" == env.KV.sync.get("a") and await env.KV.get("none") is None
    assert await env.KV.get("b", "json") == {"c": [None]} and await env.KV.get("a", "bytes") == b"1"
    assert await (await env.KV.get("a", "stream")).read() == b"1" and await env.KV.get(["a", "none"]) == {"a": "1", "none": None}
    for get in (env.KV.getWithMetadata, env.KV.get_with_metadata):
        found = await get("a")
        assert found.value == "1" and found.metadata.m == [None]
        assert (await get(["a"]))["a"].metadata == {"m": [None]} and (await (await get("a", "stream")).value.read()) == b"1"
    for get in (env.KV.sync.getWithMetadata, env.KV.sync.get_with_metadata):
        assert get("a").value == "1"
    assert [key.name for key in (await env.KV.list())["keys"]] == ["a", "b"]
    assert len(env.KV.sync.list(prefix="a")["keys"]) == 1 and [key async for key in env.KV.keys()] == ["a", "b"] == list(env.KV.sync.keys())
    await env.KV.put("c", stream("1", b"2"))
    await env.KV.delete("a")
    env.KV.sync.delete(["b", "c"])
    await awaits_failure(workers.BindingError, env.KV.put("k" * 1000, "v"))
    await awaits_failure(TypeError, env.KV.put("k", object()))


async def objects(request):
    put = await env.R2.put("a", "text", http_metadata={"contentType": "text/x"}, custom_metadata={"b": "c"}, sha256="982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1")
    assert put.key == "a" and put.size == 4 and env.R2.sync.put("b", stream("1")).size == 1
    for found in (await env.R2.head("a"), env.R2.sync.head("a"), await env.R2.get("a"), env.R2.sync.get("a", only_if={"etagMatches": "no"})):
        assert found.http_etag == found.httpEtag and found.http_metadata == {"contentType": "text/x"} and found.custom_metadata == {"b": "c"}
        headers = Headers()
        found.writeHttpMetadata(headers)
        found.write_http_metadata(headers)
        assert headers["content-type"] == "text/x"
    body = await env.R2.get("a", range={"offset": 1})
    assert (body.bodyUsed, body.body_used, body.range) == (False, False, {"offset": 1, "length": 3})
    assert await body.body.read() == b"ext"
    get = lambda: env.R2.sync.get("a")  # noqa: E731
    assert await get().bytes() == await get().arrayBuffer() == b"text" and await get().text() == "text" and await (await get().blob()).text() == "text"
    assert get().sync.bytes() == get().sync.arrayBuffer() == b"text" and get().sync.text() == "text" and get().sync.blob().size == 4
    await env.R2.put("j", '{"a": [null]}')
    assert await (await env.R2.get("j")).json() == {"a": [None]} == env.R2.sync.get("j").sync.json()
    used = get()
    await used.text()
    await awaits_failure(OSError, used.text())
    listed = await env.R2.list(prefix="a")
    assert [o.key for o in listed.objects] == ["a"] == [o.key for o in env.R2.sync.list({"prefix": "a"}).objects]
    for upload in (
        await env.R2.createMultipartUpload("m"), await env.R2.create_multipart_upload("m"),
        env.R2.sync.createMultipartUpload("m"), env.R2.sync.create_multipart_upload("m"),
    ):
        for resume in (env.R2.resumeMultipartUpload, env.R2.resume_multipart_upload, env.R2.sync.resumeMultipartUpload, env.R2.sync.resume_multipart_upload):
            upload = resume("m", upload.uploadId)
        parts = [await upload.uploadPart(1, b"x"), await upload.upload_part(2, b"y")]
        parts += [upload.sync.uploadPart(3, b"z"), upload.sync.upload_part(4, b"z")]
        assert [part.partNumber for part in parts] == [1, 2, 3, 4]
        await upload.abort()
    upload = await env.R2.create_multipart_upload("m")
    assert (await upload.complete([await upload.uploadPart(1, "x")])).size == 1
    upload = await env.R2.create_multipart_upload("m")
    assert upload.sync.complete([upload.sync.upload_part(1, "y")]).size == 1
    (await env.R2.create_multipart_upload("m")).sync.abort()
    await env.R2.delete("a")
    env.R2.sync.delete(["b", "j", "m"])
    await awaits_failure(workers.BindingError, upload.abort())


async def rows(request):
    await env.DB.exec("CREATE TABLE t (a, b)")
    env.DB.sync.exec("INSERT INTO t VALUES (1, x'00')")
    for database in (env.DB, env.DB.withSession(), env.DB.with_session("first-primary")):
        statement = database.prepare("SELECT a, b, NULL AS c FROM t WHERE a = ?").bind(1)
        for result in (await statement.all(), await statement.run(), statement.sync.all(), statement.sync.run(), (await database.batch([statement]))[0]):
            assert result.results == [{"a": 1, "b": b"\0", "c": None}] and result.success and result.meta.rows_read >= 0
        assert (await statement.first()).b == b"\0" and await statement.first("c") is None and statement.sync.first("a") == 1
        assert await statement.raw() == [[1, b"\0", None]] == statement.sync.raw() and database.sync.batch([statement.sync.bind(1)])[0].success
        assert database.sync.prepare("SELECT 1 AS one").first("one") == 1
    session = env.DB.with_session()
    await session.prepare("SELECT 1").run()
    assert isinstance(session.getBookmark(), str) and session.get_bookmark() == session.sync.getBookmark() == session.sync.get_bookmark()
    assert env.DB.sync.withSession().prepare("SELECT 1 AS a").first("a") == 1 == env.DB.sync.with_session().prepare("SELECT 1 AS a").first("a")
    error = await awaits_failure(workers.BindingError, env.DB.prepare("SELECT nothing").all())
    assert error.sql == "SELECT nothing"


async def messages(request):
    await env.JOBS.send({"a": [None]})
    env.JOBS.sync.send({1, 2})
    await env.JOBS.send_batch([{"body": b"bytes"}])
    fails(ValueError, lambda: env.JOBS.sync.sendBatch([]))
    fails(ValueError, lambda: env.JOBS.sync.send_batch([]))
    await awaits_failure(ValueError, env.JOBS.sendBatch([]))
    await env.JOBS.send(js.Map.new(to_js([["k", to_js([1])]])), content_type="v8")
    await awaits_failure(workers.BindingError, env.JOBS.send("x" * 200_000))


async def calls(request):
    back = env.BACK
    assert await (await back.fetch("http://back/", method="POST", body="b")).text() == "POST b" == await back.sync.fetch("http://back/", method="POST", body="b").text()
    assert await back.number == 5 == back.sync.number.get() and back.sync.from_javascript("1") == 1
    watch.members.add("what another Worker gives")
    for code in (
        "new Map([['a', {b: null}]])", "new Set([1, null])", "new Date(0)", "new Error('said')", "new RangeError('said')", "[undefined, null]",
        "({a: new Map([['e', new TypeError('t')]])})", "new Uint8Array([1])", "new DataView(new ArrayBuffer(2))", "new ArrayBuffer(1)", "2n ** 70n",
        "new Headers({a: 'b'})", "new Response('r')", "new Request('http://h/')", "() => 1", "new ReadableStream()", "({f: () => [new Date(0)]})",
        "const ring = {}; ring.ring = [ring]; ring", "const twice = [1]; [twice, twice]", "Object.assign(Object.create(null), {a: 1})", "NaN", "-0", "new Float64Array([1.5])",
    ):
        watch.look(await back.from_javascript(code), f"what comes of {code}")
    watch.used.add("what another Worker gives")
    ring = await back.from_javascript("const r = {}; r.ring = [r]; r")
    assert ring.ring[0] is ring
    for named in ("new RangeError('said')", "new TypeError('said')", "new Error('said')"):
        assert "said" in str(await back.from_javascript(named))
    with await back.from_javascript("(a) => new Map([['a', [a, null, new Date(0)]]])") as function:
        watch.look(await function({"b": [None]}), "what a remote function gives")
        with function.dup() as other:
            watch.look(other.sync(1), "what a remote function gives")
        other.dispose()
        error = await awaits_failure(Exception, other(1))
        watch.look(error, "an error of a remote function")
        function.on_rpc_broken(print)
        function.onRpcBroken(print)
    error = await awaits_failure(Exception, back.fail())
    watch.look(error, "an error of another Worker")
    error = await awaits_failure(workers.RemoteError, back.from_javascript("throw Object.assign(new Error('own'), { name: 'Own', extra: {} })"))
    assert error.name == "Own"

    def called(argument):
        watch.look(argument, "what a function is given")
        return argument

    assert await back.call(called, {"a": [None, {1}, b"b"]}) == {"a": [None, {1}, b"b"]}
    with await back.make() as thing:
        watch.look(await thing.value, "what a property is")
        assert thing.sync.value.get() == {"a": [1, None, None]}
        assert await thing.method(called) == {"from": "the other side"} and thing.sync.itself()
        (await thing.itself()).dispose()
        with thing.dup() as same:
            assert await same.itself()
            same.on_rpc_broken(print)
            same.onRpcBroken(print)
        # More is asked of results that are not there yet, and they are tasks' coroutines.
        watch.look(await thing.itself().itself().value, "what a property of a result is")
        watch.look(await asyncio.create_task(thing.itself().method(called)), "what a task of a result gives")
        watch.look(await back.from_javascript("(a) => [a]")(1), "what a function that is a result gives")
        failed = thing.itself()
        assert iter(failed) is failed
        try:
            failed.throw(ValueError("not wanted"))
        except ValueError as error:
            assert str(error) == "not wanted"
    assert b"".join([piece async for piece in await back.stream()]) == b"onetwo"

    class Own(RpcTarget):
        def __call__(self, argument):
            raise AssertionError("only its methods are for others")

        def use(self, *args, **kwargs):
            watch.look([args, kwargs], "what a target is given")
            return [*args, kwargs]

    assert await back.use(Own()) == [1, [None], {"c": {"d": b"e"}}]
    assert Own().dispose() is None
    member = env.BACK.a.b
    assert repr(member).endswith("a.b>") and env.BACK.sync.a.b
    back_again = workers.python_from_rpc(workers.python_to_rpc({"a": [None, {1}, b"b"]}))
    assert back_again == {"a": [None, {1}, b"b"]}
    for code in ("new Error('said')", "new Map([['a', new Error('said')]])", "[new Date(0), new Blob(['x']), new FormData(), new Headers()]"):
        workers.python_from_rpc(run_js(code))


async def others(request):
    page = await env.ASSETS.fetch("http://assets/page.html")
    assert await page.text() == "a page\n" == await env.ASSETS.sync.fetch("http://assets/page.html").text()
    assert (await env.LIMIT.limit(key="a")).success and env.LIMIT.sync.limit({"key": "a"}).success
    env.POINTS.write_data_point(blobs=["a"])
    env.POINTS.writeDataPoint({"doubles": [1]})
    assert env.VERSION.id and isinstance(env.VERSION.timestamp, str)
    ctx.pass_through_on_exception()
    ctx.passThroughOnException()


async def environment(request):
    watch.look(env, "env")
    hidden = ValueError()
    hidden.attribute = [{"a": (js.Object.new(),)}]
    assert watch.finds(hidden) and not watch.finds([1, {"a": None}])
    assert env.NAME == "value" == env["NAME"] and "NAME" in env and "KV" in list(env) and env.PLACES.list[1].a is None
    with workers.patch_env(NAME="other"):
        assert env.NAME == "other"
    fails(AttributeError, lambda: env.NOTHING)
    workers.wait_until(asyncio.sleep(0))
    workers.waitUntil(asyncio.sleep(0))
    ctx.wait_until(asyncio.sleep(0))
    ctx.waitUntil(asyncio.sleep(0))
    error = fails(NonRetryableError, lambda: raises(NonRetryableError("no", "Own")))
    for value in (error, asgi.Options(), wsgi.Options(), gateway_options.BaseOptions()):
        watch.look(value, type(value).__name__)
    workers.handler(lambda request: request)
    workers.import_from_javascript("cloudflare:workers")
    assert "no/such" in str(fails(ImportError, lambda: workers.import_from_javascript("no/such.js")))


async def application(scope, receive, send):
    watch.look(scope, "a scope")
    if scope["type"] == "lifespan":
        watch.look(await receive(), "a message of the lifespan")
        await send({"type": "lifespan.startup.complete"})
    elif scope["type"] == "websocket":
        while (message := await receive())["type"] != "websocket.disconnect":
            watch.look(message, "a message of a WebSocket")
            if message["type"] == "websocket.connect":
                await send({"type": "websocket.accept"})
            else:
                await send({"type": "websocket.send", "text": message["text"]})
        watch.look(message, "a message of a WebSocket")
    else:
        message = await receive()
        watch.look(message, "a message of a request")
        while message["more_body"]:
            body, message = message["body"], await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


def gateway(environ, start_response):
    watch.look(environ, "an environ")
    assert environ["workers.env"].NAME and environ["workers.ctx"]
    watch.look(start_response("200 OK", []), "what start_response gives")
    return [environ["wsgi.input"].read()]


CASES = {case.__name__: case for case in (bodies, requests, responses, keys, objects, rows, messages, calls, others, environment)}
OF_ASGI = asgi.entrypoint(application, options=asgi.Options(root_path=""))
OF_WSGI = wsgi.entrypoint(gateway, options=wsgi.Options())


class Default(WorkerEntrypoint):
    async def fetch(self, request, env, given):
        global ctx
        ctx = given
        for argument in (self.ctx, self.env, request, env, ctx):
            watch.look(argument, "a handler's argument")
        match name := request.url.rpartition("/")[2].partition("?")[0]:
            case "application":
                return await OF_ASGI(self.ctx, self.env).fetch(request)
            case "socket":
                return await asgi.websocket(application, request, self.env)
            case "gateway":
                return await OF_WSGI(self.ctx, self.env).fetch(request)
            case "missing":
                return Response.json(watch.missing())
            case "leaks":
                return Response.json(sorted(watch.leaks))
            case "delivered":
                return Response(str(delivered))
        await CASES[name](request)
        return Response("ok")

    async def scheduled(self, controller, env, ctx):
        for argument in (controller, env, ctx):
            watch.look(argument, "an argument of scheduled")
        assert controller.scheduled_time.year == 2026 and controller.scheduledTime > 0
        controller.noRetry()
        controller.no_retry()

    async def queue(self, batch, env, ctx):
        global delivered
        for argument in (batch, env, ctx):
            watch.look(argument, "an argument of queue")
        assert len(batch) == len(batch.messages) == len(list(batch))
        for message in batch:
            assert message.body
            message.ack()
            message.retry(delay_seconds=1)
        batch.ack_all()
        batch.ackAll()
        batch.retry_all()
        batch.retryAll()
        delivered += len(batch)
