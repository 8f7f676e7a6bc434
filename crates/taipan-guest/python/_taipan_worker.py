"""Between an event from JavaScript and the Worker's handler.

`load` runs the main module once and finds its handlers; the engine gives requests to `on_event`. Whatever can be known
beforehand is known beforehand. JavaScript takes part only where a handler asks for its objects.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import inspect
import json
import linecache
import logging
import os
import re
import site
import sys
import warnings
from collections.abc import Callable
from functools import cached_property
from inspect import isawaitable
from types import CodeType, CoroutineType, FunctionType, ModuleType, SimpleNamespace
from typing import Any

from pyodide.ffi import JsProxy, can_run_sync, to_js
from pyodide.http import FetchResponse

import _taipan
import _taipan_blocking  # noqa: F401 - before what uses run_sync
import _taipan_console
import _taipan_costs as costs
import _taipan_finders as finders
import _taipan_loop as loops
import _taipan_patches as patches
import _taipan_promises as promises
import _taipan_report as reports
import _taipan_sdk as sdk
import _taipan_threads as threads
import _taipan_xhr as xhr
import workers._context
import workers._env
import workers._ops
import workers._runtime
import workers._snapshots
from _taipan_code import compact
from _taipan_console import flush as _flush
from workers import (
    Context,
    DurableObject,
    Request,
    Response,
    ScheduledController,
    WorkerEntrypoint,
    WorkflowEntrypoint,
    env,
)
from workers._body import js_kind
from workers._d1 import D1Database
from workers._fetcher import Fetcher
from workers._kv import KVNamespace
from workers._measures import AnalyticsEngineDataset, RateLimit
from workers._queue import MessageBatch, Queue
from workers._r2 import R2Bucket
from workers._service import Service, incoming, js_error, outgoing

#: The folder of the packages that were vendored with the Worker.
_PACKAGES = "python_modules"

_EVENTS = ("fetch", "alarm", "scheduled", "trace", "queue", "pubsub")
_BRIDGE = (
    *("arguments", "callback", "complete", "env", "flush", "forget", "hold", "importModule", "message", "open", "release"),
    *("request", "returns", "stub", "target"),
)
#: The class for each kind of binding (`js/src/bindings/index.ts`).
_BINDINGS: dict[str, Callable[[str, Any], Any]] = {
    "kv": KVNamespace,
    "d1": D1Database,
    "r2": R2Bucket,
    "fetcher": Fetcher,
    "queue": Queue,
    "service": Service,
    "ratelimit": RateLimit,
    "analytics": AnalyticsEngineDataset,
}
_BASES = (WorkerEntrypoint, DurableObject, WorkflowEntrypoint)

#: Calls a handler with what it takes.
Call = Callable[[Context], Any]


#: A kind of events; the host's number.
_DISCONNECTED = 3

#: In the place of a request's method: the event is none (`taipan-server/src/worker.rs`).
_CRON = "cron:"
_QUEUE = "queue:"
_CALL = "rpc:"

promises.install()


class _ReportedError(Exception):
    """A failure whose report has been made."""

    def __init__(self, report: dict[str, Any]) -> None:
        super().__init__(report["message"])
        self.report = report


class _Sent:
    """The answer has been given."""


_SENT = _Sent()


class Runtime:
    """The Worker, loaded."""

    def __init__(
        self, call: Call, name: str, function: Any, others: dict[str, Call], entrypoint: Callable[[str], Call]
    ) -> None:
        self._call = call
        #: What handles events that are no requests, by what stands in the place of their method.
        self._others = others
        #: What handles requests for the class of that name.
        self._entrypoint = entrypoint
        self._name = name
        self._function = function

    def is_busy(self) -> bool:
        """Whether a request is being handled."""
        return bool(workers._context.events)

    def freeze(self) -> str | None:
        """The isolate becomes a snapshot next. Gives a report as JSON when one of the Worker's hooks failed."""
        try:
            workers._snapshots.freeze()
        except Exception as error:
            return reports.to_json(reports.describe(error))
        finally:
            _flush()
        costs.freeze()
        return None

    def pending(self) -> str:
        """Says what goes on after module scope has ended, as a report in JSON."""
        return reports.to_json(reports.pending(asyncio.all_tasks(_loop)))

    def thaw(self, env_json: str, js_env: Any) -> None:
        """The isolate was made from a snapshot."""
        workers._runtime.js_env = js_env
        workers._env.attach(env_json)
        workers._snapshots.thaw(_log_failure)

    def fetch(self, event: int, fields: tuple[Any, ...]) -> None:
        """Handles a request."""
        context = Context(event, fields)
        workers._context.events[event] = context
        # A loop that a Worker made may have run since.
        asyncio._set_running_loop(_loop)
        task = asyncio.Task(self._run(context), loop=_loop, eager_start=True)
        if not task.done():
            context.task = task

    async def _run(self, context: Context) -> None:
        workers._context.current.set(context)
        # SystemExit and the like must not get to the event loop.
        try:
            method = context._fields[0]
            if method in self._others:
                result = self._others[method](context)
            elif "@" in method:
                result = self._from_worker(context, method)
            else:
                result = self._call(context)
            if type(result) is CoroutineType:
                result = await result
            while type(result) is not Response and isawaitable(result):
                result = await result
            _flush()
            if type(result) is Response:
                result._send(context)
            else:
                self._other(context, result)
        except _ReportedError as failure:
            context._fail(reports.to_json(failure.report))
        except BaseException as error:
            context._fail(reports.to_json(reports.describe(error)))
        context._finish()

    def _from_worker(self, context: Context, method: str) -> Any:
        """Handles a request of another Worker, which says which class it means and what is to be known of it."""
        method, _, entrypoint = method.partition("@")
        _, url, length, cf, caller, *headers = context._fields
        context.props = json.loads(caller)
        context._fields = (method, url, length, cf, None, *headers)
        return (self._entrypoint(entrypoint) if entrypoint else self._call)(context)

    def _other(self, context: Context, result: Any) -> None:
        if isinstance(result, Response):
            return result._send(context)
        if isinstance(result, FetchResponse):
            return context._respond_js(result.js_response)
        if result is _SENT:
            return None
        if isinstance(result, JsProxy):
            kind = js_kind(result)
            if kind == "Response":
                return context._respond_js(result)
        else:
            kind = "None" if result is None else type(result).__name__
        raise self._bad_return(kind, result)

    def _bad_return(self, kind: str, result: Any) -> _ReportedError:
        if result is None:
            hint = "end every path through the handler with a return statement: return Response(…)"
        elif isinstance(result, (dict, list)):
            hint = "send it as JSON: return Response.json(…)"
        elif isinstance(result, (str, bytes)):
            hint = "make a response of it: return Response(…)"
        else:
            hint = "return a Response"
        code = _code(self._function)
        frames = [reports.place(code, self._name)] if code else []
        message = f"{self._name} returned {kind}, not a Response"
        return _ReportedError(reports.plain("bad_return", "TypeError", message, hint, frames))

    def hung(self, event: int) -> None:
        """Gives up on a handler, or on its work in `wait_until`, that waits for what can never happen; says where it waits."""
        context = workers._context.events.get(event)
        if context is None:
            return
        if not context._is_answered:
            context._fail(reports.to_json(reports.hung(context.task, self._name)))
            if context.task is not None:
                context.task.cancel()
        elif context._pending:
            print("Work given to waitUntil waits for something that can never happen", file=sys.stderr)
        context._pending = None
        context._finish()
        _flush()


