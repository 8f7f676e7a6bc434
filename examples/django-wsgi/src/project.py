"""A Django project in one module."""

import hashlib
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse, StreamingHttpResponse
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
    """A middleware."""

    def middleware(request):
        response = get_response(request)
        response["x-marked"] = "yes"
        return response

    return middleware


def root(request):
    return JsonResponse({"client": request.META["REMOTE_ADDR"], "scheme": request.scheme, "query": request.GET.dict()})


def upload(request):
    digest, file = hashlib.sha256(), request.FILES["file"]
    for chunk in file.chunks():
        digest.update(chunk)
    return JsonResponse({"name": file.name, "size": file.size, "sha256": digest.hexdigest()})


def events(request):
    def ticks():
        for i in range(3):
            yield f"data: {i}\n\n"
            time.sleep(0.05)

    return StreamingHttpResponse(ticks(), content_type="text/event-stream")


urlpatterns = [path("", root), path("upload", upload), path("events", events)]
