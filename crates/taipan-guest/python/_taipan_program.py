"""Runs a Python program as the `python` command does: a script, `-c`, `-m`, or standard input."""

from __future__ import annotations

import asyncio
import atexit
import importlib
import json
import os
import runpy
import sys
import traceback
from collections.abc import Callable
from types import CodeType, CoroutineType, FunctionType, ModuleType
from typing import Any

#: Python looks for a folder for temporary files here when the host's own hides it.
_TEMPORARY = "/session/tmp"


def run(options_json: str, read_line: Callable[[str], Any]) -> int:
    """Gives the exit status. `read_line` takes a prompt and gives a line, 0 when it was interrupted, and otherwise the end."""
    options = json.loads(options_json)
    status = 0
    try:
        _prepare(options)
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


def _prepare(options: dict[str, Any]) -> None:
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
