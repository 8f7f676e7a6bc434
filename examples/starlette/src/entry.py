"""A Starlette application as a Worker."""

import asyncio

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


done = []


async def background(request):
    return JSONResponse(done, background=BackgroundTask(done.append, "one more"))


async def long(request):
    return PlainTextResponse("again and " * 1000)


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
        Route("/blocking", blocking),
        Route("/background", background),
        Route("/long", long),
        WebSocketRoute("/shout", Shout),
    ],
    middleware=[Middleware(GZipMiddleware), Middleware(Marked)],
)

Default = asgi.entrypoint(app)
