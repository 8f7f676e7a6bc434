"""The event loop: asyncio's, run by the engine as a part of each turn.

Pyodide's own loop gives every callback to JavaScript as a timer. Here callbacks wait in Python, and `_taipan` is told that there are
some, or when the first timer is due. What Pyodide's loop offers beyond asyncio's stays.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from heapq import heapify, heappop, heappush
from typing import Any

import _taipan
from pyodide.webloop import PyodideFuture, PyodideTask, WebLoop, WebLoopPolicy

#: Cancelled timers are swept out when they are more than this, and more than the others.
_CANCELLED = 100

#: What event loops of other machines can do and this one cannot, by the reason.
_ABSENT = {
    "a Worker is one process and starts no others": ("subprocess_exec", "subprocess_shell"),
    "a Worker gets no signals": ("add_signal_handler", "remove_signal_handler"),
    "a Worker has no ports: requests come to its handlers": ("create_server", "create_unix_server", "connect_accepted_socket"),
    "a Worker has no sockets but those of TCP": ("create_unix_connection", "create_datagram_endpoint"),
    "a Worker has no pipes": ("connect_read_pipe", "connect_write_pipe"),
}

#: Ends what asyncio says of the exception of a task or future that nobody asks for.
_UNASKED = " exception was never retrieved"


class Loop(WebLoop):
    """The event loop of an isolate, which runs for ever."""

    def __init__(self) -> None:
        super().__init__()
        #: Handles, each with the request for which it was made.
        self._waiting: deque[tuple[asyncio.Handle, int]] = deque()
        #: (when, number, handle, request)
        self._timers: list[tuple[float, int, asyncio.TimerHandle, int]] = []
        self._count = 0
        self._cancelled = 0
        # Older releases do without.
        if install_hooks := getattr(self, "_install_asyncgen_hooks", None):
            install_hooks()

    # ---- what asyncio asks

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._waiting:
            _taipan.wake()
        self._waiting.append((handle, _taipan.cause()))
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:
        if delay < 0:
            delay = 0
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        # The end of time never comes.
        if when != float("inf"):
            timers = self._timers
            heappush(timers, (when, self._count, handle, _taipan.cause()))
            self._count += 1
            handle._scheduled = True
            if timers[0][2] is handle:
                self._arm()
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        # It is not marked yet.
        if not handle._scheduled:
            return
        handle._scheduled = False
        timers = self._timers
        if timers[0][2] is handle:
            heappop(timers)
            self._drop_cancelled()
            self._arm()
        else:
            self._cancelled += 1
            if self._cancelled > _CANCELLED and self._cancelled > len(timers) // 2:
                timers[:] = [timer for timer in timers if timer[2]._scheduled]
                heapify(timers)
                self._cancelled = 0

    def _drop_cancelled(self) -> None:
        timers = self._timers
        while timers and not timers[0][2]._scheduled:
            heappop(timers)
            self._cancelled -= 1

    def _arm(self) -> None:
        timers = self._timers
        _taipan.wake_in(max(0.0, (timers[0][0] - self.time()) * 1e3) if timers else -1)

    def create_future(self) -> Any:
        return PyodideFuture(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> Any:
        if self._task_factory is not None:
            return self._task_factory(self, coro, **options)
        return PyodideTask(coro, loop=self, **options)

    time = staticmethod(time.monotonic)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or self.report is None:
            super().default_exception_handler(context)
        else:
            message = (context.get("message") or "the event loop").removeprefix("Exception in ")
            if message.endswith(_UNASKED):
                future = context.get("future")
                kind = "a task" if isinstance(future, asyncio.Task) else "a future"
                if isinstance(future, asyncio.Task) and not future.get_name().startswith("Task-"):
                    kind = f"the task {future.get_name()!r}"
                message = f"{kind} that nobody awaits"
            self.report(error, message)

    #: Logs an exception, and where it was.
    report: Callable[[BaseException, str], None] | None = None

    # ---- what the engine calls

    def run(self) -> None:
        """Runs what is waiting now."""
        # Threads, and programs with loops of their own, may have left another one.
        asyncio._set_running_loop(self)
        waiting = self._waiting
        if timers := self._timers:
            now = self.time()
            self._drop_cancelled()
            while timers and timers[0][0] <= now:
                _, _, timer, cause = heappop(timers)
                timer._scheduled = False
                waiting.append((timer, cause))
                self._drop_cancelled()
            self._arm()
        set_cause = _taipan.set_cause
        try:
            for _ in range(len(waiting)):
                # A callback that waits lets others run before it returns.
                if not waiting:
                    break
                handle, cause = waiting.popleft()
                if not handle._cancelled:
                    set_cause(cause)
                    handle._run()
        except SystemExit as error:
            if self._system_exit_handler:
                self._system_exit_handler(error.code)
            else:
                self._escaped(error)
        except KeyboardInterrupt as error:
            if self._keyboard_interrupt_handler:
                self._keyboard_interrupt_handler()
            else:
                self._escaped(error)
        finally:
            # The frames of an exception hold this one, so a task that failed would hold itself, and nobody would be told.
            handle = None  # noqa: F841
            if waiting:
                _taipan.wake()

    def _escaped(self, error: BaseException) -> None:
        # Of a task, whose waiters have it as well: it ends nothing but that.
        self.call_exception_handler({"message": f"{type(error).__name__} in the event loop", "exception": error})


class OpError(RuntimeError):
    """The host could not do what it was asked for."""


_ERRORS: dict[str, type[Exception]] = {
    "AbortError": ConnectionResetError,
    "NetworkError": ConnectionError,
    "RangeError": ValueError,
    "SyntaxError": ValueError,
    "TimeoutError": TimeoutError,
    "TypeError": TypeError,
}


def _make_error(fields: tuple[str, str]) -> Exception:
    name, message = fields
    return _ERRORS.get(name, OpError)(message)


def _completed(future: asyncio.Future[Any], result: Any, failed: bool) -> None:
    if future.done():
        return
    if failed:
        future.set_exception(result)
    else:
        future.set_result(result)


def op(name: str) -> Callable[..., tuple[Any, ...]]:
    """A synchronous operation of `taipan-guest/src/ops.rs`: its fields as arguments, the answer's as a tuple."""
    number, call = _taipan.op_number(name), _taipan.op

    def ask(*fields: Any) -> tuple[Any, ...]:
        return call(number, *fields)  # type: ignore[no-any-return]

    return ask


