"""The classes that a main module derives from, and `@handler`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from pyodide.ffi import JsProxy

from . import _runtime
from ._body import js_kind
from ._context import Context
from ._env import Env, env
from ._request import Request

F = TypeVar("F", bound=Callable[..., Any])


class WorkerEntrypoint:
    """Handles events that come to the Worker; one instance per event."""

    env: Env
    ctx: Context

    def __init__(self, ctx: Context, env: Env) -> None:
        self.ctx = ctx
        self.env = env


class DurableObject:
    """An object with an identity and a storage of its own."""

    env: Env
    ctx: Any

    def __init__(self, ctx: Any, env: Env) -> None:
        self.ctx = ctx
        self.env = env


class WorkflowEntrypoint:
    """The definition of a workflow; its steps are in `run`."""

    env: Env
    ctx: Any

    def __init__(self, ctx: Any, env: Env) -> None:
        self.ctx = ctx
        self.env = env


def _converted(argument: Any) -> Any:
    if isinstance(argument, JsProxy):
        if argument is _runtime.js_env:
            return env
        if js_kind(argument) == "Request":
            return Request(argument)
    return argument


def handler(function: F) -> F:
    """Makes a global handler such as `on_fetch` take `workers.Request` and `workers.env` instead of JavaScript objects."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*[_converted(argument) for argument in args], **kwargs)

    # The runtime makes the Python objects itself and calls the function directly; unless there is another decorator on
    # top, whose `wraps` copied this attribute.
    wrapper.__taipan_handler__ = (wrapper, function)  # type: ignore[attr-defined]
    return wrapper  # type: ignore[return-value]
