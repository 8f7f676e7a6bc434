from workers import Response, WorkerEntrypoint, env

key = env.API_KEY
try:
    # Not None: a program that goes on without its secret would do so for good.
    other = getattr(env, "OTHER", None)
except RuntimeError as error:
    other = type(error).__name__


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(f"{key} {other} {env.OTHER}")
