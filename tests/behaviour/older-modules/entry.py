import ssl

import httpx
import sqlalchemy
from workers import Response, WorkerEntrypoint


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/sqlite"):
            with sqlalchemy.create_engine("sqlite://").connect() as connection:
                return Response(str(connection.execute(sqlalchemy.text("SELECT 6 * 7")).scalar()))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            response = await client.get("/inner")
        return Response(f"{ssl.OPENSSL_VERSION.split()[0]} {response.text}")
