"""Libraries between threads and the event loop."""

import asyncio
import threading

import anyio.from_thread
import anyio.to_thread
import janus
from workers import Response, WorkerEntrypoint


async def with_janus():
    """A queue between a thread and tasks, in both directions."""
    items, got = janus.Queue(maxsize=2), []

    def produce():
        for i in range(6):
            items.sync_q.put(i)
        items.sync_q.put(None)

    task = asyncio.ensure_future(asyncio.to_thread(produce))
    while (item := await items.async_q.get()) is not None:
        got.append(item)
    await task

    def consume():
        while (item := items.sync_q.get()) is not None:
            got.append(-item)

    task = asyncio.ensure_future(asyncio.to_thread(consume))
    for i in (1, 2, 3, 4, None):
        await items.async_q.put(i)
    await task
    await items.aclose()
    return got


async def with_anyio():
    async def answer(x):
        await anyio.sleep(0.002)
        return x

    def ask():
        return anyio.from_thread.run(answer, 3), anyio.from_thread.run_sync(lambda: threading.current_thread() is threading.main_thread())

    return await anyio.to_thread.run_sync(ask)


def own_loop():
    """An event loop that a thread runs for ever."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def answer(x):
        await asyncio.sleep(0.002)
        return x

    answers = [asyncio.run_coroutine_threadsafe(answer(i), loop).result(5) for i in range(2)]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    return answers


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "janus":
                return Response.json(await with_janus())
            case "anyio":
                return Response.json(await with_anyio())
            case "own-loop":
                return Response.json(own_loop())
