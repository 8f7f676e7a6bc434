import sys

from workers import Response, WorkerEntrypoint


class Nested:
    def __repr__(self):
        return repr([self])


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/deep"):
            sys.setrecursionlimit(1_000_000_000)
            repr(Nested())
        return Response("fine")
