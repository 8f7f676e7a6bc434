"""Threads that work with each other."""

import asyncio
import queue
import sched
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from multiprocessing.dummy import Pool


def _together(*targets):
    threads = [threading.Thread(target=target, name=target.__name__) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def bounded():
    """Both orders, with pauses, and a pipeline."""
    everything = []
    for pause, is_reversed in ((0, False), (0, True), (0.002, False), (0.002, True)):
        items, got = queue.Queue(maxsize=1), []

        def produce():
            for i in range(8):
                time.sleep(pause)
                items.put(i)
            items.put(None)

        def consume():
            while (item := items.get()) is not None:
                got.append(item)

        _together(*((consume, produce) if is_reversed else (produce, consume)))
        everything.append(got == list(range(8)))
    a, b, out = queue.Queue(2), queue.Queue(2), []

    def first():
        for i in range(6):
            a.put(i)
        a.put(None)

    def second():
        while (i := a.get()) is not None:
            b.put(i * i)
        b.put(None)

    def third():
        while (i := b.get()) is not None:
            out.append(i)

    _together(first, second, third)
    return [everything, out]


def bounded_main():
    """The main thread puts, and takes."""
    items, got = queue.Queue(2), []

    def consume():
        while (item := items.get()) is not None:
            got.append(item)

    thread = threading.Thread(target=consume)
    thread.start()
    for i in range(5):
        items.put(i, timeout=5)
    items.put(None)
    thread.join()
    back = queue.Queue(2)
    producer = threading.Thread(target=lambda: [back.put(i) for i in range(5)])
    producer.start()
    taken = [back.get() for _ in range(5)]
    producer.join()
    try:
        full = queue.Queue(1)
        full.put(1)
        full.put(2, timeout=0.01)
    except queue.Full:
        taken.append("full")
    return [got, taken]


def done():
    items, got = queue.Queue(), []

    def work():
        while True:
            item = items.get()
            got.append(item * 2)
            items.task_done()

    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    for i in range(10):
        items.put(i)
    items.join()
    return sorted(got)


jobs, done_jobs = queue.Queue(), []


def worker():
    while True:
        job = jobs.get()
        if job is None:
            break
        try:
            done_jobs.append(job * 2)
        finally:
            jobs.task_done()


def worker_by_iterator():
    for job in iter(jobs.get, None):
        done_jobs.append(job * 3)
        jobs.task_done()


def worker_that_counts():
    count = 0
    while True:
        job = jobs.get()
        count += 1
        done_jobs.append([job, count])
        jobs.task_done()


def start_worker(target):
    threading.Thread(target=target, daemon=True, name=target.__name__).start()


def one_worker():
    """A worker waits for the next job as often as there is one."""
    if not done_jobs:
        start_worker(worker)
    for i in (1, 2):
        jobs.put(i)
    jobs.join()
    jobs.put(3)
    jobs.join()
    return done_jobs[-3:]


def other_worker():
    jobs.put(None)
    jobs.task_done()
    done_jobs.clear()
    start_worker(worker_by_iterator)
    for _ in range(2):
        jobs.put(1)
        jobs.join()
    return done_jobs


def counting_worker():
    """This one would not be the same."""
    jobs.put(None)
    jobs.task_done()
    done_jobs.clear()
    start_worker(worker_that_counts)
    for i in (7, 8):
        jobs.put(i)
    jobs.join()
    return done_jobs


def woken():
    """A thread that waits for what the one that started it does later."""
    begin, got, ready, condition = threading.Event(), [], [], threading.Condition()

    def wait_for_event():
        begin.wait()
        got.append("event")

    def wait_for_condition():
        with condition:
            while not ready:
                condition.wait()
            got.append("condition")

    threads = [threading.Thread(target=wait_for_event), threading.Thread(target=wait_for_condition), threading.Thread(target=begin.wait)]
    for thread in threads:
        thread.start()
    time.sleep(0.01)
    before = list(got)
    begin.set()
    with condition:
        ready.append(1)
        condition.notify_all()
    for thread in threads:
        thread.join()
    return [before, sorted(got)]


async def woken_later():
    begin, got = threading.Event(), []

    def work():
        begin.wait()
        got.append("woken")

    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.sleep(0.01)
    begin.set()
    while thread.is_alive():
        await asyncio.sleep(0.005)
    return got


def untouched():
    """One that has done something before it waits is not begun again."""
    begin, got = threading.Event(), []

    def work():
        got.append("began")
        begin.wait(0.02)
        got.append("ended")

    def ends_well():
        try:
            begin.wait(0.02)
        finally:
            got.append("finally")

    _together(work, ends_well)
    return sorted(got)


def barrier():
    meeting, got = threading.Barrier(3), []

    def meet():
        got.append("here")
        meeting.wait()
        got.append("gone")

    _together(meet, meet, meet)
    return got


def futures():
    given = Future()
    with ThreadPoolExecutor(2) as executor:
        waiting = executor.submit(given.result)
        also = executor.submit(lambda: given.result() + 1)
        executor.submit(given.set_result, 7)
        answers = [waiting.result(), also.result()]
    with ThreadPoolExecutor(4) as executor:
        calls = [executor.submit(lambda i=i: (time.sleep(0.002 * i), i)[1]) for i in range(4)]
        completed = sorted(call.result() for call in as_completed(calls))
        mapped = list(executor.map(lambda x: x + 1, range(5), timeout=5))
        some, rest = wait([executor.submit(time.sleep, 0.001), executor.submit(time.sleep, 0.002)], return_when=FIRST_COMPLETED)
    return [answers, completed, mapped, len(some) + len(rest)]


def pool():
    told = []
    with Pool(3) as workers:
        squares = workers.map(lambda x: x * x, range(5))
        lazy = [list(workers.imap(abs, [-1, -2])), sorted(workers.imap_unordered(abs, [-1, -2]))]
        powers = workers.starmap(pow, [(2, 3), (3, 2)])
        call = workers.apply_async(divmod, (7, 2), callback=told.append)
        both = [call.get(5), call.successful(), workers.apply(int, ("5",))]
        failing = workers.apply_async(lambda: 1 / 0, error_callback=lambda error: told.append(repr(error)))
        try:
            failing.get()
        except ZeroDivisionError:
            told.append(failing.successful())
    try:
        workers.map(abs, [1])
    except ValueError as error:
        told.append(str(error))
    return [squares, lazy, powers, both, told]


def scheduler():
    got, plan = [], sched.scheduler(time.monotonic, time.sleep)
    plan.enter(0.004, 1, got.append, ("b",))
    plan.enter(0.002, 1, got.append, ("a",))
    _together(plan.run)
    return got


async def loop():
    """What threads ask of the event loop."""
    running, got = asyncio.get_running_loop(), []

    async def answer(x):
        await asyncio.sleep(0.002)
        return x

    def ask():
        event = threading.Event()
        running.call_soon_threadsafe(event.set)
        got.append([asyncio.run_coroutine_threadsafe(answer(5), running).result(5), event.wait(5)])

    await asyncio.to_thread(ask)
    thread = threading.Thread(target=ask)
    thread.start()
    await asyncio.sleep(0.02)
    thread.join()
    # One that needs what its caller does meanwhile.
    event = asyncio.Event()
    asked = asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(event.wait(), running).result(5)))
    await asyncio.sleep(0.005)
    event.set()
    return [got, await asked]


