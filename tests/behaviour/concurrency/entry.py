import asyncio

from workers import Response, WorkerEntrypoint

running = 0
most = 0


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        global running, most
        if request.url.endswith("/most"):
            return Response(str(most))
        others = running
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1
        return Response(f"slept after {others} others had begun")