_runtime: Runtime | None = None


def _on_event(kind: int, event: int, fields: tuple[Any, ...]) -> None:
    """What the engine calls for a request, and when its client is gone."""
    if kind == _DISCONNECTED:
        if context := workers._context.events.get(event):
            context._is_gone = True
    elif _runtime is None:
        workers._ops.fail(event, reports.to_json(reports.plain("startup", "RuntimeError", "The Worker is not loaded")))
        workers._ops.done(event)
    else:
        _runtime.fetch(event, fields)


_loop = loops.install(_on_event)


def _log_failure(error: BaseException, where: str) -> None:
    _print(f"Exception in {reports.shortened(where)}", error)


def _print(heading: str, error: BaseException) -> None:
    print(f"{heading}:\n{reports.describe(error)['text']}", end="", file=sys.stderr, flush=True)


def _log_ignored(ignored: Any) -> None:
    """An exception of `__del__` and the like, which nobody can catch."""
    error, of = ignored.exc_value, ignored.object
    if error is None:
        return sys.__unraisablehook__(ignored)
    # The name is what says something of a function.
    heading = re.sub(r"<(?:function|bound method) (.*?)(?: at 0x[0-9a-f]+| of .*)>$", r"\1", ignored.err_msg or "Exception ignored in")
    if isinstance(code := getattr(of, "__code__", None) or getattr(of, "gi_code", None), CodeType):
        heading += f" {of.__qualname__} ({reports.relative(code.co_filename)}:{code.co_firstlineno})"
    elif of is not None:
        heading += f" {type(of).__qualname__}"
    _print(heading, error)


