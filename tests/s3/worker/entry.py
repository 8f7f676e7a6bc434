from urllib.parse import urlsplit

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        """What the Worker sees of an object that a client of S3's has put."""
        found = await self.env.THINGS.get(urlsplit(request.url).path[1:])
        return Response.json(
            {
                "text": await found.text(),
                "type": found.httpMetadata.contentType,
                "custom": dict(found.customMetadata),
                "sums": {name: value.hex() for name, value in found.checksums.items()},
            }
        )
