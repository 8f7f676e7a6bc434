"""Blocking inside of handlers and at import: a nested event loop waits."""

import asyncio

from js import Promise
from pyodide.ffi import run_sync
from workers import Response, WorkerEntrypoint


async def later(value):
    await asyncio.sleep(0.01)
    return value


async def failing():
    await asyncio.sleep(0)
    raise ValueError("inside")


async def nested():
    return run_sync(later(1)) + run_sync(later(2))


at_import = run_sync(later(5))


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "import":
                return Response(f"{at_import}")
            case "promise":
                return Response(f"{run_sync(Promise.resolve(4))}")
            case "task":
                return Response(f"{run_sync(later(7))}")
            case "exception":
                try:
                    run_sync(failing())
                except ValueError as error:
                    return Response(repr(error))
            case "nested":
                beside = asyncio.ensure_future(nested())
                return Response(f"{run_sync(nested())} {await beside}")
            case "never":
                run_sync(asyncio.Future())
        return Response("not found", status=404)
