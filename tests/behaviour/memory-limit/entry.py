import pyodide_js
from workers import Response, WorkerEntrypoint

memory = pyodide_js._module


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        blocks, most = [], 0
        try:
            while True:
                blocks.append(bytearray(60 << 10))
                most = max(most, memory.HEAPU8.byteLength)
        except MemoryError:
            blocks.clear()
        return Response.json({"most": most})
