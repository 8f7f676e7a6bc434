from js import NoSuchGlobal  # error: reportAttributeAccessIssue
from workers import Request, Respone, Response, WorkerEntrypoint, env  # error: reportAttributeAccessIssue

LIMIT: str = env.LIMIT  # error: reportAssignmentType


class Default(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        name: int = self.env.GREETING  # error: reportAssignmentType
        self.env.MISSING  # error: reportAttributeAccessIssue
        value = await self.env.KV.get("a")
        length = len(value)  # error: reportArgumentType
        self.env.KV.fetch("a")  # error: reportAttributeAccessIssue
        await self.env.JOBS.sent({})  # error: reportAttributeAccessIssue
        text: bytes = await request.text()  # error: reportAssignmentType
        if request.path == "/":  # error: reportAttributeAccessIssue
            return Response("ok", status="200")  # error: reportArgumentType
        if name > length:
            return "not a response"  # error: reportReturnType
        self.env.NAMES.push(text)  # error: reportAttributeAccessIssue
        return Response("the end")
