"""Hooks around snapshots: a Worker's module scope runs once, and each isolate continues from a copy of its memory.

Randomness and clocks are taken care of. A Worker needs a hook for what it made at import and must not share with its
siblings, or what would be out of date:

    @after_restore
    def new_session() -> None:
        global session_id
        session_id = uuid4()
"""

from __future__ import annotations

import sys
from collections.abc import Callable

__all__ = ["after_restore", "before_snapshot"]

Hook = Callable[[], object]

_before: list[Hook] = []
_after: list[Hook] = []


def before_snapshot(hook: Hook) -> Hook:
    """Registers a function to call before the isolate becomes a snapshot; the last registered is called first."""
    _before.append(hook)
    return hook


def after_restore(hook: Hook) -> Hook:
    """Registers a function to call in every isolate that is made from the snapshot, before its first request."""
    _after.append(hook)
    return hook


def freeze() -> None:
    for hook in reversed(_before):
        hook()


def thaw(failed: Callable[[BaseException, str], object]) -> None:
    _refresh_entropy()
    for hook in _after:
        # An isolate without one of its hooks is better than none.
        try:
            hook()
        except Exception as error:
            failed(error, "a function registered with after_restore")


def _refresh_entropy() -> None:
    """Generators that were seeded before the snapshot would draw the same numbers in every isolate."""
    modules = sys.modules
    if "random" in modules:
        modules["random"].seed()
    if "tempfile" in modules:
        modules["tempfile"]._name_sequence = None  # type: ignore[attr-defined]
    if "numpy.random" in modules:
        modules["numpy.random"].seed()
