"""Events: what a handler can ask of the runtime about its own, and how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextvars import ContextVar
from inspect import isawaitable
from typing import Any

import _taipan_console

from . import _ops, _runtime

current: ContextVar[Context] = ContextVar("current event")

#: Requests that are being worked on, by number.
events: dict[int, Context] = {}


class Context:
    """The context of one event. Its work given to `wait_until` goes on after the response was sent."""

    __slots__ = (
        *("_answered_by_js", "_fields", "_has_twin", "_id", "_is_answered", "_is_gone", "_is_sending", "_pending", "_was_read"),
        *("props", "task"),
    )

    def __init__(self, event: int, fields: tuple[Any, ...]) -> None:
        self._id = event
        #: Method, URL, body's length, `cf` as JSON, connection, then headers' names and values.
        self._fields = fields
        self._is_answered = False
        #: The client has disconnected.
        self._is_gone = False
        #: The response's body is on its way.
        self._is_sending = False
        #: JavaScript has the request as well.
        self._has_twin = False
        #: JavaScript has the response, and ends the event.
        self._answered_by_js = False
        #: The body was read here.
        self._was_read = False
        #: Configured properties of the caller; there are none for HTTP.
        self.props: dict[str, Any] = {}
        # Tasks by identity, so that nobody else need hold them.
        self._pending: dict[int, asyncio.Task[None]] | None = None
        #: The handler's.
        self.task: asyncio.Task[None] | None = None

    def wait_until(self, awaitable: Awaitable[Any]) -> None:
        """Keeps the event alive until the coroutine, future or promise has settled."""
        if not isawaitable(awaitable):
            raise TypeError(f"waitUntil takes a coroutine, future or promise, not {type(awaitable).__name__}")
        task = asyncio.ensure_future(_settle(awaitable))
        if self._pending is None:
            self._pending = {}
        self._pending[id(task)] = task
        task.add_done_callback(self._settled)

    waitUntil = wait_until  # noqa: N815 - the platform's name

    def pass_through_on_exception(self) -> None:
        """Accepted and without effect: there is no origin to pass a failed request to."""

    passThroughOnException = pass_through_on_exception  # noqa: N815

    def _settled(self, task: asyncio.Task[None]) -> None:
        if self._pending is not None:
            self._pending.pop(id(task), None)
        if not self._pending:
            _taipan_console.flush()
            if self._answered_by_js:
                _runtime.bridge.release(self._id)
            else:
                self._finish()

    # ---- how far it is; for this package and the runtime

    def _js_request(self) -> Any:
        """The JavaScript Request."""
        if not self._has_twin:
            if events.get(self._id) is not self:
                return None
            method, url, length, cf, _, *headers = self._fields
            _runtime.bridge.open(self._id, method, url, length, cf, "\n".join(headers), self._was_read, self._is_gone)
            self._has_twin = True
        return _runtime.bridge.request(self._id)

    def _respond(self, status: int, status_text: str, body: Any, headers: list[str]) -> bool:
        """Answers; whether nobody has before. A body of -1 follows in parts."""
        # A handler that was given up may still return.
        if self._is_answered:
            return False
        _ops.respond(self._id, status, status_text, body, *headers)
        self._is_answered = True
        self._is_sending = body == -1
        return True

    def _upgrade(self, headers: list[str]) -> int | None:
        """Answers with a WebSocket, and gives its number."""
        if self._is_answered:
            return None
        self._is_answered = True
        return _ops.upgrade(self._id, *headers)[0]  # type: ignore[no-any-return]

    def _respond_js(self, response: Any) -> None:
        """Answers with a JavaScript Response."""
        if self._is_answered:
            return
        if not self._has_twin:
            _runtime.bridge.open(self._id, self._fields[0], self._fields[1], None, None, "", True, self._is_gone)
            self._has_twin = True
        self._is_answered = self._answered_by_js = True
        del events[self._id]
        self.task = None
        if self._pending:
            _runtime.bridge.hold(self._id)
        _runtime.bridge.complete(self._id, response)

    def _fail(self, report_json: str) -> None:
        if not self._is_answered:
            self._is_answered = True
            _ops.fail(self._id, report_json)

    def _sent(self) -> None:
        """The body has ended."""
        self._is_sending = False
        self._finish()

    def _finish(self) -> None:
        """Ends the event when nothing of it goes on."""
        if self._is_answered and not self._is_sending and not self._pending and events.pop(self._id, None) is not None:
            # A task has its context, and in it this.
            self.task = None
            if self._has_twin:
                _runtime.bridge.forget(self._id)
            _ops.done(self._id)

    def __repr__(self) -> str:
        return f"<Context of event {self._id}>"


async def _settle(awaitable: Awaitable[Any]) -> None:
    try:
        await awaitable
    except BaseException as error:
        _runtime.report(error, "waitUntil")


def wait_until(awaitable: Awaitable[Any]) -> None:
    """`ctx.wait_until` of the event that the caller works on."""
    context = current.get(None)
    if context is None:
        raise RuntimeError("wait_until() was called outside of an event: call it in a handler")
    context.wait_until(awaitable)
