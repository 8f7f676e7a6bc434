import gzip

import js
from js import FixedLengthStream, Headers, Object
from js import Response as JsResponse
from pyodide.ffi import to_js
from workers import Response, WorkerEntrypoint, asgi


async def app(scope, receive, send):
    headers = [(b"content-encoding", b"br")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"said to be brotli"})


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = request.url.rsplit("/", 1)[1]
        if path == "fixed":
            transform = FixedLengthStream.new(5)
            writer = transform.writable.getWriter()
            writer.write(js.TextEncoder.new().encode("12345"))
            writer.close()
            return JsResponse.new(transform.readable)
        if path == "manual":
            headers = Headers.new()
            headers.set("content-encoding", "gzip")
            init = to_js({"encodeBody": "manual", "headers": headers}, dict_converter=Object.fromEntries)
            return JsResponse.new("as it is", init)
        if path == "asgi":
            # As a framework's middleware: whatever it says is so already.
            return await asgi.fetch(app, request, self.env)
        if path == "framework":
            # As who knows nothing of encodeBody.
            return Response(gzip.compress(b"once"), headers={"content-encoding": "gzip"})
        if path == "part":
            return Response("part", status=206, headers={"content-encoding": "gzip", "content-range": "bytes 0-3/9"})
        return Response("text " * 1000, headers={"content-encoding": path})
