"""Reports of failures: what the error page, the terminal and the log show of an exception.

A report names places in the Worker as its author knows them, so frames of the machinery between the event loop and the
handler are left out and paths are relative to the Worker's folder. `taipan-server` reads the JSON.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import linecache
import os
import sys
import traceback
from collections.abc import Iterator
from difflib import get_close_matches
from types import CodeType, FrameType
from typing import Any

from pyodide.ffi import JsException

_OURS = os.path.dirname(os.path.abspath(__file__)) + "/"
#: Causes of causes that a report has.
_DEPTH = 16
#: Frames of one exception that a report has: the outermost and the innermost.
_FIRST, _LAST = 20, 60

#: What calls callbacks and threads, by the function's name.
_BEGINNINGS = {"_run": "/asyncio/events.py", "run": "/threading.py"}
_NOWHERE = "\0"

_root = "/"
_main = ""


def configure(root: str, main: str) -> None:
    """Says where the Worker's files are, and which of them is its main module."""
    global _root, _main
    _root = root.rstrip("/") + "/"
    _main = main


def relative(filename: str) -> str:
    """The path of a file of the Worker as its author knows it; others' as they are."""
    return filename.removeprefix(_root)


def shortened(text: str) -> str:
    """A text with paths of the Worker's files, as their author knows them."""
    return text.replace(_root, "") if len(_root) > 1 else text


def is_user(filename: str) -> bool:
    """Whether the file is the Worker's own."""
    return filename.startswith(_root) and not filename.startswith(_root + "python_modules/")


def is_machinery(filename: str) -> bool:
    if filename.startswith(_root):
        return False
    return (
        filename.startswith((_OURS, "<frozen importlib", "<frozen runpy"))
        or "/_pyodide/" in filename
        or "/pyodide/" in filename
    )


def _character(source: str, byte: int | None) -> int | None:
    return None if byte is None else len(source.encode()[:byte].decode(errors="replace"))


def _frame(summary: traceback.FrameSummary) -> dict[str, Any]:
    source = linecache.getline(summary.filename, summary.lineno or 0).rstrip("\n")
    ends_here = summary.end_lineno == summary.lineno
    return {
        "file": relative(summary.filename),
        "line": summary.lineno,
        "column": _character(source, summary.colno),
        "end_column": _character(source, summary.end_colno) if ends_here else None,
        "function": summary.name,
        "source": source,
        "user": is_user(summary.filename),
    }


def _kept(stack: traceback.StackSummary | None, error: BaseException | None) -> list[traceback.FrameSummary]:
    """The entries without the machinery's and without those that Pyodide makes of JavaScript's stack."""
    kept = []
    place = error.__traceback__ if error is not None else None
    for summary in stack or ():
        is_python = place is None or summary.colno is not None or "__name__" in place.tb_frame.f_globals
        is_beginning = not kept and summary.filename.endswith(_BEGINNINGS.get(summary.name, _NOWHERE))
        if is_python and not is_beginning and not is_machinery(summary.filename):
            kept.append(summary)
        place = place and place.tb_next
    return kept


def _frames(kept: list[traceback.FrameSummary]) -> list[dict[str, Any]]:
    if len(kept) > _FIRST + _LAST:
        kept = kept[:_FIRST] + kept[-_LAST:]
    return [_frame(summary) for summary in kept]


def _prune(exception: traceback.TracebackException, error: BaseException | None) -> None:
    """Makes the text show what the frames show."""
    kept = _kept(exception.stack, error)
    for summary in kept:
        # The source is looked up by the real name.
        _ = summary.line
        summary.filename = relative(summary.filename)
    # Without an entry the heading would promise some.
    exception.stack = traceback.StackSummary.from_list(kept) if kept else None  # type: ignore[assignment]


