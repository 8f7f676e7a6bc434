import hashlib

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/ignore"):
            return Response("ignored")
        body = await request.bytes()
        if request.url.endswith("/digest"):
            return Response(hashlib.sha256(body).hexdigest())
        return Response(body)