def _warn_unawaited(coroutine: Any) -> None:
    """As `warnings` does, and says where the coroutine's function is, which may be all that there is to say."""
    code = coroutine.cr_code
    text = f"coroutine {coroutine.__qualname__!r} was never awaited"
    filename, line = code.co_filename, code.co_firstlineno
    if reports.is_user(filename):
        text += f" (its function: {reports.relative(filename)}:{line})"
    try:
        caller: Any = sys._getframe(1)
    except ValueError:
        caller = None
    frame = caller
    while frame is not None and reports.is_machinery(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return warnings.warn_explicit(text, RuntimeWarning, filename, line, source=coroutine)
    if frame is caller:
        return warnings.warn(text, RuntimeWarning, stacklevel=2, source=coroutine)
    return warnings.warn_explicit(text, RuntimeWarning, frame.f_code.co_filename, frame.f_lineno, source=coroutine)


def _code(function: Any) -> Any:
    return getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)


def _takes(function: Any, is_method: bool) -> int:
    """How many of (request, env, ctx) the handler takes: what is too much is left out."""
    try:
        parameters = list(inspect.signature(function).parameters.values())[is_method:]
    except (TypeError, ValueError):
        return 3
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 3
    return min(3, sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters))


def _class_call(cls: type, function: Any) -> Call:
    is_method = isinstance(inspect.getattr_static(cls, "fetch"), FunctionType)
    takes = _takes(function, is_method)
    if not issubclass(cls, WorkerEntrypoint):
        return _sdk_call(cls, takes)
    incoming = Request._incoming

    if takes == 1:

        def call(context: Context) -> Any:
            return cls(context, env).fetch(incoming(context))
    else:

        def call(context: Context) -> Any:
            return cls(context, env).fetch(*(incoming(context), env, context)[:takes])

    return call


def _sdk_call(cls: type, takes: int) -> Call:
    """For a class of the SDK's, which makes Python objects of JavaScript's itself."""
    request_class, wrapper = sdk.loaded().Request, sdk.loaded()._EnvWrapper  # type: ignore[union-attr]

    def call(context: Context) -> Any:
        request, js_env = request_class(context._js_request()), workers._runtime.js_env
        return cls(context, js_env).fetch(*(request, wrapper(js_env), context)[:takes])

    return call


def _function_call(function: Any) -> Call:
    """For `on_fetch`, which takes JavaScript objects, or Python's if it is decorated with `@handler`."""
    wrapper, inner = getattr(function, "__taipan_handler__", (None, function))
    if wrapper is function:
        incoming = Request._incoming
        inner_takes = _takes(inner, False)

        def call(context: Context) -> Any:
            return inner(*(incoming(context), env, context)[:inner_takes])

        return call
    takes = _takes(function, False)

    def js_call(context: Context) -> Any:
        return function(*(context._js_request(), workers._runtime.js_env, context)[:takes])

    return js_call


