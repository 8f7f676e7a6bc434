import asyncio

from js import TextEncoder, TransformStream
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        stream = TransformStream.new()

        async def produce():
            writer = stream.writable.getWriter()
            encoder = TextEncoder.new()
            for i in range(5):
                await asyncio.sleep(0.01)
                await writer.write(encoder.encode(f"chunk {i}\n"))
            await writer.close()

        self.ctx.waitUntil(produce())
        return Response(stream.readable)
