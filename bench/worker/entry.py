"""Runs the benchmarks in taipan; `bench/peer/pyodide.mjs` is its counterpart on Node."""

from urllib.parse import unquote, urlsplit

import bindings
from sample import answer
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if urlsplit(request.url).path == "/object":
            return await self.object(request)
        return Response(await answer(unquote(urlsplit(request.url).path[1:])))

    async def queue(self, batch):
        bindings.arrived(len(batch))

    async def object(self, request):
        """An object of a bucket, up and down."""
        if request.method == "PUT":
            return Response(str((await self.env.BUCKET.put("object", request.js_object.body)).size))
        return Response((await self.env.BUCKET.get("object")).body)
