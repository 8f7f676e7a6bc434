"""What the page in page.html asks for; it reports what came of it to /report, which prints it."""

import asyncio
from pathlib import Path

import js
from js import Headers, TransformStream, WebSocketPair
from js import Response as JsResponse
from pyodide.ffi import create_proxy
from workers import Response, WorkerEntrypoint

PAGE = (Path(__file__).parent / "page.html").read_text()
released = asyncio.Event()


def streamed(produce, content_type):
    """A response whose body `produce` writes, piece by piece."""
    transform = TransformStream.new()
    writer = transform.writable.getWriter()

    async def run():
        try:
            await produce(lambda text: writer.write(js.TextEncoder.new().encode(text)))
            await writer.close()
        except Exception as e:
            print("the client is gone:", type(e).__name__)

    headers = Headers.new()
    headers.set("content-type", content_type)
    return JsResponse.new(transform.readable, headers=headers), run()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = js.URL.new(request.url).pathname
        return await getattr(self, path[1:] or "page")(request)

    async def page(self, request):
        return Response(PAGE, headers={"content-type": "text/html; charset=utf-8"})

    async def socket(self, request):
        client, server = WebSocketPair.new().object_values()
        server.accept()

        def on_message(event):
            if isinstance(event.data, str):
                server.send(event.data.upper())
            else:
                server.send(event.data)

        server.addEventListener("message", create_proxy(on_message))
        return Response(None, status=101, web_socket=client)

    async def events(self, request):
        last = request.headers.get("last-event-id")

        async def produce(write):
            await write("retry: 10\n\n")
            if last is None:
                await write("id: 1\ndata: first\ndata: line\n\n")
                return
            await write(f"event: again\ndata: after {last}\n\n")
            # Held open: the browser closes it.
            while True:
                await asyncio.sleep(0.05)
                await write(": still there\n\n")

        response, work = streamed(produce, "text/event-stream")
        self.ctx.waitUntil(work)
        return response

    async def stream(self, request):
        async def produce(write):
            await write("first")
            # The page has to see it before there is more.
            await released.wait()
            await write(" second")

        response, work = streamed(produce, "text/plain")
        self.ctx.waitUntil(work)
        return response

    async def release(self, request):
        released.set()
        return Response("released")

    async def upload(self, request):
        form = await request.js_object.formData()
        file = form.get("file")
        data = (await file.arrayBuffer()).to_bytes()
        return Response.json(
            {"text": form.get("text"), "name": file.name, "type": file.type, "size": len(data), "sum": sum(data)}
        )

    async def report(self, request):
        print("report:", await request.text())
        return Response("thanks")
