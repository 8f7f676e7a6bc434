import sys

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        others = [await other.version() for other in (self.env.OLDER, self.env.DATED, self.env.OLDEST)]
        return Response.json([f"{sys.version_info[0]}.{sys.version_info[1]}", *others])
