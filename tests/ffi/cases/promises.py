"""Promises are awaitable, awaitables are promises, and both live in one event loop."""

import asyncio
import contextvars

import pyodide_js
from pyodide.ffi import JsException, JsPromise, create_once_callable, create_proxy, to_js
from pyodide.webloop import PyodideFuture, PyodideTask, WebLoop
from suite import js, raises, same

_later = js("(ms, x) => new Promise((r) => setTimeout(r, ms, x))")


async def promises_are_awaited():
    assert await js("Promise.resolve(5)") == 5
    assert await _later(2, "x") == "x"


async def promises_are_futures():
    p = js("[Promise.resolve(1)]")[0]
    assert isinstance(js("[{then() {}}]")[0], JsPromise)
    same(await asyncio.ensure_future(p), 1)
    same(await asyncio.wait_for(_later(1, 7), 5), 7)
    same(await asyncio.gather(_later(3, 1), _later(1, 2), asyncio.sleep(0, 3)), [1, 2, 3])


async def thenables_are_awaited():
    assert await js("({then(f) { f(7) }})") == 7
    with raises(JsException, "Error: no"):
        await js("({then(f, g) { g(new Error('no')) }})")


async def a_promise_is_awaited_twice():
    p = _later(1, 4)
    same([await p, await p], [4, 4])


async def then_catch_and_finally():
    log = []
    same(await js("Promise.resolve(4)").then(lambda x: x + 1), 5)
    assert "Error: no" in await js("Promise.reject(new Error('no'))").catch(lambda e: str(e))
    await js("Promise.resolve(4)").finally_(lambda: log.append(1))
    same(log, [1])
    with raises(ValueError, "in then"):
        await js("Promise.resolve(4)").then(_raise)


def _raise(_):
    raise ValueError("in then")


async def then_takes_coroutines():
    async def double(x):
        await asyncio.sleep(0)
        return x * 2

    same(await js("Promise.resolve(4)").then(double), 8)
    same(await js("(f) => f(4).then((x) => x + 1)")(double), 9)


async def combinators():
    g = js("Promise")
    same((await g.all(to_js([js("[Promise.resolve(1)]")[0], 5]))).to_py(), [1, 5])
    same(await g.race(to_js([_later(500, 1), 2])), 2)
    same(await g.any(js("[Promise.reject(new Error()), 3]")), 3)
    settled = await g.allSettled(js("[Promise.reject(new Error('x'))]"))
    same(settled[0].status, "rejected")


async def promises_of_python_objects():
    thing = [1]
    same(await js("async (x) => x")(thing), thing)
    assert await js("async (x) => x")(thing) is thing


async def constructed_promises():
    def run(resolve, reject):
        resolve(5)

    same(await js("Promise").new(create_once_callable(run)), 5)


async def tasks_and_futures_in_javascript():
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.001, future.set_result, 8)
    same(await js("async (f) => (await f) + 1")(future), 9)
    task = asyncio.create_task(asyncio.sleep(0.001, 5))
    same(await js("async (f) => (await f) + 1")(task), 6)


async def cancelled_tasks_reject():
    task = asyncio.create_task(asyncio.sleep(60))
    waiting = js("async (t) => { try { await t } catch (e) { return e.type } }")(task)
    await asyncio.sleep(0)
    task.cancel()
    same(await waiting, "CancelledError")


async def waiting_for_a_promise_can_be_cancelled():
    task = asyncio.create_task(_wait(_later(60000, 0)))
    await asyncio.sleep(0)
    task.cancel()
    with raises(asyncio.CancelledError):
        await task


async def _wait(x):
    return await x


async def timeouts_of_promises():
    with raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await js("new Promise(() => {})")


async def microtasks_come_before_timers():
    log = []
    g = js("globalThis")
    g.setTimeout(create_once_callable(lambda: log.append("timer")), 0)
    g.queueMicrotask(create_once_callable(lambda: log.append("microtask")))
    log.append("now")
    await asyncio.sleep(0.005)
    same(log, ["now", "microtask", "timer"])


