import js
from pyodide.ffi import to_js
from workers import Response, WorkerEntrypoint

MEGABYTE = 1 << 20


class Knot:
    """Only a cycle collector frees it."""

    def __init__(self, size):
        self.content = bytearray(size)
        self.itself = self


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "body":
                return Response(await request.bytes())
            case "python":
                Knot(10 * MEGABYTE)
            case "javascript":
                knot = js.Object.new()
                knot.content = js.Uint8Array.new(10 * MEGABYTE)
                knot.itself = knot
            case "border":
                # In one turn.
                for _ in range(60):
                    to_js(bytes(10 * MEGABYTE))
            case "both":
                knot = Knot(MEGABYTE)
                knot.content = js.Uint8Array.new(10 * MEGABYTE)
                knot.calls = [js.Promise.resolve(knot.content)]
        return Response("ok")
