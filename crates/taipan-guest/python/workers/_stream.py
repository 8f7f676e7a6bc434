"""Bodies of responses that are written while they are sent.

A body goes straight to the host once its response is on its way. Who asks for the JavaScript twin of the response instead
gets it as a ReadableStream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextvars import Context
from typing import Any

import js
from pyodide.ffi import create_proxy, to_js

from . import _ops, _runtime
from ._body import plain_object
from ._context import Context as Event

_GONE = "The client has disconnected"


def as_bytes(chunk: Any) -> bytes | bytearray | memoryview:
    """A part of a body."""
    if isinstance(chunk, str):
        return chunk.encode()
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return chunk
    raise TypeError(f"The response's body gave something that is neither bytes nor a string: {type(chunk).__name__}")


class _Client:
    """The host's end: what is written goes to the client."""

    def __init__(self, context: Event) -> None:
        self._context = context

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        try:
            answer = _ops.write(self._context._id, chunk)
            if type(answer) is not tuple:
                await answer
        except ConnectionResetError:
            # The event that says so comes later.
            self._context._is_gone = True
            raise

    def end(self, trailers: list[tuple[str, str]], reason: str | None) -> None:
        if reason is None:
            _ops.close(self._context._id, *[text for trailer in trailers for text in trailer])
        else:
            _ops.abort(self._context._id, reason)
        self._context._sent()


class _Reader:
    """Another end: what is written waits for whoever iterates."""

    def __init__(self) -> None:
        self._chunks: deque[bytes | None] = deque()
        self._failure: Exception | None = None
        self._has_ended = False
        self._readable = asyncio.Event()
        self._taken = asyncio.Event()

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        if self._has_ended:
            raise ConnectionResetError(_GONE)
        self._chunks.append(bytes(chunk))
        self._readable.set()
        self._taken.clear()
        await self._taken.wait()
        if self._has_ended:
            raise ConnectionResetError(_GONE)

    def end(self, trailers: list[tuple[str, str]], reason: str | None) -> None:
        if reason is not None:
            self._failure = RuntimeError(reason)
        self._has_ended = True
        self._readable.set()

    def stop(self) -> None:
        """Nobody reads on."""
        self._has_ended = True
        self._taken.set()

    async def read(self) -> bytes | None:
        while not self._chunks:
            self._taken.set()
            if self._failure is not None:
                raise self._failure
            if self._has_ended:
                return None
            self._readable.clear()
            await self._readable.wait()
        return self._chunks.popleft()


class Stream:
    """A body that somebody writes."""

    def __init__(self) -> None:
        self._sink: _Client | _Reader | None = None
        self._opened: asyncio.Future[None] | None = None
        self._end: tuple[list[tuple[str, str]], str | None] | None = None
        #: The client is gone, or the request is over.
        self.gone: asyncio.Future[Any] | None = None

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Returns when there is room for more; raises ConnectionResetError when the client is gone."""
        if self._sink is None:
            if self._opened is None:
                self._opened = asyncio.get_running_loop().create_future()
            await self._opened
        await self._sink.write(chunk)  # type: ignore[union-attr]

    def end(self, trailers: list[tuple[str, str]] | None = None, reason: str | None = None) -> None:
        """Ends the body; with a reason, it is broken off."""
        if self._end is None:
            self._end = (trailers or [], reason)
            if self._sink is not None:
                self._sink.end(*self._end)

    def _open(self, sink: _Client | _Reader) -> None:
        if self._sink is not None:
            raise RuntimeError("The response's body is being sent already")
        self._sink = sink
        if self._end is not None:
            sink.end(*self._end)
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    def attach(self, context: Event) -> None:
        """The response is on its way to the client of this event."""
        gone = _ops.gone(context._id)
        if type(gone) is tuple:
            gone = asyncio.get_running_loop().create_future()
            gone.set_result(())
        self.gone = gone
        self._open(_Client(context))

    def reader(self) -> _Reader:
        """Whoever reads the body in place of the client."""
        reader = _Reader()
        self._open(reader)
        return reader


class Produced(Stream):
    """A body that an iterator gives, asynchronous or not."""

    def __init__(self, chunks: AsyncIterator[Any] | Iterator[Any], context: Context | None = None) -> None:
        super().__init__()
        self._chunks = chunks
        #: In which the iterator runs, when it has begun in one.
        self._context = context
        self._task: asyncio.Task[None] | None = None

    def _open(self, sink: _Client | _Reader) -> None:
        super()._open(sink)
        self._task = asyncio.get_running_loop().create_task(self._produce(), context=self._context)
        if self.gone is not None:
            # Whatever it waits for, it does not go on.
            self.gone.add_done_callback(lambda _: self._task and self._task.cancel())

    async def _produce(self) -> None:
        chunks = self._chunks
        try:
            if isinstance(chunks, AsyncIterator):
                try:
                    async for chunk in chunks:
                        if part := as_bytes(chunk):
                            await self.write(part)
                finally:
                    if close := getattr(chunks, "aclose", None):
                        await close()
            else:
                try:
                    for chunk in chunks:
                        if part := as_bytes(chunk):
                            await self.write(part)
                finally:
                    if close := getattr(chunks, "close", None):
                        close()
            self.end()
        except (ConnectionResetError, asyncio.CancelledError):
            self.end(reason=_GONE)
        except BaseException as error:
            _runtime.report(error, "the response's body")
            self.end(reason=f"{type(error).__name__}: {error}")


def js_stream(stream: Stream) -> Any:
    """The body as a ReadableStream."""
    reader = stream.reader()

    async def pull(controller: Any) -> None:
        try:
            chunk = await reader.read()
        except Exception as error:
            controller.error(js.Error.new(str(error)))
            release()
            return
        if chunk is None:
            controller.close()
            release()
        else:
            controller.enqueue(to_js(chunk))

    def cancel(reason: Any) -> None:
        reader.stop()
        release()

    def release() -> None:
        # Not within the call that it is about.
        asyncio.get_running_loop().call_soon(lambda: [proxy.destroy() for proxy in proxies])

    proxies = [create_proxy(pull), create_proxy(cancel)]
    return js.ReadableStream.new(plain_object({"pull": proxies[0], "cancel": proxies[1]}))
