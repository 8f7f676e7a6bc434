"""Runs a file of the Web Platform Tests inside the Worker. The files, and what they fetch, are its assets."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import js
from pyodide.ffi import create_proxy
from workers import Response, WorkerEntrypoint

HERE = Path(__file__).parent
OURS = "/urlpattern.any.js"

run = js.eval((HERE / "harness.js").read_text())


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlsplit(request.url)

        async def read(path):
            if path == OURS:
                return (HERE / path[1:]).read_text()
            response = await self.env.ASSETS.fetch(f"http://tests{path}")
            return await response.text() if response.ok else None

        proxy = create_proxy(read)
        try:
            result = await run(url.path, f"?{unquote(url.query)}" if url.query else "", proxy)
        finally:
            proxy.destroy()
        return Response(result, headers={"content-type": "application/json"})
