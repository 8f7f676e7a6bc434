"""Other Workers: their methods, as if they were here."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping, Sequence
from typing import Any

import js
from pyodide.ffi import JsException, create_proxy, to_js

from . import _runtime
from ._bindings import BindingError, Sync
from ._body import ByteStream, js_kind, python_error
from ._fetcher import Fetcher, FetcherSync
from ._rpc import RpcTarget, from_rpc, to_rpc
from ._runtime import wait


class RemoteError(BindingError):
    """A method of another Worker raised an exception that is not one of Python's own."""

    def __init__(self, message: str, binding: str, name: str) -> None:
        super().__init__(message, binding)
        #: The name of its class.
        self.name = name


class RemoteFunction:
    """A function that another Worker has: calling it calls it there.

    One that came as an argument can be called until the call has returned, unless `dup` makes one that stays. `dispose` says that it
    is not needed any more, as does the end of a `with` block.
    """

    def __init__(self, function: Any) -> None:
        self._js_stub = function
        self._api = _runtime.bridge.stub(function)

    def __call__(self, *args: Any) -> RpcPromise:
        """Calls it with these arguments."""
        return _asked(self._api, (), args, {}, "a function of another Worker", "")

    def sync(self, *args: Any) -> Any:
        """The same for code that cannot await."""
        return wait(self(*args))

    def dup(self) -> RemoteFunction:
        """The same function once more, to be disposed of on its own."""
        return RemoteFunction(_made(self._api.dup))

    def dispose(self) -> None:
        """It is not needed any more."""
        self._api.dispose()

    def on_rpc_broken(self, callback: Callable[[Exception], Any]) -> None:
        """Has it called once the Worker that has the function is gone."""
        _on_broken(self._api, callback)

    onRpcBroken = on_rpc_broken  # noqa: N815 - the platform's name

    def __enter__(self) -> RemoteFunction:
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    def __repr__(self) -> str:
        return "<RemoteFunction>"


class RpcMember:
    """A method or a property that another Worker has: call the one, await the other."""

    def __init__(self, owner: Service | RpcStub | RpcPromise, path: tuple[str, ...]) -> None:
        self._owner = owner
        self._path = path

    def __call__(self, *args: Any, **kwargs: Any) -> RpcPromise:
        """Calls the method with these arguments."""
        return self._owner._ask(self._path, args, kwargs)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._owner._ask(self._path, None, {}).__await__()

    def __getattr__(self, name: str) -> RpcMember:
        if name.startswith("_"):
            raise AttributeError(name)
        return RpcMember(self._owner, (*self._path, name))

    def __repr__(self) -> str:
        return f"<RpcMember {self._owner._where}.{'.'.join(self._path)}>"


class RpcPromise:
    """What a call comes to, before it is there. Await it, once, as any coroutine.

    More can be asked of it without waiting: `await env.BACK.counter("a").increment()` sends both calls, in this order, and waits for
    the second. Nothing is sent before one of them is awaited. In `async with`, all that the result has of others is disposed of at the end.
    """

    def __init__(self, begin: Callable[[], Any], where: str, binding: str) -> None:
        self._begin = begin
        self._where = where
        self._binding = binding
        self._handle: Any = None
        # Says so when nobody awaits it.
        self._work: Coroutine[Any, Any, Any] | None = self._begun_work()

    def _begun_work(self) -> Coroutine[Any, Any, Any]:
        work = self._wait()
        work.__qualname__ = self._where
        return work

    def _start(self) -> Any:
        if self._handle is None:
            self._handle = self._begin()
        return self._handle

    async def _wait(self) -> Any:
        succeeded, value = await self._start().settled()
        if succeeded:
            return incoming(value)
        raise raised(value, self._where, self._binding)

    def _ask(self, path: tuple[str, ...], args: tuple[Any, ...] | None, kwargs: dict[str, Any]) -> RpcPromise:
        if self._handle is None and self._work is not None:
            # Whoever awaits what is asked awaits this one, too.
            self._work.close()
            self._work = None
        where = ".".join((self._where, *path)) + ("()" if args is not None else "")
        return RpcPromise(lambda: _sent(self._start(), path, args, kwargs), where, self._binding)

    def __getattr__(self, name: str) -> RpcMember:
        # asyncio looks at coroutines' frames by such names.
        if name.startswith(("_", "cr_", "gi_", "ag_")):
            raise AttributeError(name)
        return RpcMember(self, (name,))

    def __call__(self, *args: Any) -> RpcPromise:
        """Calls the function that the result will be."""
        return self._ask((), args, {})

    def __await__(self) -> Generator[Any, None, Any]:
        if self._work is None:
            self._work = self._begun_work()
        return self._work.__await__()

    # Tasks are made of coroutines, which this is one of but for `send` and `close`: those may be members of the result.
    def __next__(self) -> Any:
        if self._work is None:
            self._work = self._begun_work()
        return self._work.send(None)

    def __iter__(self) -> RpcPromise:
        return self

    def throw(self, *error: Any) -> Any:
        """Raises an exception where it waits, as a task that is cancelled does."""
        if self._work is None:
            self._work = self._begun_work()
        return self._work.throw(*error)

    async def __aenter__(self) -> Any:
        return await self

    async def __aexit__(self, *_: object) -> None:
        self._start().dispose()

    def __repr__(self) -> str:
        return f"<RpcPromise {self._where}>"


