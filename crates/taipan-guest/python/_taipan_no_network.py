"""Sockets of releases before 3.14: their Pyodide has none that the host can be behind, and no `ssl`. What uses them is told so, with an
error that libraries expect; Pyodide's own attempt would end the isolate.
"""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any, NoReturn

import _taipan_patches as patches

from pyodide.webloop import WebLoop

_HINT = (
    f"on Python {sys.version_info.major}.{sys.version_info.minor} a Worker has no sockets and no ssl. Set a compatibility_date of 2026-09-08 "
    "or later for Python 3.14, which has both; fetch, requests and urllib3 work here, too"
)


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise OSError(errno.ENETUNREACH, _HINT)


async def _refuse_later(*_: Any, **__: Any) -> NoReturn:
    _refuse()


def install() -> None:
    """Once, at start."""
    for name in ("connect", "connect_ex", "bind", "listen", "accept", "sendto"):
        setattr(socket.socket, name, _refuse)
    for name in ("getaddrinfo", "create_connection", "sock_connect"):
        setattr(WebLoop, name, _refuse_later)
    patches.missing.update(ssl=_HINT, _ssl=_HINT)
