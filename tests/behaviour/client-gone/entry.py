import asyncio

from js import TextEncoder, TransformStream
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "read":
                return Response(await request.text())
            case "slow":
                await asyncio.sleep(0.2)
                return Response("too late")
            case "stream":
                stream = TransformStream.new()

                async def produce():
                    writer = stream.writable.getWriter()
                    chunk = TextEncoder.new().encode("x" * 65536)
                    for _ in range(200):
                        await writer.write(chunk)
                    await writer.close()

                self.ctx.waitUntil(produce())
                return Response(stream.readable)
        return Response("fine")
