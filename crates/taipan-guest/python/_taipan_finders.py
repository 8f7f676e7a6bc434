"""Finds modules in folders that do not change while Python runs, without looking at them again.

Python's own finder asks at each import whether a folder on the search path is as it was, because files may have come. Libraries try
to import what may not be installed each time that they are called, and here such a question is a call of JavaScript's file system. A
Worker's own files and its packages cannot change, and the standard library does not: what is not there is known without asking.
`importlib.invalidate_caches()` has a folder be read again, as it does everywhere. Folders that can be written to, such as `/tmp`,
and those that a program of the command line sees, keep Python's finder.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import ModuleType
from typing import Any

#: What does not change is below these: the standard library and our own; a Worker's packages, and its files.
_FIXED = (
    f"/lib/python{sys.version_info.major}.{sys.version_info.minor}/",
    f"{os.path.dirname(__file__)}/",
    "/session/packages/",
    "/session/metadata/",
)


class _Loader(SourceFileLoader):
    """There is no bytecode beside the sources, so it is not looked for."""

    def path_stats(self, path: str) -> Any:
        raise OSError


_LOADERS = ((ExtensionFileLoader, EXTENSION_SUFFIXES), (_Loader, SOURCE_SUFFIXES), (SourcelessFileLoader, BYTECODE_SUFFIXES))
#: What a module's file or folder is called, behind its name.
_ENDS = ("", *EXTENSION_SUFFIXES, *SOURCE_SUFFIXES, *BYTECODE_SUFFIXES)


class _Finder(FileFinder):
    """Python's, unless it knows beforehand that there is no such module."""

    _path_cache: set[str]
    _path_mtime: float

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
        # It has not read the folder yet, or shall do so again, if it has no time of it.
        if self._path_mtime != -1:
            name = fullname.rpartition(".")[2]
            if not any(name + end in self._path_cache for end in _ENDS):
                return None
        return super().find_spec(fullname, target)


def _hook(path: str) -> _Finder:
    if not f"{path}/".startswith(_FIXED) or not os.path.isdir(path):
        raise ImportError("not a folder that stays as it is", path=path)
    return _Finder(path, *_LOADERS)


def install() -> None:
    sys.path_hooks.insert(0, _hook)
    for path in [path for path in sys.path_importer_cache if f"{path}/".startswith(_FIXED)]:
        del sys.path_importer_cache[path]
