from pyodide.code import run_js
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/python"):
            while True:
                pass
        if request.url.endswith("/javascript"):
            run_js("() => { for (;;); }")()
        return Response("fine")
