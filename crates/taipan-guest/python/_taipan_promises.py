"""Promises that reject with what is no error.

JavaScript rejects with anything, a future fails with exceptions only: Pyodide's helper raises in a callback that nobody
awaits, and whoever awaits the promise waits for ever.
"""

from __future__ import annotations

from typing import Any

import js
from _pyodide import _future_helper


def _set_exception(future: Any, reason: Any) -> None:
    if future.done():
        return
    if not isinstance(reason, BaseException):
        reason = js.Error.new(f"A promise was rejected with something that is no error: {reason!r}")
    elif isinstance(reason, StopIteration):
        # Futures refuse it: a coroutine would take it for its own end.
        wrapped = RuntimeError("A promise was rejected with StopIteration")
        wrapped.__cause__ = reason
        reason = wrapped
    future.set_exception(reason)


def install() -> None:
    """Puts ours in the place of Pyodide's."""
    _future_helper.set_exception = _set_exception
