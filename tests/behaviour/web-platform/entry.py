"""Runs the JavaScript of suites/, which is written after the standards' texts, inside the Worker."""

from pathlib import Path

import js
from workers import Response, WorkerEntrypoint

HERE = Path(__file__).parent


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.rsplit("/", 1)[1]
        run = js.eval((HERE / "harness.js").read_text())
        result = await run((HERE / "suites" / f"{name}.js").read_text())
        return Response(result, headers={"content-type": "application/json"})