def _walk(
    shown: traceback.TracebackException, error: BaseException | None, seen: set[int]
) -> Iterator[tuple[traceback.TracebackException, BaseException | None]]:
    if id(shown) in seen:
        return
    seen.add(id(shown))
    yield shown, error
    if shown.__cause__ is not None:
        yield from _walk(shown.__cause__, error and error.__cause__, seen)
    if shown.__context__ is not None:
        yield from _walk(shown.__context__, error and error.__context__, seen)
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for i, part in enumerate(getattr(shown, "exceptions", None) or ()):
        yield from _walk(part, inner[i] if i < len(inner) else None, seen)


def _javascript_stack(error: JsException) -> str | None:
    stack = getattr(error, "stack", None)
    if not isinstance(stack, str):
        return None
    places = [line.strip() for line in stack.splitlines()]
    hidden = ("wasm", "/pyodide", "/taipan/", "taipan:", "node:internal")
    kept = [line for line in places if line.startswith("at ") and not any(word in line for word in hidden)]
    # What is the engine's own says nothing on its own.
    if all("(native)" in line for line in kept):
        return None
    return "\n".join(["JavaScript stack:", *(f"  {line}" for line in kept)])


def _type_name(error: BaseException) -> str:
    cls = type(error)
    if isinstance(error, JsException) or cls.__module__ in ("builtins", "__main__", None):
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        if isinstance(error, SyntaxError):
            return str(error.msg)
        return str(error)
    except BaseException:
        return "<exception str() failed>"


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", None)
    return [str(note) for note in notes] if isinstance(notes, (list, tuple)) else []


def _report(shown: traceback.TracebackException, error: BaseException, kind: str, depth: int) -> dict[str, Any]:
    frames = _frames(_kept(shown.stack, error))
    if isinstance(error, SyntaxError) and error.filename:
        frames.append(_syntax_frame(error))
    cause: dict[str, Any] | None = None
    if depth < _DEPTH:
        for relation, inner in (("cause", error.__cause__), ("context", error.__context__)):
            part = getattr(shown, f"__{relation}__")
            if inner is not None and part is not None and not (relation == "context" and error.__suppress_context__):
                cause = {**_report(part, inner, "exception", depth + 1), "relation": relation}
                break
    return {
        "kind": kind,
        "type": _type_name(error),
        "message": _message(error),
        "frames": frames,
        "text": "",
        "notes": _notes(error),
        "cause": cause,
        "hint": _hint(error) if depth == 0 else None,
    }


def _syntax_frame(error: SyntaxError) -> dict[str, Any]:
    line = error.lineno or 1
    start = error.offset - 1 if error.offset else None
    end = error.end_offset - 1 if error.end_offset and error.end_lineno == error.lineno else None
    return {
        "file": relative(error.filename or ""),
        "line": line,
        "column": start,
        "end_column": end if start is not None and end is not None and end > start else None,
        "function": "",
        "source": (error.text or linecache.getline(error.filename or "", line)).rstrip("\n"),
        "user": is_user(error.filename or ""),
    }


def _hint(error: BaseException) -> str | None:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_module(error.name)
    if isinstance(error, SystemExit):
        return "a Worker has no process to end: return a Response or raise another exception"
    return None


