from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

pages = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)


fast = FastAPI()


async def doubled(factor: int = 1):
    return factor * 2


@fast.post("/fastapi/items", status_code=201)
async def create(item: Item, factor: Annotated[int, Depends(doubled)]):
    if item.name == "none":
        raise HTTPException(404, "no such item")
    return {"name": item.name, "total": item.price * factor}


@fast.get("/fastapi/page", response_class=HTMLResponse)
async def page(title: str):
    return pages.get_template("page.html").render(title=title, names=["a", "b"])


async def greet(request):
    return PlainTextResponse(f"hello {request.path_params['name']} {request.query_params.get('q')}")


async def numbers(request):
    async def generate():
        for number in range(3):
            yield f"{number};"

    return StreamingResponse(generate(), media_type="text/plain")


star = Starlette(
    routes=[Route("/starlette/numbers", numbers), Route("/starlette/{name}", greet)],
    middleware=[Middleware(GZipMiddleware, minimum_size=5000)],
)
