"""`pyodide.webloop`: what the event loop offers, and what it refuses."""

import asyncio
import contextvars

from pyodide.webloop import PyodideFuture, PyodideTask, WebLoop, WebLoopPolicy
from suite import js, only, raises, same

_variable = contextvars.ContextVar("variable", default="unset")


def _loop():
    return asyncio.get_running_loop()


async def delays():
    seen, loop = [], _loop()
    loop.call_later(0.03, seen.append, "later")
    loop.call_at(loop.time() + 0.01, seen.append, "at")
    loop.call_later(0, seen.append, "zero")
    loop.call_soon_threadsafe(seen.append, "threadsafe")
    loop.call_later(float("inf"), seen.append, "never")
    loop.call_later(10**9, seen.append, "in a lifetime").cancel()
    await asyncio.sleep(0.06)
    same(sorted(seen), ["at", "later", "threadsafe", "zero"])
    same(seen[-2:], ["at", "later"])


async def sleeping_for_nothing():
    for delay in (0, -1, 0.0):
        same(await asyncio.sleep(delay, "slept"), "slept")


async def handles_that_are_cancelled():
    seen, loop = [], _loop()
    handles = [loop.call_soon(seen.append, 1), loop.call_later(0.001, seen.append, 2), loop.call_at(loop.time() + 0.001, seen.append, 3)]
    for handle in handles:
        handle.cancel()
        handle.cancel()
        assert handle.cancelled()
    await asyncio.sleep(0.01)
    same(seen, [])


def times_go_forward():
    loop = asyncio.get_event_loop()
    before = loop.time()
    assert isinstance(before, float)
    assert loop.time() >= before


async def the_loop_runs_for_ever():
    loop = _loop()
    assert loop.is_running()
    assert not loop.is_closed()
    assert loop.get_debug() is False
    loop.set_debug(False)
    assert isinstance(loop, WebLoop)
    assert asyncio.get_event_loop() is loop


async def futures_and_tasks_are_pyodides():
    loop = _loop()
    assert isinstance(loop.create_future(), PyodideFuture)
    task = loop.create_task(asyncio.sleep(0, 3), name="named")
    assert isinstance(task, PyodideTask)
    same(task.get_name(), "named")
    same(await task, 3)


async def futures_are_chained():
    future = PyodideFuture()
    results = []
    chained = future.then(lambda x: x + 1).then(lambda x: 1 / x).catch(lambda e: type(e).__name__)
    last = chained.finally_(lambda: results.append("finally"))
    future.set_result(-1)
    same([await last, results], ["ZeroDivisionError", ["finally"]])


@only("taipan", "Pyodide names such tasks by a function that asyncio has no more")
async def a_factory_makes_tasks():
    loop, made = _loop(), []

    def factory(loop, coro, **options):
        made.append(coro.__name__)
        return PyodideTask(coro, loop=loop, **options)

    async def work():
        return 5

    assert loop.get_task_factory() is None
    loop.set_task_factory(factory)
    try:
        assert loop.get_task_factory() is factory
        same(await loop.create_task(work()), 5)
    finally:
        loop.set_task_factory(None)
    same(made, ["work"])
    with raises(TypeError):
        loop.set_task_factory("no factory")


async def tasks_in_a_context():
    context = contextvars.copy_context()
    context.run(_variable.set, "inside")

    async def work():
        await asyncio.sleep(0)
        return _variable.get()

    same(await asyncio.create_task(work(), context=context), "inside")
    same(_variable.get(), "unset")


async def contexts_of_interleaved_tasks():
    async def work(name):
        _variable.set(name)
        for _ in range(3):
            await asyncio.sleep(0.001)
            same(_variable.get(), name)
            await js("(ms) => new Promise((resolve) => setTimeout(resolve, ms))")(1)
            same(_variable.get(), name)

    await asyncio.gather(*(work(name) for name in "abc"))
    same(_variable.get(), "unset")


async def handlers_of_exceptions():
    loop, seen = _loop(), []

    def handler(loop, context):
        seen.append([context["message"], type(context.get("exception")).__name__])

    assert loop.get_exception_handler() is None
    with raises(TypeError):
        loop.set_exception_handler("no handler")
    loop.set_exception_handler(handler)
    try:
        assert loop.get_exception_handler() is handler
        loop.call_exception_handler({"message": "of mine", "exception": KeyError()})
    finally:
        loop.set_exception_handler(None)
    same(seen, [["of mine", "KeyError"]])


async def handlers_that_fail_are_reported():
    loop = _loop()

    def handler(loop, context):
        raise ValueError("in the handler")

    loop.set_exception_handler(handler)
    try:
        loop.call_exception_handler({"message": "of mine"})
    finally:
        loop.set_exception_handler(None)


async def generators_that_were_not_exhausted_are_closed():
    log = []

    async def generate():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    async for value in generate():
        same(value, 1)
        break
    await asyncio.sleep(0.02)
    same(log, ["closed"])


async def cancelled_tasks_clean_up():
    log = []

    async def work():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            log.append("cleaned")
            raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel("why")
    with raises(asyncio.CancelledError, "why"):
        await task
    same(log, ["cleaned"])


async def shields_and_waits():
    inner = asyncio.create_task(asyncio.sleep(0.005, "inner"))
    with raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(inner), 0.001)
    same(await inner, "inner")
    done, pending = await asyncio.wait([asyncio.create_task(asyncio.sleep(d, d)) for d in (0, 5)], return_when=asyncio.FIRST_COMPLETED)
    same([task.result() for task in done], [0])
    for task in pending:
        task.cancel()
    got = [await next_one for next_one in asyncio.as_completed([asyncio.sleep(0.004, 2), asyncio.sleep(0, 1)])]
    same(got, [1, 2])