def _find_event(module: ModuleType, main: str, name: str) -> Callable[[Any, Context], Any]:
    """What calls the Worker's handler of the name with what the event is about, env and context."""
    exported = _exported(module)
    default = exported.get("Default")
    if isinstance(default, type) and issubclass(default, WorkerEntrypoint):
        cls: Any = default
        function = getattr(cls, name, None)
        if function is not None:
            takes = _takes(function, isinstance(inspect.getattr_static(cls, name), FunctionType))

            def call(about: Any, context: Context) -> Any:
                return getattr(cls(context, env), name)(*(about, env, context)[:takes])

            return call
    elif callable(handler := exported.get(f"on_{name}")):
        wrapper, inner = getattr(handler, "__taipan_handler__", (None, handler))
        is_wrapped = wrapper is handler
        takes = _takes(inner, False)

        def call(about: Any, context: Context) -> Any:
            its_env = env if is_wrapped else workers._runtime.js_env
            return inner(*(about, its_env, context)[:takes])

        return call

    def missing(about: Any, context: Context) -> Any:
        argument = "controller" if name == "scheduled" else "batch"
        raise _no_handler(
            f'{main} has no handler for {_EVENT_NAMES[name]}: the class Default has no method "{name}"',
            f"add one: async def {name}(self, {argument})",
        )

    return missing


_EVENT_NAMES = {"scheduled": "scheduled events", "queue": "messages of queues"}


async def _awaited(result: Any) -> Any:
    while isawaitable(result):
        result = await result
    return result


def _find_others(module: ModuleType, main: str) -> dict[str, Call]:
    """What handles events that are no requests, by what stands in the place of their method."""
    on_time, on_messages = (_find_event(module, main, name) for name in ("scheduled", "queue"))

    async def scheduled(context: Context) -> Response:
        controller = ScheduledController(context._fields[1], float(context._fields[3]))
        await _awaited(on_time(controller, context))
        # Whatever it returns.
        return Response(status=204)

    async def queue(context: Context) -> Response:
        batch = MessageBatch(context._fields)
        failed = False
        try:
            await _awaited(on_messages(batch, context))
        except _ReportedError:
            raise
        except Exception as error:
            # What was said about single messages holds nevertheless.
            failed = True
            _log_failure(error, f"the handler of messages of {batch.queue}")
        return Response(batch._outcomes(failed))

    async def called(context: Context) -> _Sent:
        _, target, _, _, caller, sent = context._fields
        # A property has a dot in front of its name.
        name, _, member = target.partition(".")
        bridge = workers._runtime.bridge
        try:
            cls = _find_class(module, main, name)
            _check_member(cls, main, member)
            context.props = json.loads(caller)
            arguments, named = incoming(bridge.arguments(to_js(sent)))
            its_env = env if issubclass(cls, WorkerEntrypoint) else workers._runtime.js_env
            found = getattr(cls(context, its_env), member.removeprefix("."))
            answer = bridge.returns(context._id, True, outgoing(await _awaited(found if member.startswith(".") else found(*arguments, **named))))
        except Exception as error:
            answer = bridge.returns(context._id, False, js_error(error))
        context._respond(200, "", answer.to_bytes(), [])
        return _SENT

    return {_CRON: scheduled, _QUEUE: queue, _CALL: called}


#: What is called by events, and not by other Workers.
_NOT_METHODS = frozenset((*_EVENTS, "email", "tail", "test", "connect", "constructor", "dup", "ctx", "env"))


def _find_class(module: ModuleType, main: str, name: str) -> type:
    cls = _exported(module).get(name)
    bases = [WorkerEntrypoint]
    if installed := sdk.loaded():
        bases.append(installed.WorkerEntrypoint)
    if not isinstance(cls, type) or not issubclass(cls, tuple(bases)) or cls in bases:
        raise TypeError(f"{main} has no entrypoint {name!r}: there is no such class that is derived from WorkerEntrypoint")
    return cls


