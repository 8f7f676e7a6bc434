"""Native CPython: imports the application, answers one request in process and prints the response."""

import asyncio

from app import app
from call import call

status, _, body = asyncio.run(call(app, "GET", "/items/12", "name=bolt"))
print(status, body.decode(), flush=True)
