"""The other side of the border, as the modules of this package see it. `_taipan_worker` fills it in at start."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from pyodide.ffi import run_sync

try:
    from pyodide.ffi import jsnull
except ImportError:
    # Before Pyodide 0.28 JavaScript's null was None.
    jsnull = None

__all__ = ["bridge", "js_env", "jsnull", "report", "wait"]

R = TypeVar("R")

#: Functions of `js/src/worker/dispatch.ts`.
bridge: Any = None

#: Logs an exception that nobody else gets to see, and where it was.
report: Any = None

#: The JavaScript `env`.
js_env: Any = None


def wait(awaitable: Awaitable[R]) -> R:
    """Blocks until it is done. Its result stays in Python, where `run_sync` would take it over the border and back."""
    results: list[R] = []
    failures: list[BaseException] = []

    async def hold() -> None:
        try:
            results.append(await awaitable)
        except BaseException as error:
            failures.append(error)

    run_sync(hold())
    if failures:
        raise failures[0]
    return results[0]
