"""A Litestar application as a Worker."""

import asyncio
from dataclasses import dataclass

from litestar import Litestar, Request, get, post, websocket_listener
from litestar.datastructures import State
from litestar.response import ServerSentEvent
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


app = Litestar([root, blocking, direct, make, events, shout], on_startup=[begin])

Default = asgi.entrypoint(app)
