"""Threads and what blocks: each path is one way to use them."""

import asyncio
import concurrent.futures
import contextvars
import logging
import logging.handlers
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import turns
from workers import Response, WorkerEntrypoint

number = contextvars.ContextVar("number", default=0)
local = threading.local()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        *_, module, name = request.url.split("/")
        result = (vars(turns) if module == "turns" else globals())[name.replace("-", "_")]()
        return Response.json(await result if asyncio.iscoroutine(result) else result)


def join():
    done = []
    threads = [threading.Thread(target=lambda i=i: (time.sleep(0.05), done.append(i)), name=f"t{i}") for i in range(5)]
    for thread in threads:
        thread.start()
    alive = [thread.is_alive() for thread in threads]
    for thread in threads:
        thread.join()
    return [sorted(done), all(alive), any(thread.is_alive() for thread in threads)]


def identity():
    seen = []

    def look():
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            seen.append("no loop")
        number.set(7)
        seen.extend([threading.current_thread().name, threading.get_ident() == main, hasattr(local, "mine")])
        local.mine = False

    main, local.mine = threading.get_ident(), True
    number.set(1)
    thread = threading.Thread(target=look, name="looker")
    thread.start()
    thread.join(timeout=5)
    return [*seen, local.mine, number.get(), threading.current_thread() is threading.main_thread(), thread.ident != main, threading.active_count()]


def exception():
    seen = []
    before, threading.excepthook = threading.excepthook, lambda args: seen.append(f"{args.thread.name}: {args.exc_value!r}")
    try:
        thread = threading.Thread(target=lambda: 1 / 0, name="failing")
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before
    return seen


def pool():
    with ThreadPoolExecutor(4, thread_name_prefix="pool", initializer=lambda: setattr(local, "ready", True)) as executor:
        squares = list(executor.map(lambda x: x * x, range(10)))
        future = executor.submit(lambda: 1 / 0)
        names = {executor.submit(lambda: threading.current_thread().name).result() for _ in range(3)}
        nested = executor.submit(lambda: executor.submit(lambda: "inner").result()).result()
        first = next(concurrent.futures.as_completed([executor.submit(pow, 2, 5)])).result()
    return [squares, repr(future.exception()), all(name.startswith("pool") for name in names), nested, first]


def consumer():
    """A consumer that is started first, and what is for it later."""
    items, total = queue.Queue(), []

    def consume():
        while (item := items.get()) is not None:
            total.append(item)

    thread = threading.Thread(target=consume)
    thread.start()
    for i in range(5):
        items.put(i)
    items.put(None)
    thread.join()
    return total


def producer():
    items = queue.Queue()

    def produce():
        for i in range(3):
            time.sleep(0.01)
            items.put(i)

    threading.Thread(target=produce).start()
    return [items.get(timeout=5) for _ in range(3)]


def events():
    event, condition, semaphore, barrier = threading.Event(), threading.Condition(), threading.Semaphore(0), []

    def set_them():
        event.set()
        with condition:
            condition.notify_all()
        semaphore.release()
        barrier.append(1)

    thread = threading.Thread(target=set_them)
    with condition:
        thread.start()
        notified = condition.wait(5)
    return [event.wait(5), notified, semaphore.acquire(timeout=5), barrier, threading.Event().wait(0.01)]


async def to_thread():
    number.set(5)

    def work(x):
        time.sleep(0.05)
        return x, number.get(), threading.current_thread() is threading.main_thread()

    begun = time.monotonic()
    results = await asyncio.gather(*[asyncio.to_thread(work, i) for i in range(3)])
    with ThreadPoolExecutor() as executor:
        given = await asyncio.get_running_loop().run_in_executor(executor, sum, [1, 2])
    try:
        await asyncio.to_thread(lambda: 1 / 0)
    except ZeroDivisionError as error:
        failed = str(error)
    return [results, given, failed, time.monotonic() - begun >= 0.05]


async def threadsafe():
    """A thread that reports to the event loop."""
    loop = asyncio.get_running_loop()
    queue = asyncio.Queue()
    threading.Thread(target=lambda: [loop.call_soon_threadsafe(queue.put_nowait, i) for i in range(3)]).start()
    future = asyncio.run_coroutine_threadsafe(queue.get(), loop)
    return [await queue.get(), await queue.get(), await asyncio.wrap_future(future)]


