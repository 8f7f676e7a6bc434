"""The Worker. It becomes `asgi.fetch(app, …)` when the SDK has that."""

from urllib.parse import urlsplit

from app import app
from call import call
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlsplit(request.url)
        status, headers, body = await call(app, request.method, url.path, url.query)
        return Response(body, status=status, headers=[(name.decode(), value.decode()) for name, value in headers])
