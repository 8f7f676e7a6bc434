"""Hooks around snapshots: a Worker's module scope runs once, and each isolate continues from a copy of its memory.

Randomness and clocks are taken care of: generators that module scope left seeded by chance (`random`, `random.Random()`,
NumPy's global one) are seeded anew. A Worker needs a hook for what else it made at import and must not share with its
siblings, such as a generator of `numpy.random.default_rng()`, or what would be out of date:

    @after_restore
    def new_session() -> None:
        global session_id
        session_id = uuid4()
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

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


#: Those whose state comes from the system's randomness, and nobody's choice; by address, since a class may say what is equal.
_seeded_by_chance: WeakValueDictionary[int, random.Random] = WeakValueDictionary()
_seed = random.Random.seed


def _noting_seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    _seed(self, a, version)
    if a is None:
        _seeded_by_chance[id(self)] = self
    else:
        _seeded_by_chance.pop(id(self), None)


_noting_seed.__name__ = _seed.__name__
_noting_seed.__qualname__ = _seed.__qualname__
_noting_seed.__doc__ = _seed.__doc__
random.Random.seed = _noting_seed  # type: ignore[method-assign]


def _refresh_entropy() -> None:
    """Generators that were seeded before the snapshot would draw the same numbers in every isolate."""
    modules = sys.modules
    random.seed()
    for generator in list(_seeded_by_chance.values()):
        _seed(generator)
    if "tempfile" in modules:
        modules["tempfile"]._name_sequence = None  # type: ignore[attr-defined]
    if "numpy.random" in modules:
        modules["numpy.random"].seed()
