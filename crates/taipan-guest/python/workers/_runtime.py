"""The other side of the border, as the modules of this package see it. `_taipan_worker` fills it in at start."""

from __future__ import annotations

from typing import Any

try:
    from pyodide.ffi import jsnull
except ImportError:
    # Before Pyodide 0.28 JavaScript's null was None.
    jsnull = None

__all__ = ["bridge", "js_env", "jsnull"]

#: Functions of `js/src/worker/dispatch.ts`.
bridge: Any = None

#: The JavaScript `env`.
js_env: Any = None
