"""`ctx`: what a handler can ask of the runtime about its own event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextvars import ContextVar
from inspect import isawaitable
from typing import Any

from . import _runtime

current: ContextVar[Context] = ContextVar("current event")


class Context:
    """The context of one event. Its work given to `wait_until` goes on after the response was sent."""

    __slots__ = ("_id", "_is_held", "_pending", "_report", "is_detached", "props")

    def __init__(self, event: int, report: Any) -> None:
        self._id = event
        self._report = report
        #: Whether the answer goes to the host by a call; else it is what the call that began the event returns.
        self.is_detached = False
        self._is_held = False
        #: Configured properties of the caller; there are none for HTTP.
        self.props: dict[str, Any] = {}
        # Tasks by identity, so that nobody else need hold them.
        self._pending: dict[int, asyncio.Task[None]] = {}

    def wait_until(self, awaitable: Awaitable[Any]) -> None:
        """Keeps the event alive until the coroutine, future or promise has settled."""
        if not isawaitable(awaitable):
            raise TypeError(f"waitUntil takes a coroutine, future or promise, not {type(awaitable).__name__}")
        task = asyncio.ensure_future(self._settle(awaitable))
        self._pending[id(task)] = task
        task.add_done_callback(self._settled)

    waitUntil = wait_until  # noqa: N815 - the platform's name

    def pass_through_on_exception(self) -> None:
        """Accepted and without effect: there is no origin to pass a failed request to."""

    passThroughOnException = pass_through_on_exception  # noqa: N815

    async def _settle(self, awaitable: Awaitable[Any]) -> None:
        try:
            await awaitable
        except BaseException as error:
            self._report(error, "waitUntil")

    def _settled(self, task: asyncio.Task[None]) -> None:
        del self._pending[id(task)]
        if not self._pending and self._is_held:
            self._is_held = False
            _runtime.bridge.release(self._id)

    def answered(self) -> None:
        """The handler has its answer: from now on only what was given to `wait_until` keeps the event alive."""
        if self._pending:
            self._is_held = True
            _runtime.bridge.hold(self._id)

    def __repr__(self) -> str:
        return f"<Context of event {self._id}>"


def wait_until(awaitable: Awaitable[Any]) -> None:
    """`ctx.wait_until` of the event that the caller works on."""
    context = current.get(None)
    if context is None:
        raise RuntimeError("wait_until() was called outside of an event: call it in a handler")
    context.wait_until(awaitable)