def own_loop():
    """A thread that runs a coroutine."""
    results = []

    async def work():
        await asyncio.sleep(0.01)
        return "ran"

    thread = threading.Thread(target=lambda: results.append(asyncio.run(work())))
    thread.start()
    thread.join()
    return results


def locks():
    lock, seen = threading.Lock(), []

    def hold():
        with lock:
            time.sleep(0.02)
            seen.append("held")

    with lock:
        thread = threading.Thread(target=hold)
        thread.start()
        seen.append(lock.acquire(blocking=False))
    thread.join()
    reentrant = threading.RLock()
    with reentrant, reentrant:
        seen.append("twice")
    return seen


def deadlock():
    lock = threading.Lock()
    lock.acquire()
    try:
        lock.acquire()
    except RuntimeError as error:
        return str(error)[:50]


def empty_queue():
    try:
        queue.Queue().get()
    except RuntimeError as error:
        return str(error)[:9]


def timeouts():
    begun = time.monotonic()
    try:
        queue.Queue().get(timeout=0.05)
    except queue.Empty:
        return [time.monotonic() - begun >= 0.05, threading.Lock().acquire(timeout=1)]


ticks = []


def daemon():
    """A thread that never ends, and one that waits for work for ever."""

    def loop():
        while True:
            ticks.append(1)
            time.sleep(60)

    threading.Thread(target=loop, daemon=True, name="ticker").start()
    threading.Thread(target=queue.Queue().get, daemon=True).start()
    return "answered"


def ticked():
    return len(ticks)


records = queue.Queue()


class Keep(logging.Handler):
    kept = []

    def emit(self, record):
        self.kept.append(record.getMessage())


listener = logging.handlers.QueueListener(records, Keep())


async def log_queue():
    """The standard library's thread that waits for records."""
    listener.start()
    await asyncio.sleep(0)
    logger = logging.getLogger("queued")
    logger.addHandler(logging.handlers.QueueHandler(records))
    logger.propagate = False
    for i in range(3):
        logger.warning("record %d", i)
        await asyncio.sleep(0.01)
    return Keep.kept


def timers():
    seen = []
    timer = threading.Timer(0.02, seen.append, [1])
    timer.start()
    timer.join()
    cancelled = threading.Timer(5, seen.append, [2])
    cancelled.start()
    cancelled.cancel()
    cancelled.join(1)
    event = threading.Event()
    threading.Timer(0.02, event.set).start()
    return [seen, cancelled.is_alive(), event.wait(5)]


def completed():
    """An executor whose threads are still there when it is shut down."""
    with ThreadPoolExecutor(3) as executor:
        futures = [executor.submit(lambda i=i: (time.sleep(0.005 * (3 - i)), i)[1]) for i in range(3)]
        values = sorted(future.result() for future in concurrent.futures.as_completed(futures, timeout=5))
        done, waiting = concurrent.futures.wait([executor.submit(time.sleep, 0.01)], timeout=5)
        told = []
        executor.submit(lambda: 1).add_done_callback(lambda future: told.append(future.result()))
        executor.submit(time.sleep, 0.01)
    return [values, len(done), len(waiting), told]


def contention():
    """Threads that sleep with what the others want."""
    lock, semaphore, count, order = threading.Lock(), threading.BoundedSemaphore(2), [0], []

    def add():
        for _ in range(20):
            with lock:
                before = count[0]
                time.sleep(0)
                count[0] = before + 1

    def take(i):
        with semaphore:
            time.sleep(0.002)
            order.append(i)

    threads = [threading.Thread(target=add) for _ in range(4)] + [threading.Thread(target=take, args=(i,)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [count, sorted(order)]


def polling():
    """A thread that looks again and again whether another one is done."""
    done, looks = [], []

    def look():
        while not done:
            looks.append(1)
            time.sleep(0.001)

    threads = [threading.Thread(target=look), threading.Thread(target=done.append, args=(1,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [done, len(looks) > 0]


def processes():
    import multiprocessing
    import multiprocessing.queues
    import multiprocessing.synchronize
    import subprocess

    said = []
    for start in (lambda: subprocess.run(["ls"]), lambda: multiprocessing.get_context("spawn").Lock()):
        try:
            start()
        except (OSError, ImportError) as error:
            said.append(str(error))
    return said
