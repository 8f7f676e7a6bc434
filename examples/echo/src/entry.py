from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        body = await request.bytes()
        kind = request.headers.get("content-type") or "application/octet-stream"
        return Response(body, headers={"content-type": kind})
