from helper import total
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "":
                return Response(total(None))
            case "markup":
                raise ValueError("<script>alert(1)</script>")
            case "chained":
                try:
                    {}["name"]
                except KeyError as error:
                    raise ValueError("no name") from error
        return Response("fine")
