"""Blocking inside of handlers and at import: a nested event loop waits. Each case is one way to block, and runs in both places."""

import asyncio
import gc
import threading
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor

from js import Promise
from pyodide.code import run_js
from pyodide.ffi import JsException, run_sync
from workers import Response, WorkerEntrypoint


async def later(value, seconds=0.002):
    await asyncio.sleep(seconds)
    return value


async def failing():
    await asyncio.sleep(0)
    raise ValueError("inside")


def calling():
    run_sync(failing())


def promise():
    return run_sync(Promise.resolve(4))


def task():
    return run_sync(later(7))


def exception():
    """The traceback has what was called here and what failed there, and nothing of JavaScript between them."""
    try:
        calling()
    except ValueError as error:
        frames = traceback.extract_tb(error.__traceback__)
        return [str(error), [frame.name for frame in frames], [frame.filename for frame in frames if ":" in frame.filename or "(" in frame.filename]]


def js_exception():
    try:
        run_sync(run_js("async () => { await null; throw new TypeError('of JavaScript') }")())
    except JsException as error:
        return [error.name, error.message]


def caused():
    try:
        try:
            calling()
        except ValueError as error:
            raise KeyError("outside") from error
    except KeyError as error:
        return [repr(error), repr(error.__cause__)]


def timeout():
    async def with_timeout():
        async with asyncio.timeout(0.005):
            await asyncio.sleep(5)

    seen = []
    for awaitable in (with_timeout(), asyncio.wait_for(asyncio.sleep(5), 0.005)):
        try:
            run_sync(awaitable)
        except TimeoutError as error:
            seen.append(type(error).__name__)
    return seen


async def timeout_around():
    """What blocks cannot be interrupted: the task learns of it at its next await."""
    seen = []
    try:
        async with asyncio.timeout(0.005):
            seen.append(run_sync(later(1, 0.03)))
            await asyncio.sleep(5)
    except TimeoutError:
        seen.append("timeout")
    return seen


async def cancelled_outside():
    seen = []

    async def block():
        try:
            seen.append(run_sync(later(1, 0.02)))
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    blocking = asyncio.create_task(block())
    asyncio.get_running_loop().call_later(0.005, blocking.cancel)
    try:
        await blocking
    except asyncio.CancelledError:
        seen.append("seen")
    return seen


async def cancelled_inside():
    inner = asyncio.ensure_future(later(1, 5))
    asyncio.get_running_loop().call_later(0.005, inner.cancel)
    try:
        run_sync(inner)
    except asyncio.CancelledError:
        return [inner.cancelled()]


def nested():
    async def third():
        return run_sync(later(3)) + 1

    async def second():
        return run_sync(third()) + 1

    return run_sync(second())


async def beside():
    async def blocking():
        return run_sync(later(1)) + run_sync(later(2))

    other = asyncio.ensure_future(blocking())
    return [run_sync(blocking()), await other]


def generators():
    closed = []

    def generator():
        try:
            for i in range(3):
                yield run_sync(later(i))
        finally:
            closed.append(run_sync(later("closed")))

    async def asynchronous():
        for i in range(3):
            yield run_sync(later(i))

    async def all_of_it():
        return [i async for i in asynchronous()]

    in_turns = list(zip(generator(), generator(), strict=True))
    begun = generator()
    next(begun)
    begun.close()
    return [in_turns, run_sync(all_of_it()), sorted([3, 1, 2], key=lambda x: run_sync(later(x))), closed]


def threads():
    out = []

    def work():
        out.append(run_sync(later("thread")))
        try:
            calling()
        except ValueError as error:
            out.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with ThreadPoolExecutor(2) as executor:
        return [*out, *executor.map(lambda i: run_sync(later(i)), range(3))]


def at_the_end():
    """Where Python lets go of objects."""
    out = []

    class Thing:
        def __del__(self):
            out.append(run_sync(later(self.name)))

    for name in ("del", "collected"):
        thing = Thing()
        thing.name = name
        thing.me = thing if name == "collected" else None
        del thing
    gc.collect()
    thing = Thing()
    thing.name = "last"
    reference = weakref.ref(thing, lambda _: out.append(run_sync(later("reference"))))
    weakref.finalize(thing, lambda: out.append(run_sync(later("finalizer"))))
    del thing
    return [sorted(out), reference() is None]


def callback():
    return run_js("(f) => f()")(lambda: run_sync(later("called by JavaScript")))


def group():
    async def both():
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(later(i)) for i in (1, 2)]
        return sum(task.result() for task in made)

    return run_sync(both())


def deadlock():
    """Two that wait for each other: the exception says where both are."""
    first, second = asyncio.Event(), asyncio.Event()

    async def one():
        run_sync(second.wait())
        first.set()

    async def two():
        try:
            run_sync(wait_for_first())
        except RuntimeError as error:
            said.append(str(error))
        second.set()

    async def wait_for_first():
        await first.wait()

    async def both():
        await asyncio.gather(one(), two())

    said = []
    run_sync(both())
    return [first.is_set(), *said]


def own():
    """Something that only its caller could do."""
    event = asyncio.Event()
    try:
        run_sync(event.wait())
    except RuntimeError as error:
        event.set()
        return str(error)


CASES = [promise, task, exception, js_exception, caused, timeout, timeout_around, cancelled_outside, cancelled_inside, nested, beside]
CASES += [generators, threads, at_the_end, callback, group, deadlock, own]


def outcome(case):
    result = case()
    return run_sync(result) if asyncio.iscoroutine(result) else result


at_import = {case.__name__.replace("_", "-"): outcome(case) for case in CASES}


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        *_, place, name = request.url.split("/")
        if place == "import":
            return Response.json(at_import[name])
        if name == "never":
            run_sync(asyncio.Future())
        result = globals()[name.replace("-", "_")]()
        return Response.json(await result if asyncio.iscoroutine(result) else result)
