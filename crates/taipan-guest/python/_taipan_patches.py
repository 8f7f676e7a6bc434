"""Packages that expect what there is not here: a folder of their own to write to, a page to draw on, a module of the standard library."""

from __future__ import annotations

import importlib.abc
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

#: By module: what stands in its source, and what is compiled in its place.
_REPLACEMENTS = {
    # Pyodide's build keeps the list of fonts beside the module, and makes it anew when another version has made it.
    "matplotlib.font_manager": (
        'Path(__file__).parent.joinpath("fontlist.json")',
        'Path(mpl.get_cachedir()).joinpath("fontlist.json")',
    ),
}


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        old, new = (text.encode() for text in _REPLACEMENTS[fullname])
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path).replace(old, new), path)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _REPLACEMENTS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(name, spec.loader.path)
        return spec


#: Modules that are not there, and what to do.
missing = {
    "_multiprocessing": "a Worker is one process. Threads work: threading, concurrent.futures.ThreadPoolExecutor, asyncio.to_thread",
}


class _Missing(importlib.abc.MetaPathFinder):
    """Comes last: a package may bring a module of the name."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if hint := missing.get(name):
            raise ModuleNotFoundError(f"No module named {name!r}: {hint}", name=name)
        return None


def install() -> None:
    sys.meta_path.insert(0, _Finder())
    sys.meta_path.append(_Missing())
    # Matplotlib's usual choice in Pyodide draws on a page of a browser.
    os.environ.setdefault("MPLBACKEND", "agg")
