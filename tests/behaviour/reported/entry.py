"""Bugs that users of Python Workers have reported elsewhere, as programs that must work here."""

import asyncio
import datetime
import json
import threading
import urllib.parse
import zlib

import at_import
from workers import Response, WorkerEntrypoint, asgi


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                scope["state"]["since"] = "startup"
            await send({"type": message["type"] + ".complete"})
    path, bucket = scope["path"], scope["env"].BUCKET
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") is not None:
                await send({"type": "websocket.send", "text": message["text"]})
            else:
                await send({"type": "websocket.send", "bytes": message["bytes"]})
        return print("closed with", message["code"])
    if path == "/objects/whole" and scope["method"] == "PUT":
        parts = []
        while True:
            message = await receive()
            parts.append(message["body"])
            if not message["more_body"]:
                break
        await bucket.put("big", b"".join(parts))
        return await respond(send, b"put")
    if path == "/objects/whole":
        return await respond(send, await (await bucket.get("big")).bytes())
    if path == "/objects/streamed":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for part in (await bucket.get("big")).body:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        return await send({"type": "http.response.body", "body": b""})
    if path == "/late":
        # What a request has is there after its response has begun, and after it.
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.body", "body": str(size).encode()})
        await asyncio.sleep(0.02)
        await bucket.put("after", dict(scope["headers"])[b"host"])
        return None
    if path == "/after":
        found = await bucket.get("after")
        return await respond(send, await found.bytes() if found else b"nothing")
    if path == "/cookies":
        return await respond(send, b"ok", [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"set-cookie", b"c=3")])
    if path == "/state":
        return await respond(send, scope["state"]["since"].encode())
    if path == "/chunks":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for i in range(200):
            await send({"type": "http.response.body", "body": f"{i} ".encode() * 100, "more_body": True})
            if i % 20 == 0:
                await asyncio.sleep(0.001)
        return await send({"type": "http.response.body", "body": b"end"})


async def respond(send, body, headers=()):
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/import-time"):
            return Response(await at_import.use())
        if request.headers.get("upgrade"):
            return await asgi.websocket(app, request, self.env)
        return await asgi.fetch(app, request, self.env, self.ctx)

    async def scheduled(self, controller):
        """What small jobs do, with nothing but the standard library."""
        when = datetime.datetime.fromtimestamp(controller.scheduledTime / 1000, datetime.UTC)
        text = json.dumps({"at": when.isoformat(), "query": urllib.parse.urlencode({"a": "ä"})})
        assert json.loads(zlib.decompress(zlib.compress(text.encode())))["query"] == "a=%C3%A4"
        done = []
        thread = threading.Thread(target=done.append, args=(1,))
        thread.start()
        thread.join()
        assert done == [1]
        print("the job ran")
