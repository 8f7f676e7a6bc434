"""`run_sync`, and what to say when it waits for ever.

Waits nest on one stack (`js/src/wasm/suspend.ts`): the last that began is the first to end. So there are waits that nothing can end,
such as that for something which the caller of `run_sync` would do next. Who waits where is known here, so that the exception can name
both places. Imported before anything that takes `run_sync` from Pyodide.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from types import CoroutineType, FrameType, TracebackType
from typing import Any

import pyodide.ffi
import pyodide.webloop
from pyodide.ffi import JsException

import _taipan_report as reports

_run_sync = pyodide.ffi.run_sync

#: What the engine says when a wait cannot end.
_NEVER = "can never happen"

#: Modules in which a thread stands when it waits for others, beside the runtime's own.
_PRIMITIVES = frozenset({"threading", "queue", "concurrent.futures._base", "concurrent.futures.thread", "multiprocessing.pool"})


class DeadlockError(RuntimeError):
    """What is waited for can never happen."""

    # Shown as it is: nobody imports it.
    __module__ = "builtins"


class Stuck(Exception):
    """The same, before somebody has said it."""


class Wait:
    """Somebody who waits."""

    __slots__ = ("awaited", "deadline", "frame", "thread")

    def __init__(self, awaited: Any, frame: FrameType, timeout: float | None = None) -> None:
        self.awaited = awaited
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.frame = frame
        self.thread = threading.current_thread()

    @property
    def left(self) -> float:
        """For how long it goes on as far as is known, in seconds; none when it is over, and ends only once nobody is on top."""
        if isinstance(self.awaited, asyncio.Future) and self.awaited.done():
            return 0.0
        return float("inf") if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    @property
    def caller(self) -> FrameType:
        """The frame that waits, as its author sees it."""
        frame: FrameType | None = self.frame
        while frame is not None and (is_primitive(frame) or reports.is_machinery(frame.f_code.co_filename)):
            frame = frame.f_back
        return frame or self.frame

    @property
    def place(self) -> str:
        return place(self.caller)

    @property
    def what(self) -> str:
        """What the caller called, when that is one of the standard library's ways to wait."""
        frame, name = self.frame, ""
        while frame is not None and (is_primitive(frame) or reports.is_machinery(frame.f_code.co_filename)):
            if frame.f_globals.get("__name__") in _PRIMITIVES:
                name = frame.f_code.co_qualname
            frame = frame.f_back  # type: ignore[assignment]
        return _NAMES.get(name, f"{name}()" if name else "a lock")


_NAMES = {"Thread.join": "a thread to end", "Condition.__enter__": "a lock"}

#: On the stack, the innermost last.
waits: list[Wait] = []


def is_primitive(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    return name in _PRIMITIVES or name.startswith("_taipan")


def place(frame: FrameType, line: int | None = None) -> str:
    """Where a frame stands."""
    return f"{frame.f_code.co_qualname} ({reports.relative(frame.f_code.co_filename)}:{line or frame.f_lineno})"


def run_sync(awaitable: Any) -> Any:
    """Blocks until it is done, and gives its result; what else there is to do goes on meanwhile."""
    task = None
    if type(awaitable) is CoroutineType:
        loop = asyncio._get_running_loop() or asyncio.get_event_loop_policy().get_event_loop()
        awaitable = task = asyncio.ensure_future(awaitable, loop=loop)
    waits.append(wait := Wait(awaitable, sys._getframe(1)))
    try:
        return block(awaitable)
    except Stuck:
        if task is not None:
            # Nobody waits for it any more.
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        raise DeadlockError(_explain(wait)) from None
    finally:
        waits.pop()


def block(awaitable: Any) -> Any:
    """`run_sync` for those who say themselves what they wait for."""
    try:
        return _run_sync(awaitable)
    except JsException as error:
        if _NEVER in str(error):
            raise Stuck from None
        _without_javascript(error.__traceback__)
        raise
    except BaseException as error:
        _without_javascript(error.__traceback__)
        raise


def _explain(wait: Wait) -> str:
    parts = [
        "run_sync() waits for something that can never happen: no timer, operation or task is left that could complete it",
        f"It was called in {wait.place}",
    ]
    if isinstance(wait.awaited, asyncio.Task):
        frames = list(reports.waiting(wait.awaited))
        own = [entry for entry in frames if reports.is_user(entry[0].f_code.co_filename)]
        if own or frames:
            parts[-1] += f", and waits in {place(*(own or frames)[-1])}"
    if others := list(below(len(waits) - 1)):
        places = ", ".join(wait.place for wait in others)
        parts.append(f"Waits end last in, first out: what waits since before it goes on only when it has ended: {places}")
    return ". ".join(parts)


def below(count: int) -> Iterator[Wait]:
    """Who waits in the lowest so many places of the stack, the uppermost first."""
    for wait in reversed(waits[:count]):
        if not reports.is_machinery(wait.caller.f_code.co_filename):
            yield wait


def _without_javascript(tb: TracebackType | None) -> None:
    """Takes out what Pyodide makes of JavaScript's stack where that is the runtime's own."""
    while tb is not None:
        after = tb.tb_next
        while after is not None and after.tb_frame.f_code.co_filename in ("taipan:bundle.js", "(native)"):
            after = after.tb_next
        tb.tb_next = after
        tb = after


pyodide.ffi.run_sync = pyodide.webloop.run_sync = run_sync  # type: ignore[assignment,attr-defined]
