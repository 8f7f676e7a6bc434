"""What bindings have in common: their errors, their blocking twins, and how bytes that come in pieces are sent.

Every method that waits is a coroutine, and has a twin of the same name in the view `sync`, for code that cannot await:

    await env.KV.get("key")
    env.KV.sync.get("key")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from pyodide.ffi import JsException, JsProxy, to_js

from ._body import ByteStream, js_kind
from ._runtime import wait

P = ParamSpec("P")
R = TypeVar("R")


class BindingError(RuntimeError):
    """A binding could not do what it was asked for."""

    def __init__(self, message: str, binding: str, key: str | None = None, sql: str | None = None) -> None:
        super().__init__(message)
        #: The binding's name in `env`.
        self.binding = binding
        #: The key that was asked for, if one was.
        self.key = key
        #: The SQL that failed, if there is any.
        self.sql = sql


class Sync:
    """The blocking view of a binding."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding

    def __repr__(self) -> str:
        return f"{self._binding!r}.sync"


def blocking(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[Any, P], R]:
    """The twin of a method that waits."""

    def twin(self: Sync, *args: P.args, **kwargs: P.kwargs) -> R:
        return wait(method(self._binding, *args, **kwargs))

    twin.__name__ = method.__name__
    twin.__qualname__ = method.__qualname__
    twin.__doc__ = method.__doc__
    return twin


async def answered(answer: Awaitable[R], call: str, binding: str, key: str | None = None, sql: str | None = None) -> R:
    """Awaits what JavaScript answers; its errors become Python's."""
    try:
        return await answer
    except JsException as error:
        raise exception(error, call, binding, key, sql) from None


def exception(error: Any, call: str, binding: str, key: str | None = None, sql: str | None = None) -> Exception:
    """The exception for what JavaScript says."""
    message = f"env.{binding}.{call}: {error.message}"
    return BindingError(message, binding, key, sql)


def is_stream(value: Any) -> bool:
    """Whether the bytes of a value come in pieces."""
    if isinstance(value, ByteStream) or hasattr(value, "__aiter__") or hasattr(value, "read"):
        return True
    return isinstance(value, JsProxy) and js_kind(value) == "ReadableStream"


#: A file is read in pieces of this size.
_PIECE = 64 * 1024


async def pieces(value: Any) -> AsyncIterator[bytes]:
    """The bytes of an asynchronous iterator or of a file."""
    if hasattr(value, "__aiter__"):
        async for piece in value:
            yield as_bytes(piece)
        return
    while True:
        piece = value.read(_PIECE)
        if isinstance(piece, Awaitable):
            piece = await piece
        if not piece:
            return
        yield as_bytes(piece)


def as_bytes(value: Any) -> bytes:
    """Bytes of what is bytes or text."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"A piece of a stream is bytes or str, not {type(value).__name__}")


async def upload(api: Any, value: Any) -> int:
    """Moves bytes that come in pieces to the host. Gives the number of its blob."""
    if isinstance(value, ByteStream):
        value = value.js_object
    begun = api.begin()
    blob = int(await begun if isinstance(begun, Awaitable) else begun)
    if isinstance(value, JsProxy):
        return int(await api.upload(value, blob))
    try:
        async for piece in pieces(value):
            # Pieces that are too small cost a trip each; those that are too large, memory.
            for at in range(0, len(piece), 1 << 20):
                await api.write(blob, to_js(piece[at : at + (1 << 20)]))
    except BaseException:
        api.drop(blob)
        raise
    return blob
