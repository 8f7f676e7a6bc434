from pyodide.code import run_js
from pyodide.ffi import JsException
from workers import Response, WorkerEntrypoint

down = run_js("function down(n) { return down(n + 1) + 1; } down")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/uncaught"):
            down(0)
        if request.url.endswith("/caught"):
            try:
                down(0)
            except JsException as error:
                return Response(error.name)
        return Response("fine")
