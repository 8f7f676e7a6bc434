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
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

_CODE_PARTS = ("co_consts", "co_names", "co_varnames", "co_linetable", "co_exceptiontable", "co_code", "co_qualname", "co_filename")

#: Seconds that a module took, without those it imported; in the order in which they were complete.
_took: dict[str, float] = {}
#: Seconds of the imports within each import that goes on.
_within: list[float] = []
#: The module in which each was imported first.
_importers: dict[str, str] = {}
#: How many modules had been imported when the Worker was loaded, and when that became a snapshot.
_before = 0
_frozen: int | None = None
#: Whose frames are between an import and the module that it is in.
_MACHINERY = {__name__, "importlib", "importlib._bootstrap", "importlib._bootstrap_external"}


def watch() -> None:
    """Measures all imports from now on."""
    find_and_load = bootstrap._find_and_load  # type: ignore[attr-defined]

    def measured(name: str, import_: Any) -> Any:
        if name not in _importers:
            _importers[name] = importer(sys._getframe(1))
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


def importer(frame: FrameType | None) -> str:
    """The module whose code runs, or that imports another if that is what goes on."""
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if name not in _MACHINERY:
            return name if isinstance(name, str) else ""
        frame = frame.f_back
    return ""


def forget() -> None:
    """What was imported so far belongs to the runtime."""
    _took.clear()
    _importers.clear()


def mark() -> None:
    """The Worker is loaded from now on."""
    global _before, _frozen
    _before = len(_took)
    _frozen = None


def freeze() -> None:
    """What is imported from now on is imported again in each isolate."""
    global _frozen
    _frozen = len(_took)


def imported(root: str, packages: str) -> str:
    """Modules that are not the Worker's own, as JSON: names in the order in which they were complete, and their
    milliseconds. They are those that loading the Worker has imported; in an isolate of its snapshot, those that packages have
    imported since, because the Worker's own code may want to import late. The Worker's own files are below `root`, and not
    in its folder `packages`."""

    def is_foreign(name: str) -> bool:
        return _is_foreign(sys.modules.get(name), root, packages)

    names = list(_took)[_before if _frozen is None else _frozen :]
    if _frozen is not None:
        late = set(names)

        def is_wanted_by_package(name: str) -> bool:
            for _ in range(len(late)):
                name = _importers.get(name, "")
                if name not in late:
                    return is_foreign(name)
            return False

        names = [name for name in names if is_wanted_by_package(name)]
    return json.dumps([[name, _took[name] * 1e3] for name in names if is_foreign(name)])


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
