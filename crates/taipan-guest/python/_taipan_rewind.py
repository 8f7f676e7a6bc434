"""Whether a thread can be wound back: ended where it waits and begun again later, as if it had not begun.

A thread that waits for what the frames below it on the stack would do next waits for ever (`_taipan_threads.py`). But one whose code
has done nothing yet that could be told apart, other than looking, loses nothing: `event.wait()` at the beginning of a function, or
`with condition: while not ready: condition.wait()`. Nor does one lose anything whose loop carries nothing from one turn to the next,
such as `while True: work(jobs.get())`. What its frames have executed is known by their bytecode.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import CodeType, FrameType

#: Instructions that change nothing but the frame's own variables.
_HARMLESS = frozenset(
    """
    BUILD_LIST BUILD_MAP BUILD_TUPLE COMPARE_OP CONTAINS_OP COPY COPY_FREE_VARS EXTENDED_ARG IS_OP JUMP_BACKWARD
    JUMP_BACKWARD_NO_INTERRUPT JUMP_FORWARD MAKE_CELL MAKE_FUNCTION NOP NOT_TAKEN POP_BLOCK POP_ITER POP_TOP PUSH_NULL RESUME
    SET_FUNCTION_ATTRIBUTE SWAP TO_BOOL UNARY_NOT BINARY_SUBSCR CACHE BEFORE_WITH
    """.split()
)
_HARMLESS_PREFIXES = ("LOAD_", "STORE_FAST", "POP_JUMP_")
#: Of these, what makes something that a loop could fill.
_MAKING = ("BUILD_LIST", "BUILD_MAP", "MAKE_CELL")
_BINARY_IN_PLACE = 13
_SUBSCRIPT = 26
_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def has_only_looked(frames: Iterable[FrameType]) -> bool:
    """Whether what these frames have done can be done again. Each of them is in a call, the innermost in one that waits."""
    return all(_is_harmless(frame.f_code, frame.f_lasti) for frame in frames)


def has_nothing_to_keep(frames: Iterable[FrameType]) -> bool:
    """The same, or they are at a place of their loops where those could as well begin."""
    return all(_is_harmless(frame.f_code, frame.f_lasti) or _carries_nothing(frame.f_code, frame.f_lasti) for frame in frames)


class _Place:
    """A place in code, and the loops around it."""

    def __init__(self, code: CodeType, at: int) -> None:
        self.instructions = list(dis.get_instructions(code))
        positions = {instruction.offset: i for i, instruction in enumerate(self.instructions)}
        # Python 3.12 says where the instruction's cache ends.
        self.here = max(i for offset, i in positions.items() if offset <= at)
        self.name = self.instructions[self.here].opname
        #: Where the outermost loop begins and ends.
        self.head, self.end = self.here, self.here
        self.heads: set[int] = set()
        for i in range(self.here + 1, len(self.instructions)):
            instruction = self.instructions[i]
            if instruction.opname.startswith("JUMP_BACKWARD") and (head := positions.get(instruction.argval, i)) <= self.here:
                self.heads.add(head)
                self.head, self.end = min(self.head, head), i
        # Somebody else has a generator or a coroutine. What exceptions would run, other than the end of a `with`, is not undone.
        self.can_be_left = not code.co_flags & _GENERATORS and all(
            _is_exit_of_with(self.instructions, positions, target) for target in _handlers(code, at)
        )


@lru_cache(256)
def _is_harmless(code: CodeType, at: int) -> bool:
    place = _Place(code, at)
    if not place.can_be_left or not place.name.startswith("CALL"):
        return False
    # A loop around it may have gone on for some time.
    return all(_changes_nothing(place.instructions, i) for i in range(place.end) if i != place.here)


@lru_cache(256)
def _carries_nothing(code: CodeType, at: int) -> bool:
    place = _Place(code, at)
    instructions, here, head = place.instructions, place.here, place.head
    if not place.can_be_left or not place.heads:
        return False
    # What a `for` goes through is carried, unless it is `iter(jobs.get, None)`, which waits itself.
    if any(instructions[i].opname == "FOR_ITER" and (i != here or len(place.heads) > 1) for i in place.heads):
        return False
    if not place.name.startswith("CALL") and here not in place.heads:
        return False
    for i in range(head):
        if instructions[i].opname in _MAKING or not (_changes_nothing(instructions, i) or _makes_iterator(instructions, i)):
            return False
    written: set[str] = set()
    first: dict[str, bool] = {}
    for instruction in instructions[head : place.end]:
        for is_write, name in _variables(instruction):
            first.setdefault(name, is_write)
            if is_write:
                written.add(name)
    return all(first[name] for name in written)


def _variables(instruction: dis.Instruction) -> Iterator[tuple[bool, str]]:
    """The frame's own variables that an instruction reads (False) and writes, in order."""
    name, value = instruction.opname, instruction.argval
    names = value if isinstance(value, tuple) else (value,)
    if name.startswith("LOAD_FAST"):
        yield from ((False, n) for n in names)
    elif name.startswith(("STORE_FAST", "DELETE_FAST")):
        loads = name in ("STORE_FAST_LOAD_FAST",)
        yield from ((not (loads and i == 1), n) for i, n in enumerate(names))


def _makes_iterator(instructions: list[dis.Instruction], i: int) -> bool:
    """Whether it belongs to `for … in iter(f, sentinel)`."""
    name = instructions[i].opname
    if name == "GET_ITER":
        return instructions[i - 1].opname == "CALL"
    before = instructions[max(0, i - 7) : i]
    return name == "CALL" and instructions[i].arg == 2 and any(b.opname == "LOAD_GLOBAL" and b.argval == "iter" for b in before)


def _changes_nothing(instructions: list[dis.Instruction], i: int) -> bool:
    name = instructions[i].opname
    if name in _HARMLESS or name.startswith(_HARMLESS_PREFIXES):
        return True
    if name == "BINARY_OP":
        arg = instructions[i].arg or 0
        return arg < _BINARY_IN_PLACE or arg == _SUBSCRIPT
    # What a `with` calls is undone when it is left.
    return name == "CALL" and instructions[i - 1].opname == "LOAD_SPECIAL"


def _handlers(code: CodeType, at: int) -> Iterator[int]:
    """Where it goes on after an exception."""
    for entry in dis._parse_exception_table(code):  # type: ignore[attr-defined]
        if entry.start <= at < entry.end:
            yield entry.target


def _is_exit_of_with(instructions: list[dis.Instruction], positions: dict[int, int], target: int) -> bool:
    i = positions.get(target)
    if i is None:
        return False
    return [instruction.opname for instruction in instructions[i : i + 2]] == ["PUSH_EXC_INFO", "WITH_EXCEPT_START"]
