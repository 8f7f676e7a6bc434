from workers import Response, WorkerEntrypoint

while True:
    pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("started")
