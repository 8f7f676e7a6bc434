import asyncio

from workers import Response, WorkerEntrypoint

ticks = 0


async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.01)


task = asyncio.ensure_future(tick())


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        before = ticks
        await asyncio.sleep(0.1)
        return Response(f"ticking: {ticks > before}")
