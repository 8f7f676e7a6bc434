"""A FastAPI application as a Worker: nothing in it but the last line knows where it runs."""

import asyncio
import hashlib
import time
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, Request, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from workers import asgi


@asynccontextmanager
async def lifespan(app):
    # Once for each isolate, before its first request.
    yield {"begun": time.time()}


app = FastAPI(lifespan=lifespan)
notes: list[str] = []
members: set[WebSocket] = set()


class Item(BaseModel):
    name: str
    price: float = 1.5


@app.get("/")
async def root(request: Request):
    return {"client": request.client.host, "waited": time.time() - request.state.begun >= 0}


@app.get("/sync/{seconds}")
def in_a_thread(seconds: float):
    # Runs outside of the event loop, as everywhere; it may block.
    time.sleep(seconds)
    return {"slept": seconds}


def common(q: str | None = None):
    return {"q": q}


@app.post("/items")
async def make(item: Item, parameters: Annotated[dict, Depends(common)], env: Annotated[object, asgi.env]):
    return {"item": item, "greeting": env.GREETING, **parameters}


@app.post("/upload")
async def upload(file: UploadFile):
    digest = hashlib.sha256()
    while chunk := await file.read(1 << 20):
        digest.update(chunk)
    return {"name": file.filename, "size": file.size, "sha256": digest.hexdigest()}


@app.post("/stream")
async def stream(request: Request):
    digest, size = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
    return {"size": size, "sha256": digest.hexdigest()}


@app.get("/events")
async def events():
    async def ticks():
        for i in range(3):
            yield f"data: {i}\n\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(ticks(), media_type="text/event-stream")


def write_note(text: str):
    notes.append(text)


@app.post("/notes/{text}")
async def later(text: str, tasks: BackgroundTasks):
    tasks.add_task(write_note, text)
    return {"accepted": text}


@app.get("/notes")
def all_notes():
    return notes


@app.websocket("/chat/{name}")
async def chat(socket: WebSocket, name: str):
    await socket.accept()
    members.add(socket)
    try:
        while True:
            text = await socket.receive_text()
            for member in members:
                await member.send_text(f"{name}: {text}")
    except WebSocketDisconnect:
        members.discard(socket)


Default = asgi.entrypoint(app)
