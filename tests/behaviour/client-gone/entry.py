import asyncio

from js import TextEncoder, TransformStream
from workers import Response, WorkerEntrypoint


aborted = []


async def forever(ended):
    try:
        while True:
            yield "begun"
            await asyncio.sleep(0.01)
    finally:
        ended.set()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "read":
                return Response(await request.text())
            case "slow":
                await asyncio.sleep(0.2)
                return Response("too late")
            case "late":

                ended = asyncio.Event()

                async def note():
                    await ended.wait()
                    # JavaScript has not known of the request until now.
                    aborted.append(request.signal.aborted)

                self.ctx.wait_until(note())
                return Response(forever(ended))
            case "aborted":
                return Response.json(aborted)
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
