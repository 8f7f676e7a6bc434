from workers import Response, WorkerEntrypoint, env

# Variables are no secrets: module scope may read and keep them.
plain = env.PLAIN
constant = "module-constant-" + "e85a"
version = 1
kept = []


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/version"):
            return Response(str(version))
        token = request.headers["Authorization"].removeprefix("Bearer ")
        kept.append((token, self.env.API_KEY, env.BOTH))
        return Response(f"{self.env.API_KEY} {token}")
