"""An ASGI application without a framework: what the server promises, message by message."""

import asyncio
import hashlib
import json

from workers import Response, WorkerEntrypoint, asgi

log: list[str] = []
subscribers: list[asyncio.Queue] = []


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        await asyncio.sleep(0.05)
        scope["state"]["starts"] = scope["state"].get("starts", 0) + 1
        log.append("startup")
        await send({"type": "lifespan.startup.complete"})
        await receive()
    elif scope["type"] == "websocket":
        await socket(scope, receive, send)
    else:
        await globals()[scope["path"].split("/")[1].replace("-", "_") or "root"](scope, receive, send)


async def answer(send, body, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body if isinstance(body, bytes) else json.dumps(body).encode()})


async def scope(scope, receive, send):
    shown = {
        key: scope[key].decode() if isinstance(scope[key], bytes) else scope[key]
        for key in ("type", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path")
    }
    shown["host"] = [v.decode() for n, v in scope["headers"] if n == b"x-twice"]
    shown["client"] = scope["client"][0]
    shown["server"] = scope["server"][0]
    shown["ports"] = all(isinstance(scope[end][1], int) for end in ("client", "server"))
    shown["state"] = scope["state"]
    shown["env"] = scope["env"].NAME
    shown["log"] = log
    await answer(send, shown)


async def cookies(scope, receive, send):
    await answer(send, b"", 204, [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-text", "h\u00e9".encode())])


async def echo(scope, receive, send):
    """Sends each part back before it asks for the next."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def digest(scope, receive, send):
    digest, size, parts = hashlib.sha256(), 0, 0
    while True:
        message = await receive()
        digest.update(message["body"])
        size += len(message["body"])
        parts += 1
        if not message["more_body"]:
            break
    await answer(send, {"size": size, "in parts": parts > 10, "sha256": digest.hexdigest()})


async def events(scope, receive, send):
    """The second event comes when another request asks for it."""
    queue = asyncio.Queue()
    subscribers.append(queue)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for _ in range(2):
        data = await queue.get()
        await send({"type": "http.response.body", "body": f"data: {data}\n\n".encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    subscribers.remove(queue)


async def publish(scope, receive, send):
    while not subscribers:
        await asyncio.sleep(0.01)
    for queue in subscribers:
        queue.put_nowait("first")
        if scope["query_string"]:
            queue.put_nowait("second")
    await answer(send, b"published")


async def background(scope, receive, send):
    await answer(send, b"answered")
    await asyncio.sleep(0.1)
    log.append("background")
    print("background is done")


async def late(scope, receive, send):
    await answer(send, b"answered")
    assert (await receive())["type"] == "http.disconnect"
    raise ValueError("after the response")


async def early(scope, receive, send):
    raise ValueError("before the response")


async def broken(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    raise ValueError("in the middle")


async def nothing(scope, receive, send):
    pass


async def twice(scope, receive, send):
    await answer(send, b"once")
    try:
        await answer(send, b"twice")
    except RuntimeError as error:
        print("refused:", error)


async def split(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"bad name", b"x")]})


async def gone(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    assert (await receive())["type"] == "http.request"
    message = await receive()
    log.append(message["type"])
    print("told:", message["type"])


async def flood(scope, receive, send):
    """For a client that leaves."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    except OSError as error:
        print("flood ended:", type(error).__name__)
        raise


async def head(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
    await send({"type": "http.response.body", "body": b"01234", "more_body": True})
    await send({"type": "http.response.body", "body": b"56789"})


async def file(scope, receive, send):
    """A file that the server sends."""
    path = "/tmp/file"
    with open(path, "wb") as file:
        file.write(bytes(range(251)) * 4000)
    headers = [(b"content-length", b"1004000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    assert "http.response.pathsend" in scope["extensions"]
    await send({"type": "http.response.pathsend", "path": path})


sent = [0]
enough = asyncio.Event()


async def unread(scope, receive, send):
    """Sends as long as there is room."""
    sent[0] = 0
    enough.clear()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while not enough.is_set():
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        sent[0] += 65536
    await send({"type": "http.response.body", "body": b"the end"})


async def pressure(scope, receive, send):
    """How much was sent when nothing more is."""
    before = -1
    while before != sent[0]:
        before = sent[0]
        await asyncio.sleep(0.3)
    enough.set()
    await answer(send, {"few": 0 < sent[0] < 8 << 20, "sent": sent[0]})


async def late_reader(scope, receive, send):
    await asyncio.sleep(0.5)
    await digest(scope, receive, send)


async def trailers(scope, receive, send):
    headers = [(b"trailer", b"x-digest")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
    await send({"type": "http.response.body", "body": b"body"})
    await send({"type": "http.response.trailers", "headers": [(b"x-digest", b"abc")]})


async def socket(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/ws/refused":
        return await send({"type": "websocket.close"})
    if scope["path"] == "/ws/denied":
        headers = [(b"x-why", b"because")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        return await send({"type": "websocket.http.response.body", "body": b"not you"})
    if scope["path"] == "/ws/failed":
        raise ValueError("before accepting")
    await asyncio.sleep(0.01)
    protocol = scope["subprotocols"][0] if scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": protocol, "headers": [(b"x-greeting", b"hello")]})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            print("disconnected:", message["code"], message["reason"])
            return
        if message.get("text") == "close":
            return await send({"type": "websocket.close", "code": 4001, "reason": "as asked"})
        if message.get("text") == "fail":
            raise ValueError("after accepting")
        if message.get("text") == "big":
            for _ in range(64):
                await send({"type": "websocket.send", "bytes": b"b" * 100_000})
            await send({"type": "websocket.send", "text": "all sent"})
        elif message.get("text") == "state":
            await send({"type": "websocket.send", "text": json.dumps([scope["scheme"], scope["state"]["starts"]])})
        elif message.get("bytes") is not None:
            await send({"type": "websocket.send", "bytes": message["bytes"]})
        else:
            await send({"type": "websocket.send", "text": message["text"]})


mounted = asgi.Options(root_path="/scope/api", lifespan="off")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.headers.get("upgrade") == "websocket":
            return await asgi.websocket(app, request, self.env)
        if request.url.endswith("/scope/api/mounted"):
            return await asgi.fetch(app, request, self.env, options=mounted)
        if request.url.endswith("/js"):
            # By way of JavaScript's twins.
            response = await asgi.fetch(app, request.js_object, self.env)
            return Response(response.js_object, headers={"x-js": "1"})
        if request.url.endswith("/generated"):
            return Response((f"{i}\n" for i in range(3)))
        if request.url.endswith("/generated-later"):
            return Response(later())
        response = await asgi.fetch(app, request, self.env, self.ctx)
        response.headers["x-added"] = "by the handler"
        return response


async def later():
    try:
        yield "begun\n"
        await asyncio.sleep(3600)
    finally:
        print("the generator was closed")