async def barriers_conditions_and_semaphores():
    barrier, condition, semaphore, log = asyncio.Barrier(2), asyncio.Condition(), asyncio.Semaphore(1), []

    async def work(name):
        await barrier.wait()
        async with semaphore:
            log.append(name)
        async with condition:
            condition.notify_all()

    async with condition:
        tasks = [asyncio.create_task(work(name)) for name in "ab"]
        await condition.wait()
    await asyncio.gather(*tasks)
    same(sorted(log), ["a", "b"])


async def what_no_platform_of_ours_has_is_refused():
    loop = _loop()
    with raises(NotImplementedError):
        await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    with raises(NotImplementedError):
        await loop.subprocess_exec(asyncio.SubprocessProtocol, "ls")
    with raises(NotImplementedError):
        await asyncio.create_subprocess_shell("ls")
    with raises(NotImplementedError):
        loop.add_signal_handler(2, print)
    with raises(NotImplementedError):
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    with raises((NotImplementedError, OSError)):
        await loop.create_unix_connection(asyncio.Protocol, "/no/such/socket")


def processes_are_refused():
    import multiprocessing
    import os
    import subprocess

    with raises(OSError):
        subprocess.run(["ls"])
    with raises((OSError, ImportError)):
        process = multiprocessing.Process(target=print)
        process.start()
    with raises((OSError, AttributeError)):
        os.fork()


def policies_make_the_loop():
    running = asyncio._get_running_loop()
    try:
        assert isinstance(WebLoopPolicy().get_event_loop(), WebLoop)
    finally:
        # Pyodide's becomes the one that runs, and further cases would wait for ever.
        asyncio._set_running_loop(running)


@only("taipan", "without JSPI, Node's Pyodide cannot wait")
async def coroutines_are_run_to_their_end():
    loop = _loop()
    same(loop.run_until_complete(asyncio.sleep(0.001, "complete")), "complete")
    same(asyncio.run(asyncio.sleep(0.001, "run")), "run")
    with raises(ZeroDivisionError):
        loop.run_until_complete(_divide())


@only("taipan", "without JSPI, Node's Pyodide cannot wait")
async def loops_beside_the_running_one():
    running = _loop()
    loop = asyncio.new_event_loop()
    assert _loop() is running
    same(loop.run_until_complete(asyncio.sleep(0.001, "beside")), "beside")
    loop.close()
    assert _loop() is running
    same(await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0.001, 2)), [1, 2])
    left = asyncio.new_event_loop()
    left.call_later(0.001, str)
    await asyncio.sleep(0.01)
    same(await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0.001, 2)), [1, 2])


@only("taipan", "Pyodide on Node has no threads")
async def runners_in_threads():
    def run():
        with asyncio.Runner() as runner:
            return [runner.run(asyncio.sleep(0.005, "first")), runner.run(asyncio.sleep(0, "second"))]

    same(await asyncio.to_thread(run), ["first", "second"])
    same(await asyncio.sleep(0.001, "after"), "after")


async def _divide():
    await asyncio.sleep(0)
    return 1 / 0


@only("taipan", "without JSPI, Node's Pyodide cannot wait")
async def run_sync_waits_for_what_is_awaitable():
    from pyodide.ffi import run_sync

    same(run_sync(asyncio.sleep(0, 1)), 1)
    same(run_sync(asyncio.ensure_future(asyncio.sleep(0, 2))), 2)
    same(run_sync(js("Promise.resolve(3)")), 3)
    same(run_sync(js("({then(f) { setTimeout(f, 1, 4) }})")), 4)
    future = _loop().create_future()
    _loop().call_later(0.001, future.set_result, 5)
    same(run_sync(future), 5)
    assert run_sync(js("Promise.resolve(null)")) is js("null")
    with raises(TypeError):
        run_sync(1)


@only("taipan", "without JSPI, Node's Pyodide cannot wait")
async def run_sync_raises_what_was_raised():
    from pyodide.ffi import JsException, run_sync

    error = KeyError("mine")

    async def fail():
        await asyncio.sleep(0)
        raise error

    with raises(KeyError) as caught:
        run_sync(fail())
    assert caught.error is error
    with raises(JsException, "far"):
        run_sync(js("Promise.reject(new RangeError('far'))"))
    with raises(TimeoutError):
        run_sync(asyncio.wait_for(asyncio.sleep(60), 0.001))
    with raises(asyncio.CancelledError):
        task = asyncio.ensure_future(asyncio.sleep(60))
        _loop().call_later(0.001, task.cancel)
        run_sync(task)


@only("taipan", "without JSPI, Node's Pyodide cannot wait")
async def run_sync_keeps_the_context_and_the_task():
    from pyodide.ffi import can_run_sync, run_sync

    assert can_run_sync()

    async def work(name):
        _variable.set(name)
        task = asyncio.current_task()
        for _ in range(3):
            run_sync(asyncio.sleep(0.001))
            same(_variable.get(), name)
            assert asyncio.current_task() is task
            await asyncio.sleep(0)
        return name

    same(await asyncio.gather(*(work(name) for name in "abc")), ["a", "b", "c"])
    # Also where JavaScript calls.
    same(js("f => f()")(lambda: run_sync(asyncio.sleep(0, "through JavaScript"))), "through JavaScript")

    class Lazy:
        @property
        def value(self):
            return run_sync(asyncio.sleep(0, "from a property"))

        def __iter__(self):
            yield run_sync(asyncio.sleep(0, "from a generator"))

        def __eq__(self, other):
            return run_sync(asyncio.sleep(0, True))

    same([Lazy().value, *Lazy(), Lazy() == 1], ["from a property", "from a generator", True])
    same(sorted([3, 1, 2], key=lambda x: run_sync(asyncio.sleep(0, x))), [1, 2, 3])
