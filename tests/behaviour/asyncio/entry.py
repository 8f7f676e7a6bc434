import asyncio
import contextvars
import signal
import threading

from pyodide.code import run_js
from pyodide.ffi import run_sync
from workers import Response, WorkerEntrypoint

name = contextvars.ContextVar("name", default="nobody")
later = run_js("(ms, value) => new Promise((resolve) => setTimeout(resolve, ms, value))")
chain = run_js("(f) => Promise.resolve(4).then(f).then((x) => x * 2)")


async def after(delay, value):
    await asyncio.sleep(delay)
    return value


async def bounded():
    async with asyncio.timeout(3600), asyncio.timeout(1800):
        await asyncio.sleep(0.001)
    # Swept out among others, then as the first.
    handles = [asyncio.get_running_loop().call_later(1000 + i, print, "never") for i in range(300)]
    for handle in reversed(handles):
        handle.cancel()


# Timers that were cancelled keep nothing waiting: this Worker has a snapshot.
run_sync(bounded())


async def refused(what):
    try:
        await what()
    except NotImplementedError as error:
        return str(error)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        result = {"gathered": await asyncio.gather(after(0.02, 2), after(0.01, 1), after(0, 0))}
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            result["timeout"] = True
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            result["cancelled"] = task.cancelled()
        result["promise"] = await later(5, 42)
        queue = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            for i in range(3):
                group.create_task(queue.put(i))
        result["queue"] = [queue.get_nowait() for _ in range(3)]
        name.set("mine")
        await asyncio.sleep(0.001)
        result["context"] = name.get()
        loop = asyncio.get_running_loop()
        result["refused"] = [
            await refused(lambda: asyncio.create_subprocess_exec("ls")),
            await refused(lambda: asyncio.start_server(print, port=80)),
            await refused(lambda: loop.add_signal_handler(signal.SIGTERM, print)),
        ]
        result["native"] = threading.get_native_id() == threading.current_thread().native_id
        result["python in promise"] = await chain(lambda x: x + 1)
        return Response.json(result)
