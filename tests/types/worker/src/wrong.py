from js import NoSuchGlobal  # error: reportAttributeAccessIssue
from workers import File, MessageBatch, Request, Respone, Response, ScheduledController, WorkerEntrypoint, asgi, env, fetch  # error: reportAttributeAccessIssue

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

    async def others(self, request: Request) -> Response:
        await fetch("http://host/", hedaers={"a": "b"})  # error: reportCallIssue
        answer = await fetch("http://host/")
        Request("http://host/", method=5)  # error: reportArgumentType
        await self.env.OTHER.fetch(5)  # error: reportArgumentType
        text: str = await answer.bytes()  # error: reportAssignmentType
        answer.json.dumps({})  # error: reportAttributeAccessIssue
        File("content", 5)  # error: reportArgumentType
        found = await self.env.FILES.get("a")
        await found.text()  # error: reportOptionalMemberAccess
        known = await self.env.FILES.head("a")
        body = known.body if known is not None else None  # error: reportAttributeAccessIssue
        size: str = known.size if known is not None else ""  # error: reportAssignmentType
        rows: list[str] = await self.env.DB.prepare("SELECT 1").raw()  # error: reportAssignmentType
        self.env.DB.prepare(5)  # error: reportArgumentType
        await self.env.JOBS.send("a", delay_seconds="b")  # error: reportArgumentType
        await self.env.KV.put("a", "b", expiration_ttl="c")  # error: reportArgumentType
        self.env.KV.sync.delete(5)  # error: reportArgumentType
        self.env.LIMITER.limits(key="a")  # error: reportAttributeAccessIssue
        asgi.Options(root="/a")  # error: reportCallIssue
        request.signal.aborted()  # error: reportCallIssue
        self.ctx.waituntil(request.text())  # error: reportAttributeAccessIssue
        return Response({"size": size, "text": text, "rows": rows, "body": body})  # error: reportArgumentType

    async def scheduled(self, controller: ScheduledController) -> None:
        controller.scheduled_time.cron  # error: reportAttributeAccessIssue

    async def queue(self, batch: MessageBatch) -> None:
        for message in batch:
            message.acknowledge()  # error: reportAttributeAccessIssue
            message.retry(delay_seconds=[])  # error: reportArgumentType
