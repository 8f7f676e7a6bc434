"""WSGI applications as Workers.

    from workers import wsgi

    Default = wsgi.entrypoint(app)

An application runs in the handler and may block, as in a server with one thread; other requests go to other isolates then. The
request's body is read from the client as the application reads it, and what the application gives, or writes by `write()`, is sent
as it comes.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper

from pyodide.ffi import run_sync

from . import _runtime
from ._entrypoints import WorkerEntrypoint
from ._headers import field_pairs
from ._request import Request
from ._response import NULL_BODY, Response
from ._stream import Produced, Stream
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
#: How much of a body is in memory at a time.
_PART = 64 * 1024


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


class _File(FileWrapper):
    """What an application returns to have a file sent: in parts that are worth their way."""

    def __init__(self, filelike: Any, blksize: int = _PART) -> None:
        super().__init__(filelike, max(blksize, _PART))


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
        "wsgi.input": io.BufferedReader(_Body(request), _PART),
        "wsgi.input_terminated": True,
        "wsgi.errors": _Errors(),
        "wsgi.file_wrapper": _File,
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

    def __init__(self, app: Application, environ: Environ) -> None:
        self._app = app
        self._environ = environ
        #: All that the application does for this request is done in one.
        self._context = contextvars.copy_context()
        self._status: int | None = None
        self._status_text = ""
        self._headers: list[tuple[str, str]] = []
        #: What `write()` writes to.
        self._stream: Stream | None = None
        loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[Response] = loop.create_future()
        # Not the handler's task, which goes on while the application writes.
        self._task = loop.create_task(self._run(), context=self._context)

    @property
    def _has_body(self) -> bool:
        return self._environ["REQUEST_METHOD"] != "HEAD" and self._status not in NULL_BODY

    async def _run(self) -> None:
        """Never fails: what the application raises is the handler's exception, or logged."""
        try:
            result = self._app(self._environ, self._start_response)
            close = getattr(result, "close", None)
            try:
                # The status may come as late as with the first part that is not empty.
                is_whole = isinstance(result, (list, tuple))
                chunks = iter(()) if is_whole else iter(result)
                first: bytes = b"".join(result) if is_whole else next((c for c in chunks if c), b"")
                if self._status is None:
                    raise RuntimeError("The WSGI application returned without calling start_response()")
                if self._stream is not None:
                    await self._write_on(first, chunks)
                elif not self._has_body:
                    self._answer(None)
                elif is_whole or str(len(first)) == dict(self._headers).get("content-length"):
                    self._answer(first)
                else:
                    self._answer(Produced(_parts(first, chunks, close), self._context))
                    close = None
            finally:
                if close is not None:
                    close()
        except BaseException as error:
            self._failed(error)

    async def _write_on(self, first: bytes, chunks: Iterator[bytes]) -> None:
        """Sends what the application gives after what it has written."""
        for part in itertools.chain((first,), chunks):
            if part and self._has_body:
                await self._stream.write(part)  # type: ignore[union-attr]
        self._stream.end()  # type: ignore[union-attr]

    def _answer(self, body: bytes | Stream | None) -> None:
        response = Response._made(self._status or 200, self._headers, body)
        response._status_text = self._status_text
        self.answered.set_result(response)

    def _failed(self, error: BaseException) -> None:
        if not self.answered.done():
            return self.answered.set_exception(error)
        gone = self._stream.gone if self._stream is not None else None
        if not (isinstance(error, OSError) and gone is not None and gone.done()):
            _runtime.report(error, "the WSGI application")
        if self._stream is not None:
            self._stream.end(reason=f"{type(error).__name__}: {error}")

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info is not None:
            if self.answered.done():
                raise exc_info[1].with_traceback(exc_info[2])
        elif self._status is not None:
            raise AssertionError("start_response() was called twice without exc_info")
        code, _, text = status.partition(" ")
        self._status = int(code)
        try:
            usual = HTTPStatus(self._status).phrase
        except ValueError:
            usual = ""
        self._status_text = text if text != usual else ""
        self._headers = field_pairs((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
        return self._write

    def _write(self, data: bytes) -> None:
        """Sends a part at once, and returns when there is room for more."""
        if self._stream is None:
            # The handler goes on with this while the application is held up here.
            self._stream = Stream()
            self._answer(self._stream if self._has_body else None)
        if data and self._has_body:
            run_sync(self._stream.write(data))


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
    return await _Call(app, _environ(request, env, ctx, options or _DEFAULT)).answered


def entrypoint(app: Application, *, options: Options | None = None) -> type[WorkerEntrypoint]:
    """A class `Default` that has the application answer every request."""

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Request) -> Response:
            return await fetch(app, request, self.env, self.ctx, options=options)

    return Default
