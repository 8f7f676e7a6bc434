import asyncio

import js
from pyodide.ffi import to_js
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = js.URL.new("../b?q=ä", "https://example.com:8080/x/y/z/../")
        headers = js.Headers.new()
        headers.append("Accept", "a")
        headers.append("accept", "b")
        random = js.Uint8Array.new(16)
        js.crypto.getRandomValues(random)
        start = js.performance.now()
        await asyncio.sleep(0.01)
        controller = js.AbortController.new()
        controller.abort()
        return Response.json(
            {
                "url": [url.host, url.pathname.replace("/x", ""), url.search, url.searchParams.get("q")],
                "encoded": js.TextEncoder.new().encode("ä🐍").to_bytes().hex(),
                "decoded": js.TextDecoder.new().decode(to_js("ä🐍".encode())),
                "headers": [headers.get("ACCEPT"), None if not headers.has("x") else "x"],
                "uuid": len(js.crypto.randomUUID()) == 36 and js.crypto.randomUUID() != js.crypto.randomUUID(),
                "random": [random.length, any(random.to_py())],
                "clock": 5 < js.performance.now() - start < 5000,
                "base64": [js.btoa("hi"), js.atob("aGk=")],
                "abort": controller.signal.reason.name,
                "clone": list(js.structuredClone(to_js([1, 2]))),
            }
        )
