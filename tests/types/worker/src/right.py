from http import HTTPMethod

from js import URL, Date, console
from js import Response as JsResponse
from pyodide.ffi import JsProxy, create_proxy, run_sync, to_js
from workers import DurableObject, FormData, Request, Response, WorkerEntrypoint, env, fetch, handler, wait_until

GREETING: str = env.GREETING


class Room(DurableObject):
    async def join(self, name: str) -> int:
        return len(name) + self.env.LIMIT


class Default(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        name: str = request.headers.get("x-name") or self.env.GREETING
        secret: str = self.env.API_KEY
        limit: int = self.env.LIMIT + len(self.env.NAMES[0])
        if request.method == HTTPMethod.POST:
            form: FormData = await request.form_data()
            data = await request.json()
            return Response.json({"fields": len(form), "data": data}, status=201)
        value = await self.env.KV.get(name)
        await self.env.KV.put(name, (value or "") + secret)
        await self.env.JOBS.send({"name": name, "limit": limit})
        room = self.env.ROOMS.get(self.env.ROOMS.idFromName(name))
        rows = await self.env.DB.prepare("SELECT ?").bind(name).all()
        found = await self.env.FILES.get(name)
        text = await found.text() if found is not None else ""
        answer = await self.env.OTHER.fetch("http://other/")
        self.env.EVENTS.writeDataPoint({"blobs": [name]})
        allowed = (await self.env.LIMITER.limit({"key": name})).success
        wait_until(self.env.KV.delete(name))
        self.ctx.wait_until(self.env.KV.delete(name))
        page = await self.env.ASSETS.fetch(request)
        other = await fetch("https://example.com/", method="POST", body=b"x")
        parts = [text, str(rows), str(await room.join(name)), self.env.VERSION.id, str(answer.status), str(allowed)]
        if other.status != page.status:
            return Response(None, status=204, headers={"x-time": str(Date.now())})
        return Response("\n".join(parts), headers=[("content-type", "text/plain")])


@handler
async def on_fetch(request: Request) -> JsResponse:
    url = URL.new(request.url)
    proxy = create_proxy(lambda event: console.log(event))
    body: JsProxy = to_js([1, 2])
    run_sync(body.anything())
    proxy.destroy()
    return JsResponse.new(url.searchParams.get("q") or url.pathname)