def _missing_module(name: str) -> str | None:
    first = name.partition(".")[0]
    folder = os.path.dirname(_main)
    if folder and first == folder.split("/")[0]:
        return f"modules beside {_main} are imported without the folder's name: leave out {folder.replace('/', '.')}."
    if first in sys.stdlib_module_names:
        return f"{first} is a module of the standard library that is not available in the sandbox"
    beside = _root + (f"{folder}/" if folder else "")
    try:
        names = {entry.removesuffix(".py") for entry in os.listdir(beside) if not entry.startswith((".", "_"))}
    except OSError:
        names = set()
    names.discard("python_modules")
    close = get_close_matches(first, sorted(names | _installed()), 1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there is neither a file {first}.py beside {_main} nor an installed package with a module {first!r}"


def _installed() -> set[str]:
    try:
        return {name for name in importlib.metadata.packages_distributions() if not name.startswith("_")}
    except Exception:
        return set()


def describe(error: BaseException, kind: str = "exception") -> dict[str, Any]:
    """The report of an exception."""
    if isinstance(error, MemoryError):
        # What its frames hold is what there is no memory for.
        traceback.clear_frames(error.__traceback__)
    try:
        shown = traceback.TracebackException(type(error), error, error.__traceback__)
        report = _report(shown, error, kind, 0)
        for part, source in _walk(shown, error, set()):
            _prune(part, source)
            if isinstance(source, JsException):
                if hasattr(part, "exc_type_module"):
                    part.exc_type_module = "builtins"
                if stack := _javascript_stack(source):
                    part.__notes__ = [*(part.__notes__ or []), stack]
                    if source is error:
                        report["notes"].append(stack)
            filename = getattr(part, "filename", None)
            if filename:
                part.filename = relative(filename)
        report["text"] = "".join(shown.format())
        return report
    except Exception as failure:
        # Of an exception this strange at least the type is known.
        name = type(error).__name__
        text = f"{name} (its report could not be made: {type(failure).__name__})"
        return plain(kind, name, text)


def plain(
    kind: str, name: str, message: str, hint: str | None = None, frames: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A report that is not about an exception; its text shows the frames, but is no traceback."""
    lines = [f"{name}: {message}"]
    for frame in frames or []:
        lines.append(f'  File "{frame["file"]}", line {frame["line"]}, in {frame["function"]}')
        if frame["source"]:
            lines.append(f"    {frame['source'].strip()}")
    return {
        "kind": kind,
        "type": name,
        "message": message,
        "frames": frames or [],
        "text": "\n".join(lines) + "\n",
        "notes": [],
        "cause": None,
        "hint": hint,
    }


def place(code: CodeType, name: str) -> dict[str, Any]:
    """The frame of a function's definition."""
    line = code.co_firstlineno
    source = linecache.getline(code.co_filename, line)
    # The first line is that of the first decorator.
    for number in range(line, line + 20):
        candidate = linecache.getline(code.co_filename, number)
        if candidate.lstrip().startswith(("def ", "async def ")):
            line, source = number, candidate
            break
    source = source.rstrip("\n")
    return {
        "file": relative(code.co_filename),
        "line": line,
        "column": len(source) - len(source.lstrip()),
        "end_column": len(source) or None,
        "function": name,
        "source": source,
        "user": is_user(code.co_filename),
    }


def waiting(task: asyncio.Task[Any]) -> Iterator[tuple[FrameType, int]]:
    """The frames of a task that waits, outermost first."""
    awaiting: Any = task.get_coro()
    while awaiting is not None:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaiting, f"{kind}_frame", None)
            if frame is not None:
                yield frame, frame.f_lineno
                awaiting = getattr(awaiting, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                break
        else:
            return


def hung(task: asyncio.Task[Any] | None, handler: str) -> dict[str, Any]:
    """The report of a handler that waits for something that can never happen."""
    stack = traceback.StackSummary.extract(waiting(task)) if task is not None else traceback.StackSummary()
    return plain(
        "hung",
        "RuntimeError",
        f"{handler} waits for something that can never happen: no timer, operation or other task is left that could "
        "complete it",
        "look at what is awaited there: a future that nobody completes, or a promise that nobody resolves",
        _frames(_kept(stack, None)),
    )


def pending(tasks: set[asyncio.Task[Any]]) -> dict[str, Any]:
    """The report of work that module scope has begun and left behind."""
    frames: list[dict[str, Any]] = []
    for task in sorted(tasks, key=lambda task: task.get_name()):
        if not task.done():
            stack = traceback.StackSummary.extract(waiting(task))
            frames += _frames(_kept(stack, None))
    what = "a task waits" if frames else "a timer or an operation is under way"
    return plain(
        "pending",
        "RuntimeError",
        f"{what} that was started at import",
        "start it in a handler, or in a function that is registered with workers.after_restore",
        frames,
    )


def to_json(report: dict[str, Any]) -> str:
    """The report as it goes over the border."""
    # ASCII: messages may have surrogates, which have no UTF-8.
    return json.dumps(report)
