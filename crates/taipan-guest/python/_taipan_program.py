"""Runs a Python program as the `python` command does: a script, `-c`, `-m`, or standard input."""

from __future__ import annotations

import asyncio
import atexit
import importlib.abc
import json
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType, CoroutineType, FunctionType, ModuleType
from typing import Any

import _taipan_costs as costs
import _taipan_worker as worker

#: Python looks for a folder for temporary files here when the host's own hides it.
_TEMPORARY = "/session/tmp"


def run(options_json: str, packages: str, read_line: Callable[[str], Any], obtain: Callable[[str], None]) -> int:
    """Gives the exit status. `read_line` takes a prompt and gives a line, 0 when it was interrupted, and otherwise the end. `obtain`
    has a module come to the folder of packages."""
    options = json.loads(options_json)
    status = 0
    try:
        _prepare(options, packages)
        finder = _Lacking(options["lacks"], packages, obtain)
        # Before Pyodide's, which says how to install it in a browser; after all that may have a module of the name.
        sys.meta_path.insert(sys.meta_path.index(PathFinder) + 1, finder)
        if options["kind"] == "module":
            # It is the standard library that will import it.
            name = options["what"].partition(".")[0]
            if PathFinder.find_spec(name) is None:
                finder.obtain(name)
        _run(options, read_line)
    except BaseException as error:
        status = _status(error)
    # What is registered may print, and fail.
    try:
        atexit._run_exitfuncs()
    except BaseException as error:
        status = status or _status(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            if not stream.closed:
                stream.flush()
        except Exception:
            status = status or 120  # as CPython ends then
    return status


class _Lacking(importlib.abc.MetaPathFinder):
    """Modules of the standard library that the release has beside it, when the program or a package imports them. Where the standard
    library does, it can do without them."""

    def __init__(self, names: Sequence[str], packages: str, obtain: Callable[[str], None]) -> None:
        self._names = frozenset(names)
        self._packages = packages
        self._obtain = obtain

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        by = costs.importer(sys._getframe(1)).partition(".")[0]
        if path is not None or by in sys.stdlib_module_names or not self.obtain(name):
            return None
        return PathFinder.find_spec(name, None, target)

    def obtain(self, name: str) -> bool:
        """Whether it is one of these modules, and there now."""
        if name not in self._names:
            return False
        try:
            self._obtain(name)
        except Exception as error:
            # Its text begins with the class that it has in JavaScript.
            reason = str(error).partition(": ")[2]
            raise ModuleNotFoundError(f"No module named {name!r}: {reason}", name=name) from None
        if self._packages not in sys.path:
            worker.add_packages(self._packages)
        importlib.invalidate_caches()
        return True


def _prepare(options: dict[str, Any], packages: str) -> None:
    sys.argv[:] = options["argv"]
    sys.orig_argv[:] = [options["executable"], *options["argv"]]
    sys.executable = sys._base_executable = options["executable"]  # type: ignore[attr-defined]
    sys.dont_write_bytecode = True
    os.makedirs(_TEMPORARY, exist_ok=True)
    os.environ["TMPDIR"] = _TEMPORARY
    os.environ.update(options["env"])
    try:
        os.chdir(options["folder"])
    except OSError:
        os.chdir("/session")
    for stream, is_terminal in zip((sys.stdout, sys.stderr), options["terminals"][1:], strict=True):
        # They were opened before it was known what they are.
        stream.reconfigure(line_buffering=is_terminal or stream is sys.stderr, write_through=options["unbuffered"])
    if options["packages"]:
        worker.add_packages(packages)
    if not options["isolated"]:
        sys.path.insert(0, options["path"])
    importlib.invalidate_caches()


def _run(options: dict[str, Any], read_line: Callable[[str], Any]) -> None:
    kind, what = options["kind"], options["what"]
    if kind == "module":
        # runpy makes its own main module.
        sys.argv[:1] = []
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    elif kind == "script" and not what.endswith(".py") and _is_package(what):
        sys.path.insert(0, what)
        runpy.run_path(what, run_name="__main__")
    elif kind == "terminal":
        _interact(read_line)
    else:
        name = {"script": what, "command": "<string>", "input": "<stdin>"}[kind]
        if kind == "script":
            source: str | bytes = _read(what)
        else:
            source = what if kind == "command" else sys.stdin.buffer.read()
        main = ModuleType("__main__")
        main.__dict__.update(__builtins__=sys.modules["builtins"], __annotations__={})
        if kind == "script":
            main.__file__ = what
        sys.modules["__main__"] = main
        exec(compile(source, name, "exec", dont_inherit=True), main.__dict__)


def _interact(read_line: Callable[[str], Any]) -> None:
    """Asks for statements and runs them, until the end of input or `exit()`. `await` can be used in all of them."""
    import ast
    import code

    from pyodide.ffi import run_sync

    # Of text that was pasted.
    waiting: list[str] = []

    class Console(code.InteractiveConsole):
        def raw_input(self, prompt: str = "") -> str:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            if not waiting:
                text = read_line(prompt)
                if not isinstance(text, str):
                    raise KeyboardInterrupt if text == 0 else EOFError
                waiting.extend(text.split("\n"))
            return waiting.pop(0)

        def runcode(self, code: CodeType) -> None:
            try:
                result = FunctionType(code, self.locals)()  # type: ignore[arg-type]
                if isinstance(result, CoroutineType):
                    run_sync(result)
            except SystemExit:
                raise
            except BaseException:
                self.showtraceback()

    main = ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    sys.modules["__main__"] = main
    console = Console(main.__dict__)
    console.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    version = sys.version.split("(")[0].strip()
    console.interact(f"Python {version} in the sandbox; exit() or Ctrl-D ends it", "")


def _is_package(path: str) -> bool:
    import zipfile

    return os.path.isdir(path) or zipfile.is_zipfile(path)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        print(f"{sys.executable}: can't open file '{path}': [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        raise SystemExit(2) from None


def _status(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code & 0xFF
        print(error.code, file=sys.stderr)
        return 1
    _print(error)
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def _print(error: BaseException) -> None:
    """As Python does, without the frames of this module and of `runpy`."""
    own = {__file__, runpy.__file__, "<frozen runpy>"}
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in own:
        trace = trace.tb_next
    sys.excepthook(type(error), error, trace)
