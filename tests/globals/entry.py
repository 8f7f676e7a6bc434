"""Answers with the names that the global scope has."""

from pathlib import Path

import js
from workers import Response, WorkerEntrypoint

source = (Path(__file__).parent / "names.js").read_text().replace("export function", "function")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(js.eval(f"{source}\nJSON.stringify(names())"))
