"""Runs the benchmarks in taipan; `bench/peer/pyodide.mjs` is its counterpart on Node."""

from urllib.parse import unquote, urlsplit

from sample import answer
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(await answer(unquote(urlsplit(request.url).path[1:])))
