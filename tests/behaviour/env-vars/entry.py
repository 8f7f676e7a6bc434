from urllib.parse import urlparse

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        env = self.env
        if urlparse(request.url).path == "/secret":
            return Response(env.SECRET)
        return Response.json(
            {
                "GREETING": env.GREETING,
                "OVERRIDDEN": env.OVERRIDDEN,
                "SECRET": env.SECRET,
                "COUNT": env.COUNT,
                "FLAG": env.FLAG,
                "nested": list(env.NESTED.list),
                "missing": not hasattr(env, "MISSING"),
            }
        )
