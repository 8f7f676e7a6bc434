import asyncio
import zoneinfo
from pathlib import Path

import bottle
import django
import flask
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path

flasked = flask.Flask(__name__)


@flasked.post("/flask/<name>")
def flask_json(name):
    return flask.jsonify(name=name, got=flask.request.get_json())


@flasked.get("/flask/page")
def flask_page():
    return flask.render_template("page.html", title="flask & co", names="ab")


@flasked.get("/flask/zone")
def flask_zone():
    try:
        return str(zoneinfo.ZoneInfo("Europe/Berlin"))
    except zoneinfo.ZoneInfoNotFoundError as error:
        return str(error.__context__)


@flasked.get("/flask/later/<name>")
async def flask_later(name):
    await asyncio.sleep(0.01)
    return f"later {name}"


bottled = bottle.Bottle()


@bottled.get("/bottle/<name>")
def bottle_json(name):
    return {"name": name, "q": bottle.request.query.q}


settings.configure(
    SECRET_KEY="test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.gzip.GZipMiddleware"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [Path(__file__).parent / "templates"],
        }
    ],
)
django.setup()


def django_json(request, name):
    return JsonResponse({"name": name, "q": request.GET.get("q"), "body": request.body.decode()})


def django_page(request):
    return render(request, "page.html", {"title": "django & co", "names": ["x"]})


async def django_later(request):
    await asyncio.sleep(0.01)
    return HttpResponse("later")


urlpatterns = [path("django/page", django_page), path("django/later", django_later), path("django/<str:name>", django_json)]
djangoed = WSGIHandler()