# Virtually, so that it need not have `send` and `close`.
Coroutine.register(RpcPromise)


class RpcMemberSync:
    """The blocking view of an `RpcMember`: call a method, or `get` a property."""

    def __init__(self, member: RpcMember) -> None:
        self._member = member

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the method with these arguments."""
        return wait(self._member(*args, **kwargs))

    def get(self) -> Any:
        """The property."""
        return wait(self._member)

    def __getattr__(self, name: str) -> RpcMemberSync:
        return RpcMemberSync(getattr(self._member, name))


class RpcStub:
    """An `RpcTarget` that another Worker has: `await stub.method(…)`, `await stub.property`.

    One that came as an argument can be used until the call has returned, unless `dup` makes one that stays. `dispose` says that it is
    not needed any more, as does the end of a `with` block.
    """

    _where = "a stub"

    def __init__(self, stub: Any) -> None:
        self._js_stub = stub
        self._api = _runtime.bridge.stub(stub)

    @property
    def sync(self) -> RpcStubSync:
        """The same for code that cannot await."""
        return RpcStubSync(self)

    def dup(self) -> RpcStub:
        """The same object once more, to be disposed of on its own."""
        return RpcStub(_made(self._api.dup))

    def dispose(self) -> None:
        """It is not needed any more."""
        self._api.dispose()

    def __enter__(self) -> RpcStub:
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    def __getattr__(self, name: str) -> RpcMember:
        if name.startswith("_"):
            raise AttributeError(name)
        return RpcMember(self, (name,))

    def on_rpc_broken(self, callback: Callable[[Exception], Any]) -> None:
        """Has it called once the Worker that has the object is gone."""
        _on_broken(self._api, callback)

    onRpcBroken = on_rpc_broken  # noqa: N815 - the platform's name

    def _ask(self, path: tuple[str, ...], args: tuple[Any, ...] | None, kwargs: dict[str, Any]) -> RpcPromise:
        return _asked(self._api, path, args, kwargs, f"{'.'.join(path)} of an object of another Worker", "")

    def __repr__(self) -> str:
        return "<RpcStub>"


class RpcStubSync(Sync):
    """The blocking view of an `RpcStub`: call its methods, or `get` its properties."""

    def __getattr__(self, name: str) -> RpcMemberSync:
        return RpcMemberSync(getattr(self._binding, name))


def _asked(
    api: Any, path: tuple[str, ...], args: tuple[Any, ...] | None, kwargs: dict[str, Any], where: str, binding: str
) -> RpcPromise:
    return RpcPromise(lambda: _sent(api, path, args, kwargs), where, binding)


def _sent(api: Any, path: Sequence[str], args: tuple[Any, ...] | None, kwargs: dict[str, Any]) -> Any:
    """Asks for a property, or with arguments for a call. Gives the result's handle (`js/src/bindings/pending.ts`)."""
    if args is None:
        return api.ask(to_js(list(path)), None, None)
    return api.ask(to_js(list(path)), to_js([outgoing(argument) for argument in args]), outgoing(kwargs))


def _on_broken(api: Any, callback: Callable[[Exception], Any]) -> None:
    def called(error: Any) -> None:
        try:
            result = callback(raised(error, "a stub"))
            if inspect.isawaitable(result):
                asyncio.ensure_future(result)
        except Exception as failure:
            _runtime.report(failure, "a callback of on_rpc_broken()")

    api.onBroken(create_proxy(called))


