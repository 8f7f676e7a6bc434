"""A Django project in one module."""

import asyncio
import hashlib

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    # In a project of yours: a secret, read in the handler or declared in the configuration.
    SECRET_KEY="not a secret",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.gzip.GZipMiddleware", "project.timed"],
    USE_TZ=True,
)


def timed(get_response):
    """A middleware that knows of no event loop."""

    def middleware(request):
        response = get_response(request)
        response["x-marked"] = "yes"
        return response

    return middleware


def root(request):
    return JsonResponse({"client": request.META["REMOTE_ADDR"], "scheme": request.scheme, "query": request.GET.dict()})


async def asynchronous(request):
    await asyncio.sleep(0.01)
    return HttpResponse("asynchronous")


def upload(request):
    digest, file = hashlib.sha256(), request.FILES["file"]
    for chunk in file.chunks():
        digest.update(chunk)
    return JsonResponse({"name": file.name, "size": file.size, "sha256": digest.hexdigest()})


async def events(request):
    async def ticks():
        for i in range(3):
            yield f"data: {i}\n\n"
            await asyncio.sleep(0.05)

    return StreamingHttpResponse(ticks(), content_type="text/event-stream")


urlpatterns = [path("", root), path("asynchronous", asynchronous), path("upload", upload), path("events", events)]
