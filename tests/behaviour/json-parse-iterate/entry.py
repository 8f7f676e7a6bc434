from js import JSON
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        array = JSON.parse("[1,2,3]")
        items = [item for item in array]
        return Response.json({"items": items, "sum": sum(array), "length": len(array), "second": array[1]})