def _check_member(cls: type, main: str, member: str) -> None:
    """Whether other Workers may call this method, or have the property with this name behind a dot."""
    is_property, name = member.startswith("."), member.removeprefix(".")
    declared = inspect.getattr_static(cls, name, None)
    is_own = any(name in vars(base) for base in cls.__mro__ if base.__module__ != WorkerEntrypoint.__module__)
    is_readable = isinstance(declared, (property, cached_property))
    is_callable = callable(getattr(cls, name, None))
    if name.startswith("_") or name in _NOT_METHODS or not is_own or not (is_callable or is_property and is_readable):
        kind, use = ("method or property", "use") if is_property else ("method", "call")
        raise TypeError(f"{cls.__name__} in {main} has no {kind} {name!r} that another Worker could {use}")


def _find_entrypoint(module: ModuleType, main: str) -> Callable[[str], Call]:
    """What handles requests for a class, by its name."""
    known: dict[str, Call] = {}

    def find(name: str) -> Call:
        if name not in known:
            cls = _find_class(module, main, name)
            function = getattr(cls, "fetch", None)
            if function is None:
                raise TypeError(f"{name} in {main} has no method fetch")
            known[name] = _class_call(cls, function)
        return known[name]

    return find


def _exported(module: ModuleType) -> dict[str, Any]:
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name in vars(module) if not name.startswith("_")]
    return {name: getattr(module, name) for name in names}


def _find(module: ModuleType, main: str, global_handlers: bool) -> tuple[Call, str, Any]:
    exported = _exported(module)
    default = exported.get("Default")
    bases: tuple[type, ...] = _BASES
    if installed := sdk.loaded():
        bases += tuple(getattr(installed, base.__name__) for base in _BASES)
    classes = [c for c in exported.values() if isinstance(c, type) and issubclass(c, bases) and c not in bases]
    functions = {name: f for name in _EVENTS if callable(f := exported.get(f"on_{name}"))}
    if default is not None and functions:
        names = ", ".join(f"on_{name}" for name in functions)
        raise TypeError(f"Cannot define multiple default entrypoints: {main} has both the class Default and {names}")

    if default in classes and issubclass(default, tuple(b for b in bases if b.__name__ == "WorkerEntrypoint")):
        function = getattr(default, "fetch", None)
        if function is None:
            return _missing(main, 'the class Default has no method "fetch"'), "fetch", None
        return _class_call(default, function), "Default.fetch", function
    if default is not None:
        raise _no_handler(
            f"Default in {main} is not a class derived from WorkerEntrypoint",
            "write: class Default(WorkerEntrypoint):",
        )
    if functions and not global_handlers:
        name = next(iter(functions))
        raise _no_handler(
            f"{main} defines on_{name}, which this compatibility date does not call",
            "make it a method of class Default(WorkerEntrypoint), or set the compatibility flag "
            '"disable_python_no_global_handlers"',
        )
    if "fetch" in functions:
        return _function_call(functions["fetch"]), "on_fetch", functions["fetch"]
    if functions or classes:
        what = 'a handler named "on_fetch"' if functions else 'a class named "Default"'
        return _missing(main, f"it does not export {what}"), "fetch", None
    raise _no_handler(f"{main} has no entrypoint: there is no class Default in it", _ADVICE)


_ADVICE = (
    "add one: class Default(WorkerEntrypoint) with a method fetch(self, request) that returns a Response "
    "(from workers import Response, WorkerEntrypoint)"
)


def _no_handler(message: str, hint: str) -> _ReportedError:
    return _ReportedError(reports.plain("no_handler", "TypeError", message, hint))


def _missing(main: str, why: str) -> Call:
    failure = _no_handler(f"{main} has no handler for requests: {why}", _ADVICE)

    def call(context: Context) -> Any:
        raise failure

    return call


