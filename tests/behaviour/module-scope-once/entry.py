import time

from workers import Response, WorkerEntrypoint

print("module scope runs")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/block"):
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                pass
        return Response("imported")
