"""A Worker that is loaded, asked a few things and unloaded before the base snapshot is taken.

What Python and JavaScript do once — import a module when it is first needed, specialise bytecode, fill caches — is done
then, and lies in pages that all isolates share.
"""

import asyncio

from js import Response as JsResponse
from workers import Request, Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        if request.method == "POST":
            await asyncio.sleep(0)
            return Response.json({"waited": True}, headers={"x-rehearsal": "1"})
        if request.headers.get("accept") == "javascript":
            return JsResponse.new("hello")
        print(end="")
        return Response("hello")
