import sys

from workers import Response, WorkerEntrypoint


class Nested:
    """Recurses through C code: the repr of a list asks its items for theirs."""

    def __repr__(self):
        return repr([self])


def down(n):
    return down(n + 1) + 1


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/c-code"):
            repr(Nested())
        if request.url.endswith("/deep"):
            sys.setrecursionlimit(1_000_000_000)
            down(0)
        return Response("fine")
