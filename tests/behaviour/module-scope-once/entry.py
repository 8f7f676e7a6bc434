import asyncio

from pyodide.ffi import run_sync
from workers import Response, WorkerEntrypoint

print("module scope runs")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/block"):
            run_sync(asyncio.sleep(0.3))
        return Response("imported")
