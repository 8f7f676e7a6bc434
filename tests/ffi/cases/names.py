"""Each public name of Pyodide's modules is there, and some case uses it."""

import importlib
import re

from suite import FOLDER, same

# The console's only in a terminal, and what is about pages with a DOM.
_ELSEWHERE = {"JsDomElement", "IN_BROWSER"}


def _cases():
    return "\n".join(path.read_text() for path in FOLDER.iterdir() if path.stem != "names")


def _unused(module):
    text = _cases()
    return [name for name in importlib.import_module(module).__all__ if not re.search(rf"\b{name}\b", text) and name not in _ELSEWHERE]


def names_of_ffi():
    same(_unused("pyodide.ffi"), [])
    same(_unused("pyodide.ffi.wrappers"), [])


def names_of_code():
    same(_unused("pyodide.code"), [])


def names_of_webloop():
    same(_unused("pyodide.webloop"), [])


def names_of_http():
    same(_unused("pyodide.http"), [])


def names_of_console():
    same(_unused("pyodide.console"), [])


def names_of_pyodide():
    import pyodide

    for name in pyodide.__all__:
        if not name.startswith("_"):
            importlib.import_module(f"pyodide.{name}")


def methods_of_proxies():
    import _pyodide._core_docs as documented

    text = _cases()
    methods = {
        name
        for cls in vars(documented).values()
        if isinstance(cls, type) and issubclass(cls, documented.JsProxy) and cls.__name__ not in _ELSEWHERE
        for name in vars(cls)
        if not name.startswith("_")
    }
    same([name for name in sorted(methods) if not re.search(rf"\b{name}\b", text)], [])


def methods_of_javascripts_side():
    import pyodide_js

    text = _cases()
    # What hands Pyodide files, packages and streams of the machine it runs on has nothing to hand over here.
    other = {"mountNodeFS", "mountNativeFS", "registerComlink", "setStdin", "setStdout", "setStderr", "canvas", "makeMemorySnapshot"}
    other |= {"lockfile", "lockfileBaseUrl", "loadPackage", "loadPackagesFromImports", "abiVersion", "code", "isPyProxy"}
    names = [name for name in pyodide_js.object_keys() if not name.startswith("_") and name not in other]
    same([name for name in names if not re.search(rf"\b{name}\b", text)], [])