def async_op(name: str) -> Callable[..., Any]:
    """An asynchronous one: its answer, as a tuple, when it is there already, else a future of it."""
    number, start = _taipan.op_number(name), _taipan.start

    def ask(*fields: Any) -> Any:
        return start(number, *fields)

    return ask


def _make_others_quietly() -> None:
    """Pyodide's loops make themselves the running one when they are made, as by `asyncio.new_event_loop()` in a request or a thread, and
    the one that everybody gets from then on."""
    make = WebLoop.__init__
    WebLoopPolicy.new_event_loop = lambda self: WebLoop()  # type: ignore[method-assign]

    def init(self: Any) -> None:
        running = asyncio._get_running_loop()
        make(self)
        # In a thread of older releases it must be: their loops do not see to that when they run.
        if running is not None or sys.version_info >= (3, 14):
            asyncio._set_running_loop(running)

    WebLoop.__init__ = init  # type: ignore[method-assign]


def _refuse(name: str, why: str) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise NotImplementedError(f"{name}() does not work here: {why}")

    setattr(WebLoop, name, refuse)


def install(on_event: Callable[[int, int, tuple[Any, ...]], None] | None) -> Loop:
    """Puts the loop in the place of Pyodide's, once, at start."""
    for why, names in _ABSENT.items():
        for name in names:
            _refuse(name, why)
    loop = Loop()
    _make_others_quietly()
    asyncio.get_event_loop_policy().set_event_loop(loop)
    asyncio._set_running_loop(loop)
    _taipan.connect(loop.run, loop.create_future, _completed, _make_error, on_event)
    return loop
