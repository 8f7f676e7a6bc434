import asyncio
import time

from workers import Response, WorkerEntrypoint


def compute(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/slices"):
            while True:
                compute(0.02)
                await asyncio.sleep(0.001)
        compute(0.1)
        await asyncio.sleep(0.5)
        compute(0.1)
        return Response("fine")
