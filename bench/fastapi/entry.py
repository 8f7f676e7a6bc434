"""The Worker: the application, and at one path how long it takes when it is called directly."""

from app import app
from call import measure
from workers import Response, asgi


class Default(asgi.entrypoint(app)):
    async def fetch(self, request):
        if request.url.endswith("/in-process"):
            return Response.json({"ns": await measure(app)})
        return await super().fetch(request)
