import os
from urllib.parse import urlparse

from workers import Response, WorkerEntrypoint


NAMES = ("GREETING", "OVERRIDDEN", "SECRET", "COUNT", "FLAG", "NESTED")
at_import = [os.environ.get(name) for name in NAMES]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        env = self.env
        if urlparse(request.url).path == "/process":
            return Response.json([os.environ.get(name) for name in NAMES] + [at_import])
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
