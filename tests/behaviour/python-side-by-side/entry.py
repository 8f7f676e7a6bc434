import sys

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        others = [await self.env.OLDER.version(), await self.env.OLDEST.version()]
        return Response.json([f"{sys.version_info[0]}.{sys.version_info[1]}", *others])
