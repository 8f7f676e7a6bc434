from workers import Response, WorkerEntrypoint


def down(n):
    return down(n + 1) + 1


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "caught":
                try:
                    down(0)
                except RecursionError as error:
                    return Response(type(error).__name__)
            case "uncaught":
                down(0)
        return Response("fine")
