"""Threads, where there is one.

A thread that is started runs later: when another one waits (for it, for a lock, a queue, a future), or when the event loop has
nothing to do that came before. It runs to its end then, with an identity and a context of its own and no running event loop, as a
thread has them. What blocks in it waits as `run_sync` does: others run meanwhile, on top of it, so waits end last in, first out. A
thread that waits for one that is below it waits for ever, which is an error.

Some threads would be in each other's way for good, and do not run as they are written:
- Threads that take work from a queue end where they would wait for the first of it, or for more of it when their loop carries nothing
  from one turn to the next, and begin again when there is some. So do those that have only looked so far (`_taipan_rewind.py`).
- A queue takes more than its size while there are threads: who puts would otherwise wait for one that needs the next item at once.
- A thread that has put something into a queue is let sleep without another on top of it, which might want the next.
- Daemon threads that sleep in a loop are ended, for whoever waits below them could not go on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread as pools
import contextvars
import itertools
import queue
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future as PoolFuture
from functools import partial, wraps
from types import FrameType
from typing import Any

import _taipan
import _taipan_blocking as blocking
import _taipan_rewind as rewind
import _thread
from pyodide.webloop import WebLoop

import workers._runtime as runtime

#: Together, in seconds, a daemon thread may sleep for which nobody waits any more.
_PATIENCE = 1.0
#: The same for one that somebody seems to want all the same: it has put something into a queue, or was joined for some time.
_PATIENCE_WHEN_WANTED = 10.0
#: How often a thread sleeps until others may begin in the meantime.
_NAPS = 3
#: The same for one that has put something into a queue.
_NAPS_OF_PRODUCERS = 50
#: How many items more than its size a queue takes.
_MOST_MORE = 10_000

#: Whose loops keep nothing from one turn to the next: they are begun again after any of them.
_STATELESS = frozenset({("anyio._backends._asyncio", "WorkerThread"), ("logging.handlers", "QueueListener")})

_excepthook = threading.excepthook
_MAIN_IDENT = _thread.get_ident()
_idents = itertools.count(_MAIN_IDENT + 1)

#: The thread that runs; None is the main one.
current: _Run | None = None
#: Threads that were started and have not run.
_ready: deque[_Run] = deque()
#: How many threads sleep on which no other may begin.
_sleeping = 0
#: How many waits are on the stack in which somebody waits for what threads do.
_waits = 0
#: What waits on the stack, threads and the event loop's own code (None), the innermost last; and whether for what threads do.
_suspended: list[tuple[_Run | None, bool]] = []
_is_for_threads = False
#: Threads that were wound back, and begin again when something has changed: a lock was released, or a thread has ended.
_parked: list[_Run] = []
_changes = 0
_seen = 0
_is_planned = False


class _Idle(SystemExit):
    """The thread waits for work, and begins again when there is some."""


class _Parked(_Idle):
    """The thread has only looked so far, and begins again when something has changed."""


class _Ended(SystemExit):
    """The thread would keep the isolate for ever."""


class _Run:
    """A thread that was started."""

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        self.ident = next(_idents)
        self.is_done = False
        self.slept = 0.0
        self.naps = 0
        self.held = 0
        self.has_begun = False
        self.has_taken = False
        self.has_put = False
        self.is_waited_for = False
        #: The wait on top of which it began.
        self.below: blocking.Wait | None = None
        #: Where it was wound back.
        self.stands = ""
        self._parts = {name: getattr(thread, name) for name in ("_target", "_args", "_kwargs") if hasattr(thread, name)}
        target = getattr(thread._target, "__self__", None)  # type: ignore[attr-defined]
        self._is_stateless = any(_name(of) in _STATELESS for of in (thread, target))
        self._is_idle = self._is_parked = False
        self._joiners: list[asyncio.Future[None]] = []
        self._context = getattr(thread, "_context", None) or contextvars.Context()

    def schedule(self) -> None:
        _ready.append(self)
        _loop().call_soon(_run_ready, context=contextvars.Context())

    def execute(self) -> None:
        global current, _changes
        changes, others = _changes, _ends
        loop = asyncio._get_running_loop()
        task = asyncio.current_task(loop) if loop is not None else None
        # 3.12 fails when there is none.
        if task is not None:
            asyncio.tasks._swap_current_task(loop, None)  # type: ignore[attr-defined]
        asyncio._set_running_loop(None)
        before, current = current, self
        thread: Any = self.thread
        self.is_waited_for = _waits > 0
        self.below = blocking.waits[-1] if blocking.waits else None
        self.has_taken = self.has_put = False
        self.has_begun = True
        self.slept = 0.0
        self.naps = self.held = 0
        thread._ident = self.ident
        threading._active[self.ident] = thread  # type: ignore[attr-defined]
        try:
            _taipan.in_thread(self._body)
        finally:
            threading._active.pop(self.ident, None)  # type: ignore[attr-defined]
            current = before
            asyncio._set_running_loop(loop)
            if task is not None:
                asyncio.tasks._swap_current_task(loop, task)  # type: ignore[attr-defined]
        if self._is_parked:
            # What it did is undone, unless others have run meanwhile.
            if others == _ends:
                _changes = changes
            _parked.append(self)
        elif not self._is_idle:
            self.is_done = True
            _ended()
            for joiner in self._joiners:
                if not joiner.done():
                    joiner.set_result(None)

    def _body(self) -> None:
        thread: Any = self.thread
        self._is_idle = self._is_parked = False
        try:
            self._context.run(thread.run)
        except _Idle as idle:
            self._is_idle = True
            self._is_parked = isinstance(idle, _Parked)
            for name, part in self._parts.items():
                setattr(thread, name, part)
        except _Ended as end:
            print(f"Thread {thread.name!r} was ended: {end}", file=sys.stderr)
        except SystemExit:
            pass
        except BaseException as error:
            if threading.excepthook is _excepthook and runtime.report is not None:
                runtime.report(error, f"thread {thread.name!r}")
            else:
                thread._invoke_excepthook(thread)

    def join(self, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.is_done:
            future = _loop().create_future()
            self._joiners.append(future)
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not _wait(future, left, f"thread {self.thread.name!r} to end"):
                return

    def is_joined_by(self, wait: blocking.Wait) -> bool:
        return any(joiner is wait.awaited for joiner in self._joiners)

    def can_rewind(self, is_allowed: Callable[[list[FrameType]], bool]) -> bool:
        """Whether the thread, which waits, can end here and begin again."""
        frames: list[FrameType] = []
        frame: FrameType | None = sys._getframe(1)
        while blocking.is_primitive(frame) and frame.f_code not in _BEGINNINGS:
            if frame.f_code in _COUNTING:
                return False
            frame = frame.f_back  # type: ignore[assignment]
        place = frame
        while frame is not None and frame.f_code not in _BEGINNINGS:
            if frame.f_code is not threading.Thread.run.__code__:
                frames.append(frame)
            frame = frame.f_back  # type: ignore[assignment]
        if frame is None or not is_allowed(frames):
            return False
        self.stands = blocking.place(place) if frames else "its beginning"
        return True

    def wait_for_work(self, waiting: list[_Run]) -> None:
        """There is no work yet."""
        self.stands = "Queue.get()"
        if self.has_taken and not self._is_stateless and not self.can_rewind(rewind.has_nothing_to_keep):
            return
        waiting.append(self)
        raise _Idle


#: Those that wait must stay, to be counted.
_COUNTING = frozenset({threading.Barrier.wait.__code__})

def _name(of: Any) -> tuple[str, str]:
    cls = type(of)
    return cls.__module__, cls.__qualname__


def _loop() -> Any:
    return asyncio._get_running_loop() or asyncio.get_event_loop_policy().get_event_loop()


#: How many threads an error names at most of those that wait elsewhere.
_MOST_NAMED = 5
#: How many threads have ended.
_ends = 0


def _ended() -> None:
    global _ends
    _ends += 1
    _changed()


def _changed() -> None:
    """Something happened that a thread may have been waiting for."""
    global _changes, _is_planned
    _changes += 1
    if _parked and not _is_planned:
        _is_planned = True
        _loop().call_soon(_run_ready, context=contextvars.Context())


def _unpark() -> None:
    global _seen
    if _parked and _changes != _seen:
        _seen = _changes
        _ready.extend(_parked)
        _parked.clear()


def _is_producing() -> bool:
    """Whether a thread sleeps, or waits for the world, that has given others work: they might want more at once."""
    if not _suspended:
        return False
    run, is_for_threads = _suspended[-1]
    return run is not None and run.has_put and not is_for_threads


def _run_ready() -> None:
    global _is_planned
    _is_planned = False
    _unpark()
    if _ready and not _sleeping and not _is_producing():
        _ready.popleft().execute()
        if _ready:
            _loop().call_soon(_run_ready, context=contextvars.Context())


def _wait(future: asyncio.Future[None], timeout: float | None, what: str) -> bool:
    """Whether the future is done before the time is over; what goes on meanwhile is everything else."""
    global _waits, _is_for_threads
    _waits += 1
    blocking.waits.append(wait := blocking.Wait(future, sys._getframe(1), timeout))
    try:
        _unpark()
        while _ready and not future.done():
            _ready.popleft().execute()
            _unpark()
        if future.done():
            return True
        left: float | None = None
        allowed: float | None = None
        if timeout is not None:
            # Others have run in the meantime.
            left = wait.left
            allowed = _allow(left)
        elif current is not None and current.can_rewind(rewind.has_only_looked):
            raise _Parked
        waiting: Any = asyncio.ensure_future(asyncio.wait([future], timeout=allowed), loop=_loop())
        # When nothing can end the wait, an error says so.
        waiting._log_destroy_pending = False
        try:
            _is_for_threads = True
            blocking.block(waiting)
        except blocking.Stuck:
            waiting.cancel()
            if current is not None and current.thread.daemon:
                raise _Ended(f"it waits for {wait.what} in {wait.place}, and nothing is left that could bring that about") from None
            raise blocking.DeadlockError(_explain(wait, what)) from None
        if allowed != left and not future.done():
            raise _Ended(_GOES_ON)
        return future.done()
    finally:
        _waits -= 1
        blocking.waits.pop()


def _explain(wait: blocking.Wait, what: str) -> str:
    if what == "a lock":
        what = wait.what
    name = threading.current_thread().name
    parts = [f"Deadlock: {name!r} waits for {what} in {wait.place}, and nothing is left that could bring that about"]
    below = [f"{other.thread.name!r} in {other.place}" for other in blocking.below(len(blocking.waits) - 1)]
    if below:
        parts.append(f"Below it on the stack, unable to go on before it ends: {', '.join(below)}")
    idle = [run for run in itertools.chain(*_idle.values()) if not run.thread.daemon]
    if away := [f"{run.thread.name!r} in {run.stands}" for run in (*_parked, *idle)]:
        parts.append(f"Waiting as well: {', '.join(away[:_MOST_NAMED])}")
    parts.append(
        "Threads share one stack here, so one that waits cannot go on before those that began after it have ended, and two that need "
        "each other in turns cannot run: use tasks of asyncio"
    )
    return ". ".join(parts)


def _lets_others_run() -> bool:
    """Whether threads may begin on top of one that sleeps. They would wait for ever for what it holds, a lock or a turn of a semaphore:
    so only when it seems to wait for them."""
    if current is None:
        return True
    current.naps += 1
    return current.held == 0 and current.naps > (_NAPS_OF_PRODUCERS if current.has_put else _NAPS)


_GOES_ON = "it is a daemon thread that goes on sleeping; use a cron trigger for what is to happen from time to time"


def _allow(seconds: float) -> float:
    """How long the thread that runs may sleep of what it wants to; when that is less, it is a daemon thread that has to be ended then.
    While somebody waits below, it may be for what it does. When their time is over, or they have what they waited for, it is in their way.
    """
    if current is None or not current.thread.daemon:
        return seconds
    left, patience = 0.0, _PATIENCE
    if current.is_waited_for and current.below is not None:
        left = current.below.left
        if left >= seconds:
            return seconds
        if current.has_put or current.is_joined_by(current.below):
            patience = _PATIENCE_WHEN_WANTED
        elif current.can_rewind(rewind.has_nothing_to_keep):
            # One that does the same from time to time, for ever.
            patience = 0.0
    current.slept += seconds - left
    if current.slept <= patience:
        return seconds
    if left == 0:
        raise _Ended(_GOES_ON)
    return left


class Lock:
    """As `threading.Lock`."""

    __slots__ = ("__weakref__", "_holder", "_is_held", "_waiters")

    def __init__(self) -> None:
        self._is_held = False
        self._holder: _Run | None = None
        self._waiters: list[asyncio.Future[None]] | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self._is_held:
            self._hold()
            return True
        if not blocking:
            if timeout != -1:
                raise ValueError("can't specify a timeout for a non-blocking call")
            return False
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        deadline = None if timeout == -1 else time.monotonic() + timeout
        while self._is_held:
            future = _loop().create_future()
            if self._waiters is None:
                self._waiters = []
            self._waiters.append(future)
            try:
                if not _wait(future, None if deadline is None else max(0.0, deadline - time.monotonic()), "a lock"):
                    return False
            finally:
                self._waiters.remove(future)
        self._hold()
        return True

    def _hold(self) -> None:
        self._is_held = True
        self._holder = current
        if current is not None:
            current.held += 1

    def release(self) -> None:
        if not self._is_held:
            raise RuntimeError("release unlocked lock")
        self._is_held = False
        if self._holder is not None:
            self._holder.held -= 1
        if _parked:
            _changed()
        for future in self._waiters or ():
            if not future.done():
                future.set_result(None)
                break

    acquire_lock, release_lock = acquire, release

    def locked(self) -> bool:
        return self._is_held

    locked_lock = locked

    def _at_fork_reinit(self) -> None:
        self._is_held = False

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<{'locked' if self._is_held else 'unlocked'} lock at {id(self):#x}>"


_runs: weakref.WeakKeyDictionary[threading.Thread, _Run] = weakref.WeakKeyDictionary()


def _start(self: Any) -> None:
    if not self._initialized:
        raise RuntimeError("thread.__init__() not called")
    if self._started.is_set():
        raise RuntimeError("threads can only be started once")
    run = _runs[self] = _Run(self)
    self._ident = run.ident
    self._started.set()
    run.schedule()


def _join(self: Any, timeout: float | None = None) -> None:
    if not self._initialized:
        raise RuntimeError("Thread.__init__() not called")
    if not self._started.is_set():
        raise RuntimeError("cannot join thread before it is started")
    if self is threading.current_thread():
        raise RuntimeError("cannot join current thread")
    if run := _runs.get(self):
        run.join(None if timeout is None else max(timeout, 0))


def _is_alive(self: Any) -> bool:
    run = _runs.get(self)
    return self is threading.main_thread() if run is None else not run.is_done


def _start_new_thread(function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, /) -> int:
    thread = threading.Thread(target=function, args=args, kwargs=kwargs or {}, daemon=True)
    thread.start()
    return thread.ident or 0


def _get_ident() -> int:
    return _MAIN_IDENT if current is None else current.ident


# ---- queues

_idle: weakref.WeakKeyDictionary[Any, list[_Run]] = weakref.WeakKeyDictionary()


def _working(cls: Any, size: Callable[[Any], int]) -> None:
    """Lets threads that wait for a queue's first item end until there is one."""
    get, put = cls.get, cls.put

    def get_or_end(self: Any, block: bool = True, timeout: float | None = None) -> Any:
        if block and timeout is None and current is not None and not size(self):
            current.wait_for_work(_idle.setdefault(self, []))
        item = get(self, block, timeout)
        if current is not None:
            current.has_taken = True
        return item

    def put_and_begin(self: Any, item: Any, block: bool = True, timeout: float | None = None) -> None:
        most = getattr(self, "maxsize", 0)
        if block and 0 < most <= size(self) < most + _MOST_MORE and (_ready or _parked or _idle.get(self) or blocking.waits):
            self.maxsize = 0
            try:
                put(self, item)
            finally:
                self.maxsize = most
        else:
            put(self, item, block, timeout)
        if current is not None:
            current.has_put = True
        if waiting := _idle.get(self):
            waiting.pop(0).schedule()

    cls.get, cls.put = get_or_end, put_and_begin


