from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        names = " and ".join(self.env.LIMITS.names)
        return Response(f"{self.env.GREETING}, {names}!")
