import asyncio

from workers import Response, WorkerEntrypoint

active = 0


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        global active
        active += 1
        try:
            seen = active
            await asyncio.sleep(1)
            return Response(f"{seen} requests were being handled when this one came\n")
        finally:
            active -= 1
