from js import JSON
from pyodide.code import run_js
from pyodide.ffi import JsException
from workers import Response, WorkerEntrypoint

down = run_js("function down(n) { return down(n + 1) + 1; } down")


def deep(run):
    try:
        run()
    except JsException as error:
        return error.name
    return "fine"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/uncaught"):
            down(0)
        if request.url.endswith("/caught"):
            try:
                down(0)
            except JsException as error:
                return Response(error.name)
        if request.url.endswith("/json"):
            # Two stacks can end: the engine's own in memory, and the machine's.
            found = [deep(lambda: JSON.parse("[" * n + "]" * n).to_py()) for n in (1_000, 10_000, 1_000_000)]
            found.append(deep(lambda: JSON.parse('{"a":' * 1_000_000)))
            return Response(" ".join(found))
        return Response("fine")
