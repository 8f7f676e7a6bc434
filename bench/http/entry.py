"""What `./x bench http` asks for: a greeting, a body on its way to or from the server that the path names, and WebSockets."""

import js
from js import WebSocketPair
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = request.url.split("/", 3)[3]
        if path == "":
            return Response("Hello from Python!")
        if path == "socket":
            client, server = WebSocketPair.new().object_values()
            server.accept()
            return Response(None, status=101, web_socket=client)
        kind, port = path.split("/")
        there = f"http://127.0.0.1:{port}/"
        if kind == "pass":
            return await js.fetch(there, request.js_object)
        if request.method == "POST":
            count = 0
            async for chunk in request.js_object.body:
                count += chunk.byteLength
            return Response(f"{count}")
        return Response(pieces(await js.fetch(there)))


async def pieces(response):
    """Every byte goes through Python."""
    async for chunk in response.body:
        yield chunk.to_bytes()
