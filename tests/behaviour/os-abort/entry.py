import os

from workers import Response, WorkerEntrypoint

count = 0


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        global count
        if request.url.endswith("/abort"):
            os.abort()
        count += 1
        return Response(str(count))
