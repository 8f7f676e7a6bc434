from workers import Response, WorkerEntrypoint

count = 0


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        global count
        count += 1
        if request.url.endswith("/raise"):
            raise RuntimeError("on purpose")
        return Response(str(count))