def in_turns():
    """What cannot work here says who stands where."""
    condition, turn, got, said = threading.Condition(), ["ping"], [], []
    before, threading.excepthook = threading.excepthook, lambda args: said.append(str(args.exc_value))

    def play(me, other):
        for _ in range(3):
            with condition:
                while turn[0] != me:
                    condition.wait()
                got.append(me)
                turn[0] = other
                condition.notify_all()

    def ping():
        play("ping", "pong")

    def pong():
        play("pong", "ping")

    try:
        _together(ping, pong)
    finally:
        threading.excepthook = before
    return said[0]


def monitor():
    """A thread that looks after something from time to time and tells who waits for news, as drivers of databases have."""
    news, told = threading.Condition(), []

    def look():
        while True:
            with news:
                told.append("news")
                news.notify_all()
            time.sleep(0.1)

    with news:
        threading.Thread(target=look, daemon=True, name="monitor").start()
        return [news.wait(10), told[0]]


def in_the_way():
    """Threads that go on when the time of who waits below them is over."""

    def sleeps():
        while True:
            time.sleep(60)

    def waits():
        stop = threading.Event()
        while not stop.wait(60):
            pass

    def counts():
        count = 0
        while True:
            count += 1
            time.sleep(0.3)

    came = []
    for target in (sleeps, waits, counts):
        threading.Thread(target=target, daemon=True, name=target.__name__).start()
        came.append(threading.Event().wait(0.05))
    return came


def wanted():
    """Daemon threads that sleep longer than those may for which nobody waits, and are waited for."""
    items, ended = queue.Queue(), []

    def produce():
        for i in range(3):
            items.put(i)
            time.sleep(0.5)

    def work():
        for _ in range(3):
            time.sleep(0.5)
        ended.append("work")

    threading.Thread(target=produce, daemon=True, name="produce").start()
    got = [items.get() for _ in range(3)]
    thread = threading.Thread(target=work, daemon=True, name="work")
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    return [got, ended]
