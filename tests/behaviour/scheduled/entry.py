import asyncio

from workers import Response, ScheduledController, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response.json(await self.env.KV.get("calls", "json") or [])

    async def scheduled(self, controller, env, ctx):
        assert isinstance(controller, ScheduledController) and controller.type == "scheduled"
        assert self.env is env and self.ctx is ctx
        if controller.cron == "fail":
            raise ValueError("this one fails")
        controller.noRetry()
        calls = await env.KV.get("calls", "json") or []
        ctx.wait_until(self.later(controller))
        await env.KV.put("calls", [*calls, [controller.cron, controller.scheduled_time.isoformat()]])
        return "whatever"

    async def later(self, controller):
        await asyncio.sleep(0.01)
        print("after", controller.scheduledTime)