# ---- executors


class _Item:
    """A call that was given to an executor."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.future: PoolFuture[Any] = PoolFuture()
        self.call = call

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.call()
        except _Parked:
            self.future._state = "PENDING"  # type: ignore[attr-defined]
            raise
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


def _work(executor: Any) -> None:
    """One turn of an executor's thread: what there is to do now."""
    if begin := executor.__dict__.pop("_taipan_initializer", None):
        begin()
    parked = []
    while True:
        try:
            item = executor._work_queue.get_nowait()
        except queue.Empty:
            break
        if item is not None:
            try:
                item.run()
            except _Parked:
                parked.append(item)
    if parked:
        # After what others want done.
        for item in parked:
            executor._work_queue.put(item)
        raise _Parked
    # Whoever shuts it down looks at the set that there was.
    executor._threads = executor._threads - {threading.current_thread()}


#: The frames below which there is nothing of the thread's own.
_BEGINNINGS = frozenset({_Run._body.__code__, _Item.run.__code__})


def _submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> PoolFuture[Any]:
    if self._shutdown:
        raise RuntimeError("cannot schedule new futures after shutdown")
    item = _Item(partial(fn, *args, **kwargs))
    self._work_queue.put(item)
    # One that has not begun does this as well; one that has may be waiting for it.
    if all(_runs[thread].has_begun for thread in self._threads) and len(self._threads) < self._max_workers:
        thread = threading.Thread(target=_work, args=(self,), name=f"{self._thread_name_prefix or 'ThreadPoolExecutor'}_0")
        self._threads.add(thread)
        thread.start()
    return item.future


