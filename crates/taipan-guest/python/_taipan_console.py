"""Standard output and standard error of a Worker: lines for the host's log."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import _taipan

#: A line that does not end is cut here.
_LONGEST = 1 << 20


class _Lines(io.RawIOBase):
    """Standard output, without a detour through JavaScript."""

    def __init__(self) -> None:
        self._rest = b""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1

    def write(self, data: Any) -> int:
        written = bytes(data)
        if b"\n" in written:
            *lines, self._rest = (self._rest + written).split(b"\n")
            for line in lines:
                _taipan.log(1, line.decode("utf-8", "replace"))
        else:
            self._rest += written
        if len(self._rest) > _LONGEST:
            self.end_line()
        return len(written)

    def end_line(self) -> None:
        if self._rest:
            rest, self._rest = self._rest, b""
            _taipan.log(1, rest.decode("utf-8", "replace"))


class _Watched(io.TextIOWrapper):
    """Standard error, which stays Pyodide's: what it writes there it may read again, to make messages of exceptions."""

    is_in_line = False

    def write(self, text: str) -> int:
        if text:
            self.is_in_line = not text.endswith("\n")
        return super().write(text)


_lines = _Lines()
_output = io.TextIOWrapper(io.BufferedWriter(_lines), encoding="utf-8", errors="surrogateescape", line_buffering=True)
_error: _Watched | None = None
_before: tuple[Any, Any] | None = None
_end_line: Callable[[], object] | None = None


def install(end_line: Callable[[], object]) -> None:
    """For a Worker. `end_line` shows what Pyodide's streams keep because it is no whole line yet."""
    global _before, _error, _end_line
    _end_line = end_line
    if _before is None:
        _before = sys.stdout, sys.stderr
        if _error is None:
            _error = _Watched(sys.stderr.buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        sys.stdout = sys.__stdout__ = _output  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = _error  # type: ignore[misc]


def uninstall() -> None:
    """The Worker is forgotten."""
    global _before, _end_line
    if _before is not None:
        flush()
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = _before  # type: ignore[misc]
        _before = _end_line = None


def flush() -> None:
    """Shows also what is no whole line yet."""
    # Not with `suppress`, which costs more than the flushing. The Worker may have put anything in the streams' place.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: S110
            pass
    if _lines._rest:
        _lines.end_line()
    if _error is not None and _error.is_in_line and _end_line is not None:
        _error.is_in_line = False
        _end_line()
