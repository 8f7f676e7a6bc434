# pyright: strict
"""Uses every public name of `workers`, and asserts what type each thing has. Strict checkers find nothing to say of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from http import HTTPMethod, HTTPStatus
from typing import Any, Literal, assert_type

from js import URLSearchParams
from workers import (
    AbortSignal,
    AnalyticsEngineDataset,
    BindingError,
    Blob,
    BlobEnding,
    BlobValue,
    Body,
    ByteStream,
    Context,
    D1Database,
    D1DatabaseSession,
    D1PreparedStatement,
    D1Result,
    DurableObject,
    Fetcher,
    FetchKwargs,
    FetchResponse,
    File,
    FormData,
    FormDataValue,
    Headers,
    JSBody,
    KVNamespace,
    Message,
    MessageBatch,
    Queue,
    R2Bucket,
    R2MultipartUpload,
    R2Object,
    R2ObjectBody,
    RateLimit,
    RemoteError,
    RemoteFunction,
    Request,
    RequestInitCfProperties,
    Response,
    RpcStub,
    RpcTarget,
    ScheduledController,
    Service,
    WorkerEntrypoint,
    WorkflowEntrypoint,
    after_restore,
    asgi,
    before_snapshot,
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

assert_type(env.GREETING, str)
assert_type(env.LIMIT, int)
assert_type(env.IS_OPEN, bool)
assert_type(env.NAMES, list[str])
assert_type(env.API_KEY, str)
assert_type(env.KV, KVNamespace)
assert_type(env.DB, D1Database)
assert_type(env.FILES, R2Bucket)
assert_type(env.JOBS, Queue)
assert_type(env.OTHER, Service)
assert_type(env.ASSETS, Fetcher)
assert_type(env.LIMITER, RateLimit)
assert_type(env.EVENTS, AnalyticsEngineDataset)
assert_type(env.VERSION.id, str)
assert_type(env.VERSION.tag, str)
assert_type("KV" in env, bool)

cf: RequestInitCfProperties = {"cacheTtl": 5}
loose: FetchKwargs = {
    "cache": "no-store",
    "credentials": "omit",
    "integrity": "",
    "keepalive": False,
    "mode": "cors",
    "referrer": "",
    "referrerPolicy": "",
    "signal": None,
    "fetcher": None,
}
options: FetchKwargs = {"method": "POST", "headers": {"a": "b"}, "body": b"c", "redirect": "manual", "cf": cf}
sent: Body = "text"
from_javascript: JSBody = URLSearchParams.new("a=b")
part: BlobValue = b"part"
field: FormDataValue = "field"


async def pieces() -> AsyncIterator[bytes]:
    yield b"piece"


async def bodies() -> None:
    blob = Blob([part, "text"], "text/plain", BlobEnding.TRANSPARENT)
    assert_type(blob.size, int)
    assert_type(blob.content_type, str)
    assert_type(blob.slice(0, 1), Blob)
    assert_type(await blob.text(), str)
    assert_type(await blob.bytes(), bytes)
    assert_type(BlobEnding.NATIVE.upper(), str)
    file = File(blob, "name.txt", last_modified=5)
    assert_type((file.name, file.last_modified), tuple[str, int])
    form = FormData({"a": field, "b": ["c", "d"]})
    form.append("f", file, "other.txt")
    form["blob"] = blob
    assert_type(form["a"], str | File)
    assert_type(form.get("a"), str | File | None)
    assert_type(form.get_all("a"), list[str | File])
    assert_type(form.items(), list[tuple[str, str | File]])
    assert_type(form.values(), list[str | File])
    assert_type(list(form), list[str])
    form.delete("a")
    stream = ByteStream(Response(pieces()).body)
    assert_type(await stream.read(), bytes)
    assert_type([piece async for piece in stream], list[bytes])
    assert_type(list(stream), list[bytes])


async def headers() -> None:
    made = Headers([("a", "b")])
    made["a"] = "c"
    made.append("a", "d")
    made.add_header("content-disposition", "attachment", filename="a")
    made.replace_header("a", "e")
    made.set("f", "g")
    made.update({"h": "i"})
    made.delete("a")
    assert_type(made.setdefault("j", "k"), str)
    assert_type(made.get("a"), str | None)
    assert_type(made["a"], str | Any)
    assert_type(made.get_all("a"), list[str] | None)
    assert_type(made.items(), list[tuple[str, str]])


async def requests(request: Request) -> None:
    assert_type(request.method, HTTPMethod)
    for text in (
        request.url, request.cache, request.credentials, request.destination, request.integrity, request.mode, request.redirect,
        request.referrer, request.referrer_policy,
    ):
        assert_type(text, str)
    assert_type((request.body_used, request.keepalive, request.is_history_navigation), tuple[bool, bool, bool])
    assert_type(request.headers, Headers)
    assert_type(request.headers.get("a"), str | None)
    if request.cf is not None:
        assert_type(request.cf["country"], Any)
        assert_type(request.cf.country, Any)
    assert_type(request.body, Any)
    assert_type(await request.text(), str)
    assert_type(await request.bytes(), bytes)
    assert_type(await request.json(parse_float=str), Any)
    assert_type(await request.blob(), Blob)
    assert_type(await request.buffer(), Any)
    assert_type(await request.form_data(), FormData)
    assert_type(await request.formData(), FormData)
    assert_type(request.clone(), Request)
    assert_type(Request("http://host/", **options), Request)
    assert_type(Request(request, method=HTTPMethod.PUT, signal=request.signal).js_object, Any)
    signal = request.signal
    assert_type(signal, AbortSignal)
    assert_type(signal.aborted, bool)
    assert_type(signal.reason, Exception | None)
    signal.throw_if_aborted()
    signal.throwIfAborted()
    await signal.wait()


async def responses() -> Response:
    response = await fetch("http://host/", **options)
    assert_type(response, Response)
    assert isinstance(response, FetchResponse)
    assert_type((response.status, response.status_text, response.url, response.type), tuple[int, str, str, str])
    assert_type((response.ok, response.redirected, response.body_used), tuple[bool, bool, bool])
    assert_type(response.headers, Headers)
    assert_type(await response.text(), str)
    assert_type(await response.bytes(), bytes)
    assert_type(await response.json(), Any)
    assert_type(await response.blob(), Blob)
    assert_type(await response.buffer(), Any)
    assert_type(await response.form_data(), FormData)
    assert_type(await response.formData(), FormData)
    assert_type((response.body, response.js_object, response.js_response), tuple[Any, Any, Any])
    assert_type((response.abort_controller, response.abort_signal, response.js_request), tuple[Any, Any, Any])
    assert_type(await fetch("http://host/", **loose), Response)
    assert_type(response.clone(), Response)
    assert_type(response.replace_body("a"), Response)
    response.raise_for_status()
    response.abort()
    assert_type(Response.json({"a": 1}, status=201), Response)
    assert_type(Response.from_json([1], headers={"a": "b"}), Response)
    assert_type(Response.redirect("http://host/", 301), Response)
    assert_type(Response.error(), Response)
    for body in (None, "text", b"bytes", bytearray(b""), Blob(""), FormData(), pieces(), iter(["a"]), response, from_javascript, ByteStream(response.body)):
        Response(body)
    return Response("text", HTTPStatus.CREATED, "Made", {"a": "b"})


async def keys(kv: KVNamespace) -> None:
    assert_type(await kv.get("a"), str | None)
    assert_type(await kv.get("a", "bytes"), bytes | None)
    assert_type(await kv.get("a", "stream"), ByteStream | None)
    assert_type(await kv.get("a", "json"), Any)
    assert_type(await kv.get(["a"]), dict[str, Any])
    assert_type((await kv.getWithMetadata("a")).metadata, Any)
    assert_type((await kv.get_with_metadata(["a"]))["a"].value, Any)
    await kv.put("a", {"b": [None]}, expiration_ttl=timedelta(minutes=5), metadata=[1])
    await kv.put("a", pieces(), expiration=datetime.now())
    await kv.delete(["a"])
    assert_type((await kv.list(prefix="a"))["keys"], Any)
    assert_type([key async for key in kv.keys()], list[str])
    assert_type(kv.sync.get("a"), str | None)
    assert_type(kv.sync.getWithMetadata("a")["value"], Any)
    assert_type(kv.sync.get_with_metadata("a")["value"], Any)
    assert_type(list(kv.sync.keys()), list[str])
    kv.sync.put("a", "b")
    kv.sync.delete("a")
    assert_type(kv.sync.list().list_complete, Any)


async def objects(bucket: R2Bucket) -> None:
    found = await bucket.get("a")
    assert_type(found, R2ObjectBody | None)
    assert_type(await bucket.get("a", only_if={"etagMatches": "b"}), R2ObjectBody | R2Object | None)
    assert_type(await bucket.get("a", {"range": {"offset": 1}}), Any)
    if found is not None:
        assert_type((found.key, found.version, found.etag, found.httpEtag, found.http_etag, found.storageClass), tuple[str, str, str, str, str, str])
        assert_type((found.size, found.uploaded), tuple[int, datetime])
        for known in (found.httpMetadata, found.http_metadata, found.customMetadata, found.custom_metadata, found.checksums, found.range):
            assert_type(known["a"] if known is not None else None, Any | None)
        found.writeHttpMetadata(Headers())
        found.write_http_metadata({})
        assert_type((found.bodyUsed, found.body_used), tuple[bool, bool])
        assert_type(found.body, ByteStream)
        assert_type(await found.bytes(), bytes)
        assert_type(await found.arrayBuffer(), bytes)
        assert_type(await found.text(), str)
        assert_type(await found.json(), Any)
        assert_type(await found.blob(), Blob)
        view = found.sync
        assert_type((view.bytes(), view.arrayBuffer(), view.text(), view.blob()), tuple[bytes, bytes, str, Blob])
        assert_type(view.json(), Any)
    assert_type(await bucket.head("a"), R2Object | None)
    assert_type(await bucket.put("a", b"b", http_metadata={"contentType": "c"}, custom_metadata={"d": "e"}, md5="f"), R2Object | None)
    await bucket.delete("a")
    assert_type((await bucket.list(prefix="a")).objects, Any)
    upload = await bucket.createMultipartUpload("a")
    assert_type(upload, R2MultipartUpload)
    assert_type(await bucket.create_multipart_upload("a"), R2MultipartUpload)
    assert_type(bucket.resumeMultipartUpload("a", upload.uploadId), R2MultipartUpload)
    assert_type(bucket.resume_multipart_upload("a", upload.uploadId).key, str)
    assert_type(await upload.complete([await upload.uploadPart(1, b"a"), await upload.upload_part(2, "b")]), R2Object)
    await upload.abort()
    assert_type(upload.sync.complete([upload.sync.uploadPart(1, b"a"), upload.sync.upload_part(2, "b")]), R2Object)
    upload.sync.abort()
    assert_type(bucket.sync.get("a"), R2ObjectBody | None)
    assert_type((bucket.sync.head("a"), bucket.sync.put("a", "b")), tuple[R2Object | None, R2Object | None])
    bucket.sync.delete(["a"])
    assert_type(bucket.sync.list()["truncated"], Any)
    assert_type(bucket.sync.createMultipartUpload("a"), R2MultipartUpload)
    assert_type(bucket.sync.create_multipart_upload("a"), R2MultipartUpload)
    assert_type(bucket.sync.resumeMultipartUpload("a", "b"), R2MultipartUpload)
    assert_type(bucket.sync.resume_multipart_upload("a", "b"), R2MultipartUpload)


async def rows(database: D1Database) -> None:
    statement = database.prepare("SELECT ?").bind(1)
    assert_type(statement, D1PreparedStatement)
    result: D1Result = await statement.all()
    assert_type(result.results, Any)
    assert_type((await statement.run())["meta"], Any)
    assert_type(await statement.first("a"), Any)
    assert_type(await statement.raw(column_names=True), list[list[Any]])
    assert_type(await database.batch([statement]), list[D1Result])
    assert_type(await database.exec("SELECT 1"), D1Result)
    session = database.withSession()
    assert_type(session, D1DatabaseSession)
    assert_type(database.with_session("first-primary").prepare("SELECT 1"), D1PreparedStatement)
    assert_type((session.getBookmark(), session.get_bookmark()), tuple[str | None, str | None])
    assert_type(await session.batch([statement]), list[D1Result])
    assert_type((statement.sync.all(), statement.sync.run(), database.sync.exec("SELECT 1")), tuple[D1Result, D1Result, D1Result])
    assert_type((statement.sync.first(), statement.sync.bind(2).raw()), tuple[Any, list[list[Any]]])
    assert_type(database.sync.batch([statement]), list[D1Result])
    assert_type(database.sync.prepare("SELECT 1").all(), D1Result)
    assert_type((database.sync.withSession().getBookmark(), database.sync.with_session().get_bookmark()), tuple[str | None, str | None])
    assert_type(session.sync.prepare("SELECT 1").all(), D1Result)


async def messages(queue: Queue, batch: MessageBatch) -> None:
    await queue.send({"a": 1}, content_type="json", delay_seconds=timedelta(seconds=1))
    await queue.send_batch([{"body": 1}], delay_seconds=1)
    await queue.sendBatch([{"body": 1}])
    queue.sync.send("a")
    queue.sync.send_batch([{"body": 1}])
    queue.sync.sendBatch([{"body": 1}])
    assert_type((batch.queue, len(batch)), tuple[str, int])
    assert_type(batch.messages, list[Message])
    for message in batch:
        assert_type(message, Message)
        assert_type((message.id, message.attempts, message.timestamp), tuple[str, int, datetime])
        assert_type(message.body, Any)
        message.ack()
        message.retry(delay_seconds=5)
    batch.ack_all()
    batch.ackAll()
    batch.retry_all(delay_seconds=1)
    batch.retryAll()


class Counter(RpcTarget):
    def dispose(self) -> None:
        pass


async def calls(other: Service, function: RemoteFunction, stub: RpcStub) -> None:
    assert_type(await other.method(1, name=Counter()), Any)
    assert_type(await other.property, Any)
    assert_type((other.sync.method(1), other.sync.property.get()), tuple[Any, Any])
    assert_type(await other.fetch("http://host/", method="POST"), Response)
    assert_type(other.sync.fetch(Request("http://host/")), Response)
    with function.dup() as kept:
        assert_type(await kept(1), Any)
        assert_type(kept.sync(1), Any)
        kept.on_rpc_broken(lambda error: assert_type(error, Exception))
        kept.onRpcBroken(lambda error: assert_type(error, Exception))
    function.dispose()
    with stub.dup() as same:
        assert_type(await same.method(1), Any)
        assert_type(await same.member.of.it, Any)
        assert_type((same.sync.method(1), same.sync.property.get()), tuple[Any, Any])
        same.on_rpc_broken(lambda error: assert_type(error, Exception))
        same.onRpcBroken(lambda error: assert_type(error, Exception))
    stub.dispose()
    assert_type(python_from_rpc(python_to_rpc({"a": None})), Any)
    try:
        await other.method()
    except RemoteError as error:
        assert_type((error.name, error.binding), tuple[str, str])
    except BindingError as error:
        assert_type((error.binding, error.key, error.sql), tuple[str, str | None, str | None])


async def others(assets: Fetcher, limit: RateLimit, points: AnalyticsEngineDataset) -> None:
    assert_type(await assets.fetch("http://assets/"), Response)
    assert_type(assets.sync.fetch("http://assets/"), Response)
    assert_type((await limit.limit(key="a")).success, Any)
    assert_type(limit.sync.limit({"key": "a"})["success"], Any)
    points.write_data_point(blobs=["a"], doubles=[1.5])
    points.writeDataPoint({"indexes": ["a"]})


def around(context: Context, work: Awaitable[None]) -> None:
    context.wait_until(work)
    context.waitUntil(work)
    wait_until(work)
    waitUntil(work)
    context.pass_through_on_exception()
    context.passThroughOnException()
    assert_type(context.props, dict[str, Any])
    assert_type(context.task, asyncio.Task[None] | None)
    with patch_env({"A": 1}, B=2):
        assert_type(import_from_javascript("cloudflare:workers"), Any)


@before_snapshot
def before() -> None:
    pass


@after_restore
def after() -> None:
    pass


@handler
async def on_fetch(request: Request) -> Response:
    return Response(request.url)


async def application(scope: asgi.Scope, receive: Callable[[], Awaitable[asgi.Message]], send: Callable[[asgi.Message], Awaitable[None]]) -> None:
    await send(await receive())


def gateway(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    return []


Asynchronous = asgi.entrypoint(application, options=asgi.Options(root_path="/a", lifespan="on", encode_body="manual"))
Blocking = wsgi.entrypoint(gateway, options=wsgi.Options(root_path="/a"))
given: BaseOptions = asgi.Options()
assert_type(given.encode_body, Literal["automatic", "manual"])


class Room(DurableObject):
    async def join(self) -> int:
        return self.env.LIMIT


class Flow(WorkflowEntrypoint):
    async def run(self, event: Any, step: Any) -> None:
        raise NonRetryableError("no", name="Own")


class Default(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        assert_type(self.ctx, Context)
        if request.headers.get("upgrade"):
            return await asgi.websocket(application, request, self.env)
        if request.url.endswith("/wsgi"):
            return await wsgi.fetch(gateway, request, self.env, self.ctx)
        return await asgi.fetch(application, request, self.env, self.ctx)

    async def scheduled(self, controller: ScheduledController) -> None:
        assert_type((controller.cron, controller.scheduledTime, controller.type), tuple[str, float, str])
        assert_type(controller.scheduled_time, datetime)
        controller.noRetry()
        controller.no_retry()

    async def queue(self, batch: MessageBatch) -> None:
        await messages(self.env.JOBS, batch)
