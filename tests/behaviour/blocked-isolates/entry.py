import asyncio

from pyodide.ffi import run_sync
from workers import Response, WorkerEntrypoint

inside = 0


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        global inside
        if not request.url.endswith("/block"):
            return Response("free")
        inside += 1
        run_sync(asyncio.sleep(1))
        others = inside - 1
        inside -= 1
        return Response("blocked alone" if others == 0 else f"blocked with {others} others")
