"""Each path fails somewhere else: the log has the exception once, with where it was."""

import asyncio
import gc
import threading
import weakref

import js
from pyodide.code import run_js
from pyodide.ffi import create_once_callable, create_proxy
from workers import Response, WorkerEntrypoint, asgi


def fail(where):
    raise ValueError(f"failed: {where}")


async def fail_later(where):
    await asyncio.sleep(0)
    fail(where)


class AtImport:
    def __del__(self):
        fail("at import")


thing = AtImport()
del thing


async def handler(self):
    fail("handler")


async def several(self):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail_later("first of several"))
        tasks.create_task(fail_later("second of several"))


async def background(self):
    self.ctx.wait_until(fail_later("background"))


async def task(self):
    asyncio.create_task(fail_later("task"), name="by name")
    await asyncio.sleep(0.005)


async def callback(self):
    asyncio.get_running_loop().call_soon(fail, "callback")
    await asyncio.sleep(0.005)


async def done(self):
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda _: fail("done"))
    future.set_result(1)
    await asyncio.sleep(0.005)


async def thread(self):
    bad = threading.Thread(target=fail, args=("thread",), name="bad")
    bad.start()
    bad.join()


async def deleted(self):
    class Thing:
        def __del__(self):
            fail("deleted")

    Thing()


async def collected(self):
    class Thing:
        def __init__(self):
            self.me = self

        def __del__(self):
            fail("collected")

    Thing()
    gc.collect()


async def reference(self):
    class Thing:
        pass

    thing = Thing()
    held = weakref.ref(thing, lambda _: fail("reference"))
    del thing
    return held()


async def timer(self):
    js.setTimeout(create_once_callable(lambda: fail("timer of JavaScript")), 1)
    await asyncio.sleep(0.01)


async def listener(self):
    listen = create_proxy(lambda event: fail("listener"))
    target = js.EventTarget.new()
    target.addEventListener("x", listen)
    target.dispatchEvent(js.Event.new("x"))
    await asyncio.sleep(0.005)
    listen.destroy()


async def microtask(self):
    js.queueMicrotask(create_once_callable(lambda: fail("microtask")))
    await asyncio.sleep(0.005)


async def then(self):
    run_js("Promise.resolve(1)").then(lambda _: fail("then"))
    await asyncio.sleep(0.01)
    gc.collect()


async def thrown(self):
    run_js("() => { function inner() { throw new TypeError('thrown') } inner() }")()


async def forgotten(self):
    """Nobody of Python's is there when it is let go of."""
    run_js("(f) => { f() }")(create_once_callable(lambda: fail_later("forgotten")))
    await asyncio.sleep(0.005)


async def generator(self):
    async def values():
        try:
            yield 1
        finally:
            fail("generator")

    async for _ in values():
        break
    gc.collect()
    await asyncio.sleep(0.005)


async def stream(self):
    async def parts():
        yield "part"
        fail("stream")

    return Response(parts())


async def without_text(self):
    class Strange(Exception):
        def __str__(self):
            raise RuntimeError

    raise Strange


async def noted(self):
    error = ValueError("failed: noted")
    error.add_note("a note of it")
    raise error


async def socket_app(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    fail("socket")


async def lifespan_app(scope, receive, send):
    if scope["type"] == "lifespan":
        fail("lifespan")


async def startup_app(scope, receive, send):
    """As frameworks do it: the traceback is the message."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": 'Traceback (most recent call last):\n  File "app.py", line 7, in open\nOSError: no database\n'})


required = asgi.Options(lifespan="on")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.rsplit("/", 1)[1].replace("-", "_")
        if name == "socket":
            return await asgi.websocket(socket_app, request, self.env, options=asgi.Options(lifespan="off"))
        if name == "lifespan":
            return await asgi.fetch(lifespan_app, request, self.env, options=required)
        if name == "startup":
            return await asgi.fetch(startup_app, request, self.env)
        return await globals()[name](self) or Response("answered")
