import sys

from helpers import greet
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/path"):
            return Response(str(sys.path.count("/session/metadata/python_modules")))
        return Response(greet("packages"))
