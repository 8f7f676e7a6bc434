import importlib.metadata
import importlib.resources
from pathlib import Path

import idna
import pydantic
from fastapi import FastAPI
from pydantic import BaseModel
from workers import Response, WorkerEntrypoint


class Item(BaseModel):
    name: str
    price: float = 1.5


app = FastAPI()


@app.get("/schema")
def schema():
    return app.openapi()["info"]["title"]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/item"):
            return Response(Item.model_validate_json(await request.text()).model_dump_json())
        if request.url.endswith("/invalid"):
            try:
                Item.model_validate({"price": "much"})
            except pydantic.ValidationError as error:
                return Response(str(error.error_count()))
        if request.url.endswith("/files"):
            # Files that nothing has read before the snapshot.
            beside = (Path(idna.__file__).parent / "py.typed").exists()
            resource = importlib.resources.files("pydantic").joinpath("py.typed").is_file()
            licence = importlib.metadata.distribution("idna").metadata["Name"]
            return Response(f"{beside} {resource} {licence}")
        if request.url.endswith("/late"):
            import fastapi.testclient_is_not_there  # noqa: F401
        if request.url.endswith("/lazy"):
            from pydantic.networks import AnyUrl

            return Response(str(AnyUrl("http://example.com/a b")))
        if request.url.endswith("/write"):
            try:
                Path(idna.__file__).write_text("")
            except OSError as error:
                return Response(type(error).__name__)
        return Response(app.title)
