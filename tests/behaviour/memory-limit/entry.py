import pyodide_js
from workers import Response, WorkerEntrypoint

memory = pyodide_js._module


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        blocks = []
        try:
            while True:
                blocks.append(bytearray(60 << 10))
        except MemoryError:
            blocks.clear()
        # It never becomes smaller, and JavaScript has room again.
        return Response.json({"most": memory.HEAPU8.byteLength})