def _import(main: str, root: str) -> ModuleType:
    path = os.path.join(root, main)
    name, extension = os.path.splitext(os.path.basename(main))
    if extension != ".py":
        raise _ReportedError(reports.plain("startup", "ValueError", f"the main module is not a .py file: {main}"))
    if not os.path.isfile(path):
        message = f"the main module does not exist: {main}"
        hint = 'correct "main" in the configuration, or create the file'
        raise _ReportedError(reports.plain("startup", "FileNotFoundError", message, hint))
    if name in sys.stdlib_module_names or name in sys.modules:
        message = f"the main module has the name of a module that Python needs: {main}"
        raise _ReportedError(reports.plain("startup", "ImportError", message, "rename it, for example to entry.py"))
    # The Worker's own modules come first, then the packages that were vendored with it. Pyodide has the current folder among the others,
    # which has nothing of the Worker's.
    packages = os.path.join(root, _PACKAGES)
    sys.path[:] = [os.path.dirname(path), packages, *(folder for folder in sys.path if folder not in (packages, ""))]
    sdk.take_over(packages)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class _LogHandler(logging._StderrHandler):  # type: ignore[name-defined]
    """Writes to whatever sys.stderr is then."""


def _set_up_logging() -> None:
    """Shows warnings by the Worker's names, and `logging.info()` and above until the Worker configures logging itself.

    Python's own default drops everything below WARNING. A handler on the root logger would make the Worker's
    `logging.basicConfig()` do nothing; the handler of last resort steps aside for any other.
    """
    handler = _LogHandler(logging.INFO)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.lastResort = handler
    logging.getLogger().setLevel(logging.INFO)
    warnings.formatwarning = _format_warning
    warnings._warn_unawaited_coroutine = _warn_unawaited  # type: ignore[attr-defined]
    sys.unraisablehook = _log_ignored
    sys.breakpointhook = _pass_breakpoint


def _pass_breakpoint(*_: Any, **__: Any) -> None:
    """A debugger would find that its input has ended, and end the handler."""
    frame = sys._getframe(1)
    place = f"{reports.relative(frame.f_code.co_filename)}:{frame.f_lineno}"
    print(f"{place}: breakpoint() is passed over: a Worker has no terminal to debug at", file=sys.stderr)


