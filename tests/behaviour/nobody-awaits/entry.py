import asyncio

from pyodide.code import run_js
from pyodide.ffi import run_sync
from workers import Response, WorkerEntrypoint


async def later(value):
    await asyncio.sleep(0.001)
    return value


async def fail(what):
    raise ValueError(f"from {what}")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "coroutine":
                later(1)
            case "library":
                waiting = asyncio.sleep(0)
                raise ValueError(f"before {waiting.__name__}")
            case "task":
                asyncio.create_task(fail("a task"))
                await asyncio.sleep(0)
            case "future":
                asyncio.get_running_loop().create_future().set_exception(ValueError("from a future"))
            case "promise":
                run_js("(async () => { await null; throw new TypeError('from a promise') })(); 0")
            case "through":
                run_js("f => { f('JavaScript') }")(fail)
                await asyncio.sleep(0)
            case "run-sync":
                # What is made of them for JavaScript is gone when run_sync returns.
                return Response.json([run_sync(later({"a": 1})), run_sync(later([{}])), run_sync(later(print)) is print])
        return Response("done")
