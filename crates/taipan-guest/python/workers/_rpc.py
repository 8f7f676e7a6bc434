"""Conversion of values that cross between Python and JavaScript in calls of bindings and RPC."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import js
from pyodide.ffi import JsException, JsProxy, create_proxy, to_js
from pyodide.http import FetchResponse

from ._body import JS_BUFFERS, Blob, ByteStream, File, FormData, js_kind
from ._env import JsDict
from ._headers import Headers
from ._request import Request
from ._response import Response
from ._runtime import jsnull


class RpcTarget:
    """Derive from it what other Workers are given by reference: they call methods and read properties of the object itself.

    A method of an entrypoint returns one, or passes one on as an argument. What begins with an underscore stays here.
    """

    def dispose(self) -> Any:
        """Called when no other Worker has the object any more; it may be a coroutine."""


def python_to_rpc(value: Any) -> Any:
    """A Python value as JavaScript takes it."""
    return to_rpc(value, create_proxy, None)


def to_rpc(value: Any, function: Callable[[Any], Any], stream: Callable[[Any], Any] | None) -> Any:
    """The same; `function` makes a JavaScript object of what is passed by reference, and `stream` a stream of what gives pieces."""
    if value is None:
        return jsnull
    if isinstance(value, (str, bool, int, float, JsProxy)):
        return value
    if isinstance(value, (bytes, memoryview)):
        return to_js(value)
    if isinstance(value, (Request, FormData, Blob)):
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
    if isinstance(value, Mapping):
        result = js.Object.new()
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"The keys of a dict that goes to JavaScript are str, not {type(key).__name__}")
            js.Reflect.set(result, key, to_rpc(item, function, stream))
        return result
    if isinstance(value, list):
        return to_js([to_rpc(item, function, stream) for item in value])
    if isinstance(value, (set, frozenset)):
        return js.Set.new(to_js([to_rpc(item, function, stream) for item in value]))
    if stream is not None and (isinstance(value, ByteStream) or hasattr(value, "__aiter__")):
        return stream(value)
    if isinstance(value, (tuple, bytearray, Awaitable)):
        raise TypeError(f"Not a value that can go to JavaScript: {type(value).__name__}")
    if isinstance(value, RpcTarget) or hasattr(value, "_js_stub") or isinstance(value, Callable):  # type: ignore[arg-type]
        return function(value)
    raise TypeError(f"Not a value that can go to JavaScript: {type(value).__name__}")


def python_from_rpc(value: Any) -> Any:
    """A value that came from JavaScript as Python has it."""
    return from_rpc(value, lambda other: other)


def from_rpc(value: Any, other: Callable[[Any], Any]) -> Any:
    """The same; `other` makes something of functions, streams and what else Python has no word for."""
    if value is jsnull:
        return None
    if isinstance(value, JsException):
        return value
    if not isinstance(value, JsProxy):
        return value
    if js.Array.isArray(value):
        return [from_rpc(item, other) for item in value]
    kind = js_kind(value)
    match kind:
        case "Object":
            return JsDict((pair[0], from_rpc(pair[1], other)) for pair in js.Object.entries(value))
        case "Map":
            return {from_rpc(pair[0], other): from_rpc(pair[1], other) for pair in value.entries()}
        case "Set":
            return {from_rpc(item, other) for item in value.values()}
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
        case "RegExp":
            raise TypeError("Not a value that can come from JavaScript: RegExp")
    if kind in JS_BUFFERS:
        return value.to_bytes()
    return other(value)
