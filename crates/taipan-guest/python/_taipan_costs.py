"""What imported modules cost, for `taipan snapshot inspect`, and which of them a Worker has imported without naming them.

Time is measured as modules are imported. Memory is counted when somebody asks: what can be reached from a module, and from
none that was imported before it, is taken for its own.
"""

from __future__ import annotations

import gc
import importlib._bootstrap as bootstrap
import json
import sys
from time import perf_counter
from types import CodeType, FunctionType, ModuleType
from typing import Any

_CODE_PARTS = ("co_consts", "co_names", "co_varnames", "co_linetable", "co_exceptiontable", "co_code", "co_qualname", "co_filename")

#: Seconds that a module took, without those it imported; in the order in which they were complete.
_took: dict[str, float] = {}
#: Seconds of the imports within each import that goes on.
_within: list[float] = []
#: How many modules had been imported when the Worker was loaded.
_before = 0


def watch() -> None:
    """Measures all imports from now on."""
    find_and_load = bootstrap._find_and_load  # type: ignore[attr-defined]

    def measured(name: str, import_: Any) -> Any:
        begun = perf_counter()
        _within.append(0.0)
        try:
            return find_and_load(name, import_)
        finally:
            took = perf_counter() - begun
            _took[name] = _took.get(name, 0.0) + took - _within.pop()
            if _within:
                _within[-1] += took

    # Tracebacks leave out the frames of this file.
    measured.__code__ = measured.__code__.replace(co_filename=find_and_load.__code__.co_filename)
    bootstrap._find_and_load = measured  # type: ignore[attr-defined]


def forget() -> None:
    """What was imported so far belongs to the runtime."""
    _took.clear()


def mark() -> None:
    """The Worker is loaded from now on."""
    global _before
    _before = len(_took)


def imported(root: str, packages: str) -> str:
    """The modules that loading the Worker has imported and that are not its own, as JSON: names in the order in which
    they were complete, and their milliseconds. The Worker's own files are below `root`, and not in its folder `packages`."""
    names = [name for name in list(_took)[_before:] if _is_foreign(sys.modules.get(name), root, packages)]
    return json.dumps([[name, _took[name] * 1e3] for name in names])


def _is_foreign(module: Any, root: str, packages: str) -> bool:
    # Whoever has put something else there knows why.
    spec = getattr(module, "__spec__", None)
    origin = getattr(spec, "origin", None)
    if type(module) is not ModuleType or not isinstance(origin, str):
        return False
    if origin in ("built-in", "frozen"):
        return True
    return origin.startswith("/") and (not origin.startswith(f"{root}/") or origin.startswith(f"{packages}/"))


def report() -> str:
    """The modules imported since, as JSON: name, bytes, milliseconds."""
    counted = {id(_took), id(sys.modules)}
    for name, module in sys.modules.copy().items():
        if name not in _took:
            _count(module, counted)
    costs = []
    for name, seconds in _took.items():
        module = sys.modules.get(name)
        if module is not None:
            costs.append({"name": name, "bytes": _count(module, counted), "milliseconds": seconds * 1e3})
    return json.dumps(costs)


def _count(module: Any, counted: set[int]) -> int:
    """The bytes that can be reached from the module and are not counted yet."""
    total = 0
    waiting = [module] if id(module) not in counted else []
    while waiting:
        thing = waiting.pop()
        if id(thing) in counted or (thing is not module and _belongs_elsewhere(thing, module)):
            continue
        counted.add(id(thing))
        try:
            total += sys.getsizeof(thing)
        except Exception:
            # Its class says something impossible.
            pass
        waiting += gc.get_referents(thing)
        if type(thing) is CodeType:
            waiting += [getattr(thing, part) for part in _CODE_PARTS]
    return total


def _belongs_elsewhere(thing: Any, module: Any) -> bool:
    if isinstance(thing, ModuleType):
        return True
    if not isinstance(thing, type | FunctionType):
        return False
    try:
        home = thing.__module__
    except Exception:
        return False
    return home != getattr(module, "__name__", None) and home in _took
