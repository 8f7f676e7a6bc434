from workers import Response, WorkerEntrypoint


class Thing:
    pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "dict":
                return {"an": "object"}
            case "str":
                return "a string"
            case "class":
                return Thing()
        return Response("fine")
