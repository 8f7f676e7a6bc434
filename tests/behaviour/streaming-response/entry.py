import asyncio

from js import TextEncoder, TransformStream
from workers import Response, WorkerEntrypoint


fed = asyncio.Event()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/feed"):
            fed.set()
            return Response("fed")
        stream = TransformStream.new()

        async def produce():
            writer = stream.writable.getWriter()
            encoder = TextEncoder.new()
            if request.url.endswith("/fed"):
                await writer.write(encoder.encode("first"))
                await fed.wait()
                await writer.write(encoder.encode(" second"))
                await writer.close()
                return
            for i in range(5):
                await asyncio.sleep(0.01)
                await writer.write(encoder.encode(f"chunk {i}\n"))
            await writer.close()

        self.ctx.waitUntil(produce())
        return Response(stream.readable)
