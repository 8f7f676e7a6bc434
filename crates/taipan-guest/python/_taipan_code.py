"""Moves bytecode that runs together.

CPython rewrites bytecode as it runs: it counts, and specialises instructions. Code lies where it was loaded, between the
names, constants and docstrings that came with it and the code that never runs. In an isolate made from a snapshot each
page that is written to becomes a private copy; and what ran before is what will run again.
"""

from __future__ import annotations

import gc
from types import CodeType, FunctionType


def compact() -> None:
    """Gives functions that have run, and are in no snapshot yet, code of the same content that was made in one go."""
    functions = [thing for thing in gc.get_objects() if type(thing) is FunctionType and _has_run(thing.__code__)]
    moved: dict[int, tuple[CodeType, CodeType]] = {}
    for function in functions:
        function.__code__ = _copy(function.__code__, moved)


def _has_run(code: CodeType) -> bool:
    return code._co_code_adaptive != code.replace()._co_code_adaptive  # type: ignore[attr-defined]


def _copy(code: CodeType, moved: dict[int, tuple[CodeType, CodeType]]) -> CodeType:
    # By identity: equal code may belong to functions at different places.
    known = moved.get(id(code))
    if known:
        return known[1]
    constants = code.co_consts
    if any(type(constant) is CodeType for constant in constants):
        inner = tuple(_copy(c, moved) if type(c) is CodeType else c for c in constants)
        copy = code.replace(co_consts=inner)
    else:
        copy = code.replace()
    moved[id(code)] = (code, copy)
    return copy
