"""Puts itself in front of every public member of `workers`, notes which were used, and looks for objects of JavaScript in what they give.

The members are those that the modules have, so a new one that nobody uses here is found missing.
"""

import enum
import inspect
import sys
import types
from collections.abc import Awaitable, Iterator, Mapping

import workers
import workers.asgi
import workers.gateway
import workers.workflows
import workers.wsgi
from pyodide.ffi import JsException, JsProxy

#: What gives an object of JavaScript because that is what it is for, with the reason.
JAVASCRIPT = {
    "Request.body": "the platform's: a ReadableStream",
    "Response.body": "the platform's: a ReadableStream",
    "Request.buffer": "the platform's: an ArrayBuffer",
    "Response.buffer": "the platform's: an ArrayBuffer",
    "import_from_javascript": "a module of JavaScript's",
    "python_to_rpc": "a value as JavaScript has it",
}
#: Classes that no Worker is given.
INTERNAL = {"Stream", "Produced", "Sync"}
#: What the platform's classes inherit from the standard library is not ours to look at.
FOREIGN = {"Headers"}

PROTOCOLS = {"__aiter__", "__anext__", "__await__", "__call__", "__contains__", "__enter__", "__getattr__", "__getitem__", "__iter__", "__len__", "__next__"}

members = set()
used = set()
leaks = set()


def look(value, where, seen=None):
    """Notes where in the value there are objects of JavaScript."""
    seen = set() if seen is None else seen
    if value is None or isinstance(value, (str, bytes, int, float)) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, (JsProxy, JsException)):
        leaks.add(f"{where} is {type(value).__name__} {value}")
    elif isinstance(value, Mapping):
        for key in value:
            look(key, f"a key of {where}", seen)
            look(value[key], f"{where}[{key!r}]", seen)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            look(item, f"an item of {where}", seen)
    elif isinstance(value, BaseException):
        used.add(type(value).__name__)
        for name, attribute in [("args", value.args), ("__cause__", value.__cause__), *vars(value).items()]:
            look(attribute, f"{where}.{name}", seen)
    elif isinstance(value, workers._env.Env):
        for name in value:
            look(value[name], f"env.{name}", seen)
    elif type(value).__module__.startswith("workers"):
        slots = [name for cls in type(value).__mro__ for name, member in vars(cls).items() if isinstance(member, types.MemberDescriptorType)]
        for name in [*getattr(value, "__dict__", ()), *slots]:
            if not name.startswith("_") and not named_so(name):
                # Who looks at an attribute uses it.
                used.add(f"{type(value).__name__}.{name}")
                look(getattr(value, name, None), f"{where}.{name}", seen)


def finds(value):
    """Whether it would be noticed."""
    look(value, "a trial")
    found = {leak for leak in leaks if "a trial" in leak}
    leaks.difference_update(found)
    return bool(found)


def named_so(name):
    return name.rpartition(".")[2].startswith(("js_", "_js"))


def check(value, name):
    if name not in JAVASCRIPT and not named_so(name):
        look(value, f"what {name} gives")
    return value


def failed(error, name):
    if name not in JAVASCRIPT:
        look(error, f"what {name} raises")


def watched(function, name):
    """The function, watched."""
    if inspect.isasyncgenfunction(function):

        async def wrapper(*args, **kwargs):
            used.add(name)
            items = function(*args, **kwargs)
            try:
                async for item in items:
                    yield check(item, name)
            finally:
                await items.aclose()

    elif inspect.iscoroutinefunction(function):

        async def wrapper(*args, **kwargs):
            used.add(name)
            return await waited(function(*args, **kwargs), name)

    else:

        def wrapper(*args, **kwargs):
            used.add(name)
            try:
                result = function(*args, **kwargs)
            except Exception as error:
                failed(error, name)
                raise
            if isinstance(result, types.CoroutineType):
                return waited(result, name)
            if isinstance(result, types.GeneratorType) and name != "RpcMember.__await__":
                return (check(item, name) for item in result)
            return check(result, name)

    wrapper.__name__ = getattr(function, "__name__", name)
    wrapper.__wrapped__ = function
    return wrapper


async def waited(awaitable, name):
    try:
        return check(await awaitable, name)
    except Exception as error:
        failed(error, name)
        raise


def watch_class(cls):
    own = cls.__name__
    names = vars(cls) if own in FOREIGN else dir(cls)
    for name in list(names):
        member = inspect.getattr_static(cls, name)
        if (name.startswith("_") and name not in PROTOCOLS) or inspect.getattr_static(object, name, None) is member:
            continue
        full = f"{own}.{name}"
        if isinstance(member, types.MemberDescriptorType):
            members.add(full)
        elif isinstance(member, property):
            members.add(full)
            setattr(cls, name, property(watched(member.fget, full), member.fset))
        elif isinstance(member, staticmethod):
            members.add(full)
            setattr(cls, name, staticmethod(watched(member.__func__, full)))
        elif inspect.isfunction(member):
            members.add(full)
            setattr(cls, name, watched(member, full))


def classes():
    found = {}
    for module in [module for name, module in sys.modules.items() if name.startswith("workers.") or name == "workers"]:
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__.startswith("workers") and not value.__name__.startswith("_"):
                found[value.__name__] = value
    return [cls for name, cls in found.items() if name not in INTERNAL]


def install():
    for cls in classes():
        if not issubclass(cls, (enum.Enum, BaseException)) and not hasattr(cls, "__total__"):
            watch_class(cls)
        elif issubclass(cls, BaseException):
            members.add(cls.__name__)
    for module in (workers, workers.asgi, workers.wsgi):
        prefix = "" if module is workers else f"{module.__name__.rpartition('.')[2]}."
        for name in module.__all__:
            # `asgi.env` is made when FastAPI asks for it, and is FastAPI's.
            value = vars(module).get(name)
            if inspect.isfunction(value):
                members.add(prefix + name)
                setattr(module, name, watched(value, prefix + name))
            elif not isinstance(value, type):
                look(value, prefix + name)


def missing():
    return sorted(members - used)
