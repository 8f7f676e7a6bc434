"""The application that taipan and its peers serve: FastAPI with a pydantic model."""

from fastapi import FastAPI
from pydantic import BaseModel, Field


class Item(BaseModel):
    name: str = Field(min_length=1)
    price: float = Field(gt=0)
    tags: list[str] = []


app = FastAPI()


@app.get("/items/{number}")
async def item(number: int, name: str = "thing") -> Item:
    return Item(name=name, price=number * 1.25, tags=["a", "b"])
