import asyncio

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        print("began")
        await asyncio.sleep(1)
        return Response("finished")