def outgoing(value: Any) -> Any:
    """A value on its way to another Worker, as JavaScript has it."""
    return to_rpc(value, _reference, _stream)


def incoming(value: Any) -> Any:
    """A value that has come from there."""
    return from_rpc(value, _remote)


def _made(dup: Callable[[], Any]) -> Any:
    try:
        return dup()
    except JsException as error:
        raise raised(error, "dup()") from None


def _reference(value: Any) -> Any:
    if isinstance(value, (RemoteFunction, RpcStub)):
        return value._js_stub
    return _target(value) if isinstance(value, RpcTarget) else _function(value)


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


#: Targets that other Workers have, and how often: by their ids, because they need not be hashable.
_shared: dict[int, list[Any]] = {}

#: What is a target's own.
_NOT_MEMBERS = frozenset(("dispose", "dup", "constructor"))


def _target(target: RpcTarget) -> Any:
    async def called(path: Any, args: Any = None, named: Any = None) -> Any:
        try:
            value: Any = target
            for name in path.to_py():
                value = _member(value, name)
                while inspect.isawaitable(value):
                    value = await value
            if args is not None:
                if not callable(value):
                    raise TypeError(f"{'.'.join(path.to_py())} of {type(target).__name__} is a property, not a method")
                value = value(*incoming(args), **incoming(named))
                while inspect.isawaitable(value):
                    value = await value
            return to_js([True, outgoing(value)])
        except Exception as error:
            return to_js([False, js_error(error)])

    _shared.setdefault(id(target), [target, 0])[1] += 1
    return _runtime.bridge.target(create_proxy(called), create_proxy(lambda: _forget(target)))


def _member(value: Any, name: str) -> Any:
    """A member that other Workers may use: what a target's class declares, or an item of a dict."""
    if isinstance(value, RpcTarget):
        declared = inspect.getattr_static(type(value), name, None)
        is_property = isinstance(declared, (property, functools.cached_property))
        if not name.startswith("_") and name not in _NOT_MEMBERS and (is_property or callable(getattr(type(value), name, None))):
            return getattr(value, name)
    elif isinstance(value, Mapping) and name in value:
        return value[name]
    raise TypeError(f"{type(value).__name__} has no method or property {name!r} that another Worker could use")


def _forget(target: RpcTarget) -> None:
    """One who had it does not need it any more."""
    shared = _shared[id(target)]
    shared[1] -= 1
    if shared[1]:
        return
    del _shared[id(target)]

    async def dispose() -> None:
        try:
            result = target.dispose()
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            _runtime.report(error, f"{type(target).__name__}.dispose()")

    asyncio.ensure_future(dispose())


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
    if kind == "RpcStub":
        return RpcStub(value)
    return RemoteFunction(value) if callable(value) else value


def js_error(error: BaseException) -> Any:
    """An exception as the error that another Worker is given."""
    if isinstance(error, JsException):
        # One of JavaScript's has a name and a message of its own.
        made = js.Error.new(error.message)
        made.name = error.name
        return made
    made = js.Error.new(str(error))
    made.name = type(error).__name__
    try:
        made.pythonArguments = json.dumps(error.args)
    except (TypeError, ValueError):
        pass
    return made


def raised(error: Any, where: str, binding: str = "") -> Exception:
    """The exception for an error that has come from another Worker."""
    made = python_error(error, lambda message, name: RemoteError(message if name == "Error" else f"{name}: {message}", binding, name))
    made.add_note(f"raised by {where}")
    return made


class Service(Fetcher):
    """Another Worker: `fetch`, and whatever methods its entrypoint has. `env.NAME` for one of the configuration's `services`."""

    @property
    def sync(self) -> ServiceSync:
        """The same methods for code that cannot await."""
        return ServiceSync(self)

    @property
    def _where(self) -> str:
        return f"env.{self._name}"

    def __getattr__(self, name: str) -> RpcMember:
        if name.startswith("_"):
            raise AttributeError(name)
        return RpcMember(self, (name,))

    def _ask(self, path: tuple[str, ...], args: tuple[Any, ...] | None, kwargs: dict[str, Any]) -> RpcPromise:
        where = f"{self._where}.{'.'.join(path)}{'' if args is None else '()'}"
        return _asked(self._api, path, args, kwargs, where, self._name)


class ServiceSync(FetcherSync):
    """The blocking view of a `Service`: call its methods, or `get` its properties."""

    def __getattr__(self, name: str) -> RpcMemberSync:
        return RpcMemberSync(getattr(self._binding, name))
