import aiohttp
import httpx
import requests
from bs4 import BeautifulSoup
from with_asgi import fast, star
from with_wsgi import bottled, djangoed, flasked
from workers import Response, WorkerEntrypoint, asgi, wsgi

APPLICATIONS = {
    "fastapi": (asgi, fast),
    "starlette": (asgi, star),
    "flask": (wsgi, flasked),
    "bottle": (wsgi, bottled),
    "django": (wsgi, djangoed),
}


async def answered(client, path):
    """A response of FastAPI to a client that knows nothing of networks."""
    return (await client.get(path)).text


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.split("/")[3]
        match name:
            case "soup":
                soup = BeautifulSoup(await request.bytes(), "html.parser")
                return Response.json({"links": [a["href"] for a in soup.find_all("a")], "title": soup.h1.get_text()})
            case "clients":
                # What goes out is another test's: these only prepare it.
                async with httpx.AsyncClient(transport=httpx.ASGITransport(fast), base_url="http://app") as client:
                    page = await answered(client, "/fastapi/page?title=httpx")
                prepared = requests.Request("POST", "http://a/b", params={"c": "d"}, json={"e": 1}).prepare()
                form = aiohttp.FormData({"a": "b"})
                return Response.json([page[:14], prepared.url, prepared.body.decode(), form().size])
        adapter, application = APPLICATIONS[name]
        return await adapter.fetch(application, request, self.env, self.ctx)