def _format_warning(message: Any, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    """As Python does, with the Worker's own name of the file."""
    source = (line if line is not None else linecache.getline(filename, lineno)).strip()
    text = f"{reports.relative(filename)}:{lineno}: {category.__name__}: {message}\n"
    return f"{text}  {source}\n" if source else text


def _kind(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return "syntax"
    if isinstance(error, ImportError):
        return "import"
    return "startup"


threads.install()
patches.install()
finders.install()
xhr.install()


def add_packages(folder: str) -> None:
    """Lets modules be found in a folder of packages, and does what its `.pth` files say."""
    # It is read-only.
    sys.dont_write_bytecode = True
    site.addsitedir(folder)


def import_packages(root: str, names_json: str, learned_json: str) -> str | None:
    """Imports modules before the Worker, which may not mind when: it imports them first of all. What was learned from how it
    started is what these modules import when they are used; it may be missing."""
    packages = os.path.join(root, _PACKAGES)
    if packages not in sys.path:
        sys.path.insert(0, packages)
    importlib.invalidate_caches()
    sdk.take_over(os.path.join(root, _PACKAGES))
    try:
        for name in json.loads(names_json):
            importlib.import_module(name)
        for name in json.loads(learned_json):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    except BaseException as error:
        # The Worker meets it again, and can say where.
        return reports.to_json(reports.describe(error, _kind(error)))
    finally:
        _flush()
    return None


def load(
    main: str,
    root: str,
    global_handlers: bool,
    env_json: str,
    withheld_json: str,
    early_js_env: Any,
    js_env: Any,
    bridge: Any,
    bindings: Any,
) -> Any:
    """Runs the main module. Gives what handles events, or a report as JSON."""
    main = os.path.normpath(main)
    reports.configure(root, main)
    costs.mark()
    # Looked up once: each look at a JavaScript object is a trip over the border.
    workers._runtime.bridge = SimpleNamespace(**{name: getattr(bridge, name) for name in _BRIDGE})
    workers._runtime.report = _loop.report = _log_failure
    workers._runtime.js_env = early_js_env
    workers._env.bind({name: _BINDINGS[kind](name, api) for name, kind, api in bindings})
    workers._env.attach(env_json, json.loads(withheld_json))
    _taipan_console.install(workers._runtime.bridge.flush)
    _set_up_logging()
    global _runtime
    workers._bindings.is_importing = True
    try:
        module = _import(main, root)
        _runtime = Runtime(*_find(module, main, global_handlers), _find_others(module, main), _find_entrypoint(module, main))
    except _ReportedError as failure:
        return reports.to_json(failure.report)
    except BaseException as error:
        return reports.to_json(reports.describe(error, _kind(error)))
    finally:
        workers._bindings.is_importing = False
        _flush()
    workers._runtime.js_env = js_env
    workers._env.release()
    return _runtime


def wait_until(promise: Any) -> None:
    """`waitUntil` of the module `cloudflare:workers`."""
    workers._context.wait_until(promise)


def imported(root: str) -> str:
    """What loading the Worker, or packages since then, have imported that is not its own, as JSON."""
    return costs.imported(root, os.path.join(root, _PACKAGES))


def settle(immortalize: Callable[[int, int, int], None], whole: bool) -> None:
    """Prepares for a snapshot: drops what nobody needs, and keeps collector and reference counting away from the rest.

    Both write to an object because they look at it. The objects of the layer below are ready already. New ones may hang on
    them, which matters where many snapshots will be made above this one: then the whole of it is gone through.
    """
    gc.collect()
    if whole:
        gc.unfreeze()
    # Calling JavaScript makes a few more.
    most = len(gc.get_objects()) + 100
    immortalize(sys.getrefcount(None), id(CodeType), most)
    gc.freeze()


def unload(root: str) -> None:
    """Forgets the Worker that was loaded, as far as Python can forget."""
    global _runtime
    _runtime = None
    _taipan_console.uninstall()
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(root):
            del sys.modules[name]
    sys.path[:] = [folder for folder in sys.path if not folder.startswith(root)]
    for folder in [folder for folder in sys.path_importer_cache if folder.startswith(root)]:
        del sys.path_importer_cache[folder]
    for folder, folders, files in os.walk(root, topdown=False):
        for name in files:
            os.remove(os.path.join(folder, name))
        for name in folders:
            os.rmdir(os.path.join(folder, name))
    workers._runtime.js_env = None
    workers._env.bind({})
    workers._env.attach("{}")
    costs.forget()


def refresh() -> None:
    """The isolate was made from a snapshot in which no Worker was loaded yet."""
    workers._snapshots.thaw(_log_failure)


#: The event loop and the task of each `run_sync` that waits, the innermost last.
_blocked: list[tuple[Any, Any, Any]] = []


def enter_blocking() -> None:
    """Called when a `run_sync` begins to wait: other tasks run in the meantime, and asyncio allows one at a time."""
    # The callback that waits is one of those that the loop runs; the others do not wait for it.
    if _loop._waiting:
        _taipan.wake()
    loop = asyncio._get_running_loop()
    task = None if loop is None else asyncio.current_task(loop)
    if task is not None:  # Python 3.12 fails to put nothing in the place of nothing.
        asyncio.tasks._swap_current_task(loop, None)  # type: ignore[attr-defined]
    _blocked.append((loop, task, threads.enter_blocking()))


def leave_blocking() -> None:
    loop, task, thread = _blocked.pop()
    threads.leave_blocking(thread)
    asyncio._set_running_loop(loop)
    if task is not None:
        asyncio.tasks._swap_current_task(loop, task)  # type: ignore[attr-defined]


def can_block() -> bool:
    """Whether `run_sync` works in what JavaScript calls directly."""
    return bool(can_run_sync())
