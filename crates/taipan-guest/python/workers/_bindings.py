"""What bindings have in common: their errors, their blocking twins, and how bytes that come in pieces are sent.

Every method that waits is a coroutine, and has a twin of the same name in the view `sync`, for code that cannot await:

    await env.KV.get("key")
    env.KV.sync.get("key")

What a binding asks of the host crosses no JavaScript: operations (`taipan-guest/src/ops.rs`) take and give Python objects. Some are
answered at once; then nobody waits, and no other task runs in between.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping
from functools import partial
from types import coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

import _taipan
from pyodide.ffi import JsException, JsProxy, to_js

from ._body import ByteStream, js_kind
from ._runtime import jsnull, wait

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


#: Module scope runs: what it computes is kept.
is_importing = False


def too_early(binding: str) -> Exception:
    """Why module scope cannot use a binding."""
    return RuntimeError(
        f"env.{binding} is a binding, which module scope cannot use: what it computes is kept in a snapshot, while data "
        "changes. Use it in a handler"
    )


def begin(start: Callable[..., Any], number: int, binding: str, *fields: Any) -> Any:
    """Starts a binding's operation. Gives its answer, a tuple, if it is there already, else a future of it."""
    if is_importing:
        raise too_early(binding)
    try:
        return start(number, binding, *fields)
    except UnicodeEncodeError:
        return start(number, binding, *[_text(field) if isinstance(field, str) else field for field in fields])


def _text(value: str) -> str:
    """As JavaScript's strings cross the border: pairs of surrogates are characters, others are none."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


async def ask(binding: str, method: str, key: str | None, number: int, *fields: Any) -> tuple[Any, ...]:
    """Has an operation done. What goes wrong is a `BindingError`."""
    try:
        answer = begin(_taipan.start, number, binding, *fields)
        return answer if answer.__class__ is tuple else await answer  # type: ignore[no-any-return]
    except Exception as error:
        raise exception(error, f"{method}({'' if key is None else repr(key)})", binding, key) from None


def options_of(given: Any, more: Mapping[str, Any], known: Mapping[str, str], none: str) -> dict[str, Any]:
    """Options under the platform's names, whether they were given by those or by Python's; what is None is left out.

    `known` has both: Python's names and the platform's. One that is not among them is misspelt and must not be without effect: `none`
    says what has no such option.
    """
    if isinstance(given, JsProxy):
        given = given.to_py()
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"{none.partition(' ')[0]} takes a dict, not {type(given).__name__}")
    options = {}
    for name, value in (*(given or {}).items(), *more.items()):
        if name not in known and name not in known.values():
            raise TypeError(f"{none} {name!r}; there are: {', '.join(known)}")
        if value is not None and value is not jsnull:
            options[known.get(name, name)] = value
    return options


def json_of(value: Any, what: str) -> str:
    """A value as JSON."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{what} cannot be JSON: {error}") from None


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

    return _named(twin, method)


def prompt(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[Any, P], R]:
    """The twin of a method that often need not wait, and that runs no code of the Worker's."""

    def twin(self: Sync, *args: P.args, **kwargs: P.kwargs) -> R:
        begun = method(self._binding, *args, **kwargs)
        try:
            waits_for = begun.send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        return wait(_rest(begun, waits_for))

    return _named(twin, method)


@coroutine
def _rest(begun: Coroutine[Any, Any, R], waits_for: Any) -> Generator[Any, Any, R]:
    """What is left of a coroutine that waits for something already."""
    while True:
        try:
            sent = yield waits_for
        except BaseException as error:
            step = partial(begun.throw, error)
        else:
            step = partial(begun.send, sent)
        try:
            waits_for = step()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def _named(twin: Callable[..., R], method: Callable[..., Any]) -> Callable[..., R]:
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
    """The exception for what the host or JavaScript says."""
    message = f"env.{binding}.{call}: {error.message if isinstance(error, JsException) else error}"
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
