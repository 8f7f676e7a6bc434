"""Other Workers: their methods, as if they were here."""

from __future__ import annotations

import builtins
import inspect
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import js
from pyodide.ffi import JsProxy, create_proxy, to_js

from . import _runtime
from ._bindings import BindingError
from ._body import ByteStream, js_kind
from ._fetcher import Fetcher, FetcherSync
from ._rpc import from_rpc, to_rpc
from ._runtime import wait


class RemoteError(BindingError):
    """A method of another Worker raised an exception that is not one of Python's own."""

    def __init__(self, message: str, binding: str, name: str) -> None:
        super().__init__(message, binding)
        #: The name of its class.
        self.name = name


class RemoteFunction:
    """A function that another Worker has: calling it calls it there."""

    def __init__(self, function: Any) -> None:
        self._function = function

    async def __call__(self, *args: Any) -> Any:
        """Calls it with these arguments."""
        try:
            return incoming(await self._function(*[outgoing(argument) for argument in args]))
        except Exception as error:
            raise raised(error, "a function of another Worker") from None

    def sync(self, *args: Any) -> Any:
        """The same for code that cannot await."""
        return wait(self(*args))

    def __repr__(self) -> str:
        return "<RemoteFunction>"


def outgoing(value: Any) -> Any:
    """A value on its way to another Worker, as JavaScript has it."""
    return to_rpc(value, _function, _stream)


def incoming(value: Any) -> Any:
    """A value that has come from there."""
    return from_rpc(value, _remote)


def _function(function: Callable[..., Any]) -> Any:
    async def called(*args: Any) -> Any:
        try:
            result = function(*[incoming(argument) for argument in args])
            while inspect.isawaitable(result):
                result = await result
            return to_js([True, outgoing(result)])
        except Exception as error:
            # Raised as what it is, it would come out as an error of the border.
            return to_js([False, js_error(error)])

    return _runtime.bridge.callback(create_proxy(called))


async def _pieces(iterator: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for piece in iterator:
        yield to_js(bytes(piece)) if isinstance(piece, (bytes, bytearray, memoryview)) else outgoing(piece)


def _stream(value: Any) -> Any:
    if isinstance(value, ByteStream):
        return value.js_object
    return js.ReadableStream.from_(create_proxy(_pieces(value)))


def _remote(value: Any) -> Any:
    kind = js_kind(value)
    if kind == "ReadableStream":
        return ByteStream(value)
    return RemoteFunction(value) if callable(value) else value


def js_error(error: BaseException) -> Any:
    """An exception as the error that another Worker is given."""
    made = js.Error.new(str(error))
    made.name = type(error).__name__
    try:
        made.pythonArguments = json.dumps(error.args)
    except (TypeError, ValueError):
        pass
    return made


def raised(error: Any, where: str, binding: str = "") -> Exception:
    """The exception for an error that has come from another Worker."""
    name, message = str(getattr(error, "name", "Error")), str(getattr(error, "message", error))
    known = getattr(builtins, name, None)
    made: Exception
    if isinstance(known, type) and issubclass(known, Exception):
        arguments = getattr(error, "pythonArguments", None)
        try:
            made = known(*(json.loads(arguments) if isinstance(arguments, str) else [message]))
        except (TypeError, ValueError):
            made = known(message)
    else:
        made = RemoteError(message if name == "Error" else f"{name}: {message}", binding, name)
    made.add_note(f"raised by {where}")
    return made


class Service(Fetcher):
    """Another Worker: `fetch`, and whatever methods its entrypoint has. `env.NAME` for one of the configuration's `services`."""

    @property
    def sync(self) -> ServiceSync:
        """The same methods for code that cannot await."""
        return ServiceSync(self)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        async def method(*args: Any, **kwargs: Any) -> Any:
            return await self._call(name, args, kwargs)

        method.__name__ = name
        method.__qualname__ = f"env.{self._name}.{name}"
        return method

    async def _call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        sent = to_js([outgoing(argument) for argument in args])
        succeeded, value = await self._api.call(method, sent, outgoing(kwargs))
        if succeeded:
            return incoming(value)
        raise raised(value, f"env.{self._name}.{method}()", self._name)


class ServiceSync(FetcherSync):
    """The blocking view of a `Service`."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: wait(self._binding._call(name, args, kwargs))
