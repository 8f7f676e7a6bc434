"""A Litestar application as a Worker."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Annotated

from litestar import Litestar, Request, WebSocket, get, post, websocket, websocket_listener
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State, UploadFile
from litestar.enums import RequestEncodingType
from litestar.exceptions import WebSocketDisconnect
from litestar.params import Body
from litestar.response import Response, ServerSentEvent
from workers import asgi


@dataclass
class Item:
    name: str
    price: float = 1.5


async def begin(app: Litestar) -> None:
    app.state.begun = True


@get("/")
async def root(request: Request, state: State) -> dict:
    return {"client": request.client.host, "begun": state.begun}


@get("/blocking", sync_to_thread=True)
def blocking() -> str:
    return "from a thread"


@get("/direct", sync_to_thread=False)
def direct() -> str:
    return "directly"


@post("/items")
async def make(data: Item) -> Item:
    return Item(data.name.upper(), data.price)


@get("/events")
async def events() -> ServerSentEvent:
    async def ticks():
        for i in range(3):
            yield str(i)
            await asyncio.sleep(0.05)

    return ServerSentEvent(ticks())


@websocket_listener("/shout")
async def shout(data: str) -> str:
    return data.upper()


@post("/upload", status_code=200, request_max_body_size=None)
async def upload(data: Annotated[dict[str, UploadFile], Body(media_type=RequestEncodingType.MULTI_PART)]) -> dict:
    file, digest = data["file"], hashlib.sha256()
    size = 0
    while chunk := await file.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
    return {"name": file.filename, "size": size, "sha256": digest.hexdigest()}


@post("/stream", status_code=200, request_max_body_size=None)
async def stream(request: Request) -> dict:
    digest, size = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
    return {"size": size, "sha256": digest.hexdigest()}


done: list[str] = []


async def remember(text: str) -> None:
    await asyncio.sleep(0.05)
    done.append(text)


@get("/background")
async def background() -> Response[list[str]]:
    return Response(list(done), background=BackgroundTask(remember, "one more"))


#: Who is in the chat.
members: set[WebSocket] = set()


@websocket("/chat/{name:str}")
async def chat(socket: WebSocket, name: str) -> None:
    await socket.accept()
    members.add(socket)
    try:
        while True:
            text = await socket.receive_text()
            for member in list(members):
                await member.send_text(f"{name}: {text}")
    except WebSocketDisconnect:
        pass
    finally:
        members.discard(socket)


app = Litestar([root, blocking, direct, make, events, shout, upload, stream, background, chat], on_startup=[begin])

Default = asgi.entrypoint(app)
