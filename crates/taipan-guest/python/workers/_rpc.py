"""Conversion of values that cross between Python and JavaScript in calls of bindings and RPC."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import js
from pyodide.ffi import JsException, JsProxy, create_proxy, to_js
from pyodide.http import FetchResponse

from ._body import JS_BUFFERS, Blob, ByteStream, File, FormData, js_kind, python_error
from ._env import JsDict
from ._headers import Headers
from ._request import Request
from ._response import Response
from ._runtime import jsnull
from ._signal import AbortSignal


class RpcTarget:
    """Derive from it what other Workers are given by reference: they call methods and read properties of the object itself.

    A method of an entrypoint returns one, or passes one on as an argument. What begins with an underscore stays here.
    """

    def dispose(self) -> Any:
        """Called when no other Worker has the object any more; it may be a coroutine."""


def python_to_rpc(value: Any) -> Any:
    """A Python value as JavaScript takes it."""
    return to_rpc(value, create_proxy, None)


#: Containers that are JavaScript's already or in the making, by their ids, with what they are there: what occurs twice is one object there, too.
_Seen = dict[int, tuple[Any, Any]]


def to_rpc(value: Any, function: Callable[[Any], Any], stream: Callable[[Any], Any] | None, seen: _Seen | None = None) -> Any:
    """The same; `function` makes a JavaScript object of what is passed by reference, and `stream` a stream of what gives pieces."""
    if value is None:
        return jsnull
    if isinstance(value, (str, bool, int, float, JsProxy)):
        return value
    if isinstance(value, (bytes, memoryview)):
        return to_js(value)
    if isinstance(value, (Request, FormData, Blob, AbortSignal)):
        return value.js_object
    if isinstance(value, FetchResponse):
        return value.js_response
    if isinstance(value, Headers):
        return js.Headers.new(to_js([list(pair) for pair in value.items()]))
    if isinstance(value, datetime.datetime):
        return js.Date.new(value.timestamp() * 1000)
    if isinstance(value, BaseException):
        error = js.Error.new(str(value))
        error.name = type(value).__name__
        return error
    if isinstance(value, (Mapping, list)):
        return _container(value, function, stream, {} if seen is None else seen)
    if isinstance(value, (set, frozenset)):
        return js.Set.new(to_js([to_rpc(item, function, stream) for item in value]))
    if stream is not None and (isinstance(value, ByteStream) or hasattr(value, "__aiter__")):
        return stream(value)
    if isinstance(value, (tuple, bytearray, Awaitable)):
        raise TypeError(f"Not a value that can go to JavaScript: {type(value).__name__}")
    if isinstance(value, RpcTarget) or hasattr(value, "_js_stub") or isinstance(value, Callable):  # type: ignore[arg-type]
        return function(value)
    raise TypeError(f"Not a value that can go to JavaScript: {type(value).__name__}")


def _container(
    value: Mapping[Any, Any] | list[Any], function: Callable[[Any], Any], stream: Callable[[Any], Any] | None, seen: _Seen
) -> Any:
    known = seen.get(id(value))
    if isinstance(value, Mapping):
        if known is not None:
            return known[1]
        made = js.Object.new()
        seen[id(value)] = value, made
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"The keys of a dict that goes to JavaScript are str, not {type(key).__name__}")
            js.Reflect.set(made, key, to_rpc(item, function, stream, seen))
        return made
    if known is None:
        seen[id(value)] = value, None
        items = [to_rpc(item, function, stream, seen) for item in value]
        made = seen[id(value)][1]
        if made is None:
            made = to_js(items)
        else:
            for item in items:
                made.push(item)
    else:
        # An array is made at once when its items are, unless it is one of them.
        made = js.Array.new() if known[1] is None else known[1]
    seen[id(value)] = value, made
    return made


def python_from_rpc(value: Any) -> Any:
    """A value that came from JavaScript as Python has it. What Python has no word for, such as a function, stays what it is."""
    return from_rpc(value, lambda other: ByteStream(other) if js_kind(other) == "ReadableStream" else other)


def from_rpc(value: Any, other: Callable[[Any], Any]) -> Any:
    """The same; `other` makes something of functions, streams and what else Python has no word for."""

    def convert(value: Any, *_: Any) -> Any:
        return _special(value, other)

    if isinstance(value, JsException):
        return convert(value)
    return _pythonic(value.to_py(default_converter=convert) if isinstance(value, JsProxy) else value, {})


def _special(value: Any, other: Callable[[Any], Any]) -> Any:
    """What is no plain data."""
    if value is jsnull:
        return None
    if isinstance(value, JsException):
        return python_error(value, lambda message, name: Exception(message if name == "Error" else f"{name}: {message}"))
    kind = js_kind(value)
    match kind:
        case "Date":
            # Without a time zone, as the platform has it; the sandbox's local time is UTC.
            return datetime.datetime.fromtimestamp(value.getTime() / 1000)
        case "Response":
            return Response(value)
        case "Request":
            return Request(value)
        case "Headers":
            return Headers(value)
        case "FormData":
            return FormData(value)
        case "File":
            return File(value)
        case "Blob":
            return Blob(value)
        case "AbortSignal":
            return AbortSignal(value)
        case "RegExp":
            raise TypeError("Not a value that can come from JavaScript: RegExp")
    return value.to_bytes() if kind in JS_BUFFERS else other(value)


def _pythonic(value: Any, seen: dict[int, Any]) -> Any:
    """Data that was converted, with dicts whose keys are attributes, bytes, and None for JavaScript's null."""
    if value is jsnull:
        return None
    if isinstance(value, memoryview):
        return value.tobytes()
    if value.__class__ is set:
        return {_pythonic(item, seen) for item in value}
    if value.__class__ not in (dict, list):
        return value
    if (known := seen.get(id(value))) is not None:
        return known
    if value.__class__ is list:
        items = seen[id(value)] = []
        for item in value:
            items.append(_pythonic(item, seen))
        return items
    made = seen[id(value)] = JsDict()
    for key, item in value.items():
        made[_pythonic(key, seen)] = _pythonic(item, seen)
    return made
