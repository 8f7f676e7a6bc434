"""Sockets that clients open, and one that the Worker opens to itself."""

import asyncio
from urllib.parse import urlsplit

from js import WebSocket, WebSocketPair
from pyodide.ffi import create_proxy
from workers import Response, WorkerEntrypoint


def echo(server):
    def on_message(event):
        data = event.data
        if data == "close":
            server.close(4001, "as you wish")
        elif data == "fail":
            raise ValueError("a failing listener")
        else:
            server.send(data)

    server.addEventListener("message", create_proxy(on_message))


async def slowly(server):
    async def on_message(event):
        await asyncio.sleep(0.01)
        server.send(f"later: {event.data}")

    server.addEventListener("message", create_proxy(on_message))


def pair():
    client, server = WebSocketPair.new().object_values()
    server.accept()
    return client, server


async def call_myself(url):
    socket = WebSocket.new(url.replace("/call", "/echo"), "chat")
    answers = asyncio.Queue()
    socket.addEventListener("message", create_proxy(lambda event: answers.put_nowait(event.data)))
    socket.addEventListener("close", create_proxy(lambda event: answers.put_nowait([event.code, event.reason])))
    opened = asyncio.get_running_loop().create_future()
    socket.addEventListener("open", create_proxy(lambda event: opened.set_result(socket.readyState)))
    found = [await opened, socket.protocol]
    socket.send("hällo")
    found.append(await answers.get())
    socket.send("x" * 1000)
    found.append(len(await answers.get()))
    socket.send("close")
    found.append(await answers.get())
    return found


async def refused(url):
    socket = WebSocket.new(url)
    events = asyncio.Queue()
    for name in ("open", "error", "close"):
        socket.addEventListener(name, create_proxy(lambda event: events.put_nowait(event.type)))
    return [await events.get(), await events.get(), socket.readyState]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match urlsplit(request.url).path:
            case "/echo" if request.headers.get("upgrade") == "websocket":
                client, server = pair()
                echo(server)
                offered = request.headers.get("sec-websocket-protocol")
                headers = {"sec-websocket-protocol": offered.split(",")[0]} if offered else {}
                return Response(None, status=101, web_socket=client, headers=headers)
            case "/slow":
                client, server = pair()
                await slowly(server)
                return Response(None, status=101, web_socket=client)
            case "/greet":
                client, server = pair()
                server.send("before the handshake")
                return Response(None, web_socket=client)
            case "/refuse":
                return Response("not here", status=403)
            case "/call":
                return Response.json(await call_myself(request.url))
            case "/call-nobody":
                return Response.json(await refused(request.url.replace("/call-nobody", "/refuse")))
        return Response("no socket")