async def the_loop_is_pyodides():
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WebLoop)
    assert asyncio.get_event_loop() is loop
    assert loop.is_running()
    assert not loop.is_closed()
    assert isinstance(loop.create_future(), PyodideFuture)
    task = asyncio.create_task(asyncio.sleep(0))
    assert isinstance(task, PyodideTask)
    await task


async def futures_have_then():
    f = asyncio.get_running_loop().create_future()
    g = f.then(lambda x: x + 1)
    f.set_result(1)
    same(await g, 2)
    h = asyncio.get_running_loop().create_future()
    caught = h.catch(lambda e: str(e))
    h.set_exception(KeyError("k"))
    same(await caught, "'k'")
    log = []
    k = asyncio.get_running_loop().create_future()
    done = k.finally_(lambda: log.append("finally"))
    k.set_result(3)
    same(await done, 3)
    same(log, ["finally"])


async def futures_chain_futures():
    async def more(x):
        await asyncio.sleep(0)
        return x * 10

    f = asyncio.get_running_loop().create_future()
    chained = f.then(more).then(lambda x: x + 1)
    f.set_result(2)
    same(await chained, 21)


async def callbacks_keep_their_order():
    loop, log = asyncio.get_running_loop(), []
    for i in range(5):
        loop.call_soon(log.append, i)
    loop.call_later(0.003, log.append, "later")
    loop.call_later(0.001, log.append, "sooner")
    await asyncio.sleep(0.01)
    same(log, [0, 1, 2, 3, 4, "sooner", "later"])


async def handles_are_cancelled():
    loop, log = asyncio.get_running_loop(), []
    loop.call_soon(log.append, 1).cancel()
    loop.call_later(0.001, log.append, 2).cancel()
    await asyncio.sleep(0.005)
    same(log, [])


async def contexts_are_kept():
    name = contextvars.ContextVar("name", default="none")

    async def child():
        await asyncio.sleep(0)
        await _later(1, 0)
        return name.get()

    name.set("outer")
    task = asyncio.create_task(child())
    name.set("changed")
    same(await task, "outer")
    same(name.get(), "changed")


async def exceptions_in_callbacks_are_reported():
    loop, seen = asyncio.get_running_loop(), []
    old = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    try:
        loop.call_soon(_raise, 0)
        await asyncio.sleep(0.002)
    finally:
        loop.set_exception_handler(old)
    same([type(e) for e in seen], [ValueError])


async def queues_locks_and_events():
    queue, lock, event = asyncio.Queue(), asyncio.Lock(), asyncio.Event()

    async def worker():
        await event.wait()
        async with lock:
            await queue.put(1)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(worker())
        await asyncio.sleep(0)
        event.set()
    same(queue.qsize(), 3)


async def executors_run():
    same(await asyncio.get_running_loop().run_in_executor(None, lambda: 5), 5)


async def groups_of_exceptions():
    async def fail():
        await _later(1, 0)
        raise KeyError("in a group")

    with raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())


async def abort_signals():
    controller = js("new AbortController()")
    p = js("(s) => new Promise((_, r) => s.addEventListener('abort', () => r(s.reason)))")(controller.signal)
    controller.abort()
    with raises(JsException, "AbortError"):
        await p


async def python_streams_in_javascript():
    stream = js("new ReadableStream({start(c) { c.enqueue('a'); c.enqueue('b'); c.close() }})")
    same([chunk async for chunk in stream], ["a", "b"])


async def run_python_async():
    same(await pyodide_js.runPythonAsync("import asyncio\nawait asyncio.sleep(0)\n5"), 5)
    with raises(JsException, "ZeroDivisionError"):
        await pyodide_js.runPythonAsync("1 / 0")


async def event_handlers_that_are_coroutines():
    log = []

    async def handler(event):
        await asyncio.sleep(0)
        log.append(event.type)

    proxy = create_proxy(handler)
    target = js("new EventTarget()")
    target.addEventListener("ping", proxy)
    js("(t) => t.dispatchEvent(new Event('ping'))")(target)
    await asyncio.sleep(0.005)
    proxy.destroy()
    same(log, ["ping"])
