import asyncio

from workers import Response, WorkerEntrypoint


async def work(fail):
    await asyncio.sleep(0.3)
    if fail:
        raise RuntimeError("work failed")
    print("work done after the response")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        self.ctx.waitUntil(work(request.url.endswith("/fail")))
        return Response("answered")