def _run_in_executor(self: Any, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
    if executor is None:
        executor = _default
        if executor is None or executor._shutdown:
            executor = _make_default()
    return asyncio.wrap_future(executor.submit(func, *args), loop=self)


_default: Any = None


def _make_default() -> Any:
    global _default
    _default = pools.ThreadPoolExecutor(thread_name_prefix="asyncio")
    return _default


def _set_default(self: Any, executor: Any) -> None:
    global _default
    _default = executor


def install() -> None:
    """Once, at start."""
    thread: Any = threading.Thread
    thread.start, thread.join, thread.is_alive = _start, _join, _is_alive
    # An operating system's number, which others show in logs, is no more than that here.
    thread.native_id = property(lambda self: self.ident)
    for module in (threading, _thread):
        module.get_ident = module.get_native_id = _get_ident  # type: ignore[attr-defined]
    for name in ("Lock", "_allocate_lock"):
        setattr(threading, name, Lock)
    _thread.allocate_lock = _thread.allocate = Lock  # type: ignore[attr-defined,assignment]
    threading._start_new_thread = _thread.start_new_thread = _thread.start_new = _start_new_thread  # type: ignore
    queue.SimpleQueue = queue._PySimpleQueue  # type: ignore[attr-defined,misc]
    _working(queue.Queue, lambda self: self._qsize())
    _working(queue._PySimpleQueue, lambda self: len(self._queue))  # type: ignore[attr-defined]

    pool: Any = pools.ThreadPoolExecutor
    make = pool.__init__

    def init(self: Any, max_workers: Any = None, thread_name_prefix: str = "", initializer: Any = None, initargs: Any = (), **more: Any) -> None:
        make(self, max_workers, thread_name_prefix, initializer, initargs, **more)
        if initializer is not None and type(self).__init__ is init:
            self._taipan_initializer = lambda: initializer(*initargs)

    pool.__init__, pool.submit = init, _submit
    loop: Any = WebLoop
    loop.run_in_executor, loop.set_default_executor = _run_in_executor, _set_default

    asyncio.run = _run_coroutine(asyncio.run)
    sleep = time.sleep

    def sleep_here(seconds: float) -> None:
        global _sleeping
        allowed = _allow(seconds)
        if _lets_others_run():
            blocking.waits.append(blocking.Wait(None, sys._getframe(1)))
            try:
                _unpark()
                while _ready:
                    _ready.popleft().execute()
            finally:
                blocking.waits.pop()
            sleep(allowed)
        else:
            _sleeping += 1
            try:
                sleep(allowed)
            finally:
                _sleeping -= 1
                for _ in _ready:
                    _loop().call_soon(_run_ready, context=contextvars.Context())
        if allowed < seconds:
            raise _Ended(_GOES_ON)

    time.sleep = sleep_here


def _run_coroutine(run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def run_here(main: Any, *, debug: bool | None = None, loop_factory: Any = None) -> Any:
        if current is not None and loop_factory is None and asyncio._get_running_loop() is None:
            # There is one event loop, which goes on while a thread waits.
            return blocking.run_sync(main)
        return run(main, debug=debug, loop_factory=loop_factory)

    return run_here


def enter_blocking() -> Any:
    """A wait begins: until it ends, the thread that runs is the event loop's."""
    global current, _is_for_threads
    before, current = current, None
    _suspended.append((before, _is_for_threads))
    _is_for_threads = False
    return before


def leave_blocking(before: Any) -> None:
    global current
    current = before
    _suspended.pop()
    if _ready:
        _loop().call_soon(_run_ready, context=contextvars.Context())
