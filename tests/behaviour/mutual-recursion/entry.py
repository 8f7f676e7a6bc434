from pyodide.code import run_js
from workers import Response, WorkerEntrypoint

call = run_js("(f, n) => f(n + 1)")


def down(n):
    return call(down, n)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/deep"):
            down(0)
        return Response("fine")
