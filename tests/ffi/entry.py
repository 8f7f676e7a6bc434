"""Answers which cases there are, and runs one."""

from urllib.parse import unquote, urlsplit

import suite
from workers import Response, WorkerEntrypoint

suite.load("taipan")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = unquote(urlsplit(request.url).path)[1:]
        if not name:
            return Response.json(suite.names())
        return Response.json(await suite.run(name))
