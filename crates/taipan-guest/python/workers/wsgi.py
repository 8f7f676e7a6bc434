"""WSGI applications as Workers.

    from workers import wsgi

    Default = wsgi.entrypoint(app)

An application runs in the handler and may block, as in a server with one thread; other requests go to other isolates then. The
request's body is read from the client as the application reads it, and what the application gives is sent as it comes.
"""

from __future__ import annotations

import contextvars
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from pyodide.ffi import run_sync

from ._entrypoints import WorkerEntrypoint
from ._headers import field_pairs
from ._request import Request
from ._response import NULL_BODY, Response
from ._stream import Produced
from .gateway import BaseOptions

__all__ = ["Options", "entrypoint", "fetch"]

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(BaseOptions):
    """What an application is told, and how its responses are sent."""

    #: The path at which the application is mounted: SCRIPT_NAME.
    root_path: str = ""


_DEFAULT = Options()


class _Body(io.RawIOBase):
    """The request's body, as a file."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._rest = memoryview(b"")
        self._has_ended = request._length() is None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self._has_ended:
            chunk = run_sync(self._request._next_chunk())
            if chunk is None:
                self._has_ended = True
            else:
                self._rest = memoryview(chunk)
        n = min(len(buffer), len(self._rest))
        buffer[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n


class _Errors(io.TextIOBase):
    """Whatever sys.stderr is then."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _environ(request: Request, env: Any, ctx: Any, options: Options) -> Environ:
    scheme, _, rest = request.url.partition("://")
    slash = rest.find("/")
    target, _, query = rest[slash:].partition("?") if slash >= 0 else ("/", "", "")
    version, client, server = request._connection()
    # As PEP 3333 has it: bytes, each as a character.
    path = unquote_to_bytes(target).decode("latin-1")
    root = options.root_path.encode().decode("latin-1")
    host, port = server or ("localhost", 80)
    environ: Environ = {
        "REQUEST_METHOD": str(request._method_name()),
        "SCRIPT_NAME": root,
        "PATH_INFO": path.removeprefix(root) if root else path,
        "QUERY_STRING": query,
        "REQUEST_URI": rest[slash:] if slash >= 0 else "/",
        "RAW_URI": rest[slash:] if slash >= 0 else "/",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{version}",
        "SERVER_SOFTWARE": "taipan",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BufferedReader(_Body(request), 64 * 1024),
        "wsgi.input_terminated": True,
        "wsgi.errors": _Errors(),
        "wsgi.multithread": False,
        # Isolates are to each other what processes are.
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "workers.env": env,
        "workers.ctx": ctx,
    }
    if client is not None:
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
    for name, value in request._raw_headers():
        key = name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        if key in environ:
            text = f"{environ[key]}{';' if key == 'HTTP_COOKIE' else ','}{text}"
        environ[key] = text
    return environ


class _Call:
    """One call of the application."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.status_text = ""
        self.headers: list[tuple[str, str]] = []
        self.written: list[bytes] = []
        self.is_sent = False

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info is not None:
            if self.is_sent:
                raise exc_info[1].with_traceback(exc_info[2])
        elif self.status is not None:
            raise AssertionError("start_response() was called twice without exc_info")
        code, _, text = status.partition(" ")
        self.status = int(code)
        try:
            usual = HTTPStatus(self.status).phrase
        except ValueError:
            usual = ""
        self.status_text = text if text != usual else ""
        self.headers = field_pairs((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
        return self.written.append


def _parts(first: bytes, result: Iterator[bytes], close: Any) -> Iterator[bytes]:
    """What is left of a body."""
    try:
        yield first
        yield from result
    finally:
        if close is not None:
            close()


async def fetch(
    app: Application, request: Any, env: Any = None, ctx: Any = None, *, options: Options | None = None
) -> Response:
    """Has the application answer a request."""
    if not isinstance(request, Request):
        request = Request(request)
    # All that the application does for this request is done in one context.
    context = contextvars.copy_context()
    return context.run(_answer, app, request, _environ(request, env, ctx, options or _DEFAULT), context)


def _answer(app: Application, request: Request, environ: Environ, context: contextvars.Context) -> Response:
    call = _Call()
    result = app(environ, call.start_response)
    close = getattr(result, "close", None)
    try:
        chunks = iter(result)
        # The status may come as late as with the first part that is not empty.
        first = list(result) if isinstance(result, (list, tuple)) else [next((c for c in chunks if c), b"")]
        if call.status is None:
            raise RuntimeError("The WSGI application returned without calling start_response()")
        call.is_sent = True
        body: Any = b"".join([*call.written, *first])
        if call.status in NULL_BODY or request._method_name() == "HEAD":
            body = None
        elif not isinstance(result, (list, tuple)) and str(len(body)) != dict(call.headers).get("content-length"):
            body = Produced(_parts(body, chunks, close), context)
            close = None
        response = Response._made(call.status, call.headers, body)
        response._status_text = call.status_text
        return response
    finally:
        if close is not None:
            close()


def entrypoint(app: Application, *, options: Options | None = None) -> type[WorkerEntrypoint]:
    """A class `Default` that has the application answer every request."""

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Request) -> Response:
            return await fetch(app, request, self.env, self.ctx, options=options)

    return Default
