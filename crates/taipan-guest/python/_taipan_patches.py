"""Packages that expect what there is not here: a folder of their own to write to, a page to draw on, a module of the standard library."""

from __future__ import annotations

import errno
import importlib.abc
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

#: By module: what stands in its source, and what is compiled in its place.
_REPLACEMENTS = {
    # Pyodide's build keeps the list of fonts beside the module, and makes it anew when another version has made it.
    "matplotlib.font_manager": (
        'Path(__file__).parent.joinpath("fontlist.json")',
        'Path(mpl.get_cachedir()).joinpath("fontlist.json")',
    ),
}


def _patch_pool(module: ModuleType) -> None:
    import _taipan_pool

    _taipan_pool.put_in(module)


def _patch_asgiref(module: ModuleType) -> None:
    """Flask and Django have it run their asynchronous views under WSGI, and where an event loop runs it refuses to wait."""
    import asyncio

    from pyodide.ffi import run_sync

    wait = module.AsyncToSync.__call__

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return wait(self, *args, **kwargs)
        return run_sync(self.awaitable(*args, **kwargs))

    module.AsyncToSync.__call__ = call


#: By module: what is done when it has been imported.
_PATCHES: dict[str, Callable[[ModuleType], None]] = {"multiprocessing.pool": _patch_pool, "asgiref.sync": _patch_asgiref}


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        old, new = (text.encode() for text in _REPLACEMENTS[fullname])
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path).replace(old, new), path)


class _Patched(importlib.abc.Loader):
    """The module as it is, and then what we put into it."""

    def __init__(self, loader: Any, patch: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._patch = patch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._patch(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _REPLACEMENTS and name not in _PATCHES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None:
            return None
        if name in _PATCHES:
            spec.loader = _Patched(spec.loader, _PATCHES[name])
        elif isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(name, spec.loader.path)
        return spec


#: Modules that are not there, and what to do.
missing = {"tzdata": "this package has the time zones, of which the system here has none: taipan add tzdata"}


class _SemLock:
    """In the place of a lock between processes. Servers name its class when they are imported, and make none."""

    SEM_VALUE_MAX = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        hint = "a Worker is one process. Threads work: threading, concurrent.futures.ThreadPoolExecutor, asyncio.to_thread"
        raise OSError(errno.ENOSYS, hint)


class _OneProcess(importlib.abc.Loader):
    """Loads what `multiprocessing` asks the system for, of which there is nothing."""

    def exec_module(self, module: ModuleType) -> None:
        module.SemLock = _SemLock  # type: ignore[attr-defined]
        module.sem_unlink = _SemLock  # type: ignore[attr-defined]


class _Missing(importlib.abc.MetaPathFinder):
    """Comes last: a package may bring a module of the name."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "_multiprocessing":
            return ModuleSpec(name, _OneProcess())
        if hint := missing.get(name):
            raise ModuleNotFoundError(f"No module named {name!r}: {hint}", name=name)
        return None


def install() -> None:
    sys.meta_path.insert(0, _Finder())
    sys.meta_path.append(_Missing())
    # Matplotlib's usual choice in Pyodide draws on a page of a browser.
    os.environ.setdefault("MPLBACKEND", "agg")
