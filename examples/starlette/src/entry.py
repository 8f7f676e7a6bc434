"""A Starlette application as a Worker."""

import asyncio
import hashlib

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from workers import asgi


class Marked(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-marked"] = "yes"
        return response


class Echo(HTTPEndpoint):
    async def get(self, request):
        return JSONResponse({"query": dict(request.query_params), "url": str(request.url.path)})

    async def post(self, request):
        return StreamingResponse(request.stream())


async def ticks(request):
    async def events():
        for i in range(3):
            yield f"data: {i}\n\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(events(), media_type="text/event-stream")


def blocking(request):
    return PlainTextResponse("from a thread")


async def upload(request):
    """A form's file, which Starlette keeps in a temporary file: in the sandbox's memory."""
    async with request.form() as form:
        file, digest = form["file"], hashlib.sha256()
        while chunk := await file.read(1 << 20):
            digest.update(chunk)
        return JSONResponse({"name": file.filename, "size": file.size, "sha256": digest.hexdigest()})


async def stream(request):
    digest, size = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
    return JSONResponse({"size": size, "sha256": digest.hexdigest()})


done = []


async def background(request):
    return JSONResponse(done, background=BackgroundTask(done.append, "one more"))


async def long(request):
    return PlainTextResponse("again and " * 1000)


#: Who is in the chat.
members = set()


class Chat(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, socket):
        await socket.accept()
        members.add(socket)

    async def on_receive(self, socket, data):
        for member in list(members):
            await member.send_text(f"{socket.path_params['name']}: {data}")

    async def on_disconnect(self, socket, close_code):
        members.discard(socket)


class Shout(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, socket):
        await socket.accept(subprotocol="shout" if "shout" in socket.scope["subprotocols"] else None)

    async def on_receive(self, socket, data):
        await socket.send_text(data.upper())


app = Starlette(
    routes=[
        Mount("/api", routes=[Route("/echo", Echo)]),
        Route("/events", ticks),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream, methods=["POST"]),
        Route("/blocking", blocking),
        Route("/background", background),
        Route("/long", long),
        WebSocketRoute("/shout", Shout),
        WebSocketRoute("/chat/{name}", Chat),
    ],
    middleware=[Middleware(GZipMiddleware), Middleware(Marked)],
)

Default = asgi.entrypoint(app)
