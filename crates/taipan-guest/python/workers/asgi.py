"""ASGI applications as Workers.

    from workers import asgi

    Default = asgi.entrypoint(app)

The application's lifespan begins before the first request of an isolate, and is over when the isolate is; isolates end without
notice, so `lifespan.shutdown` is not sent. It does not begin while module scope runs: what that opens would be part of the snapshot
that all isolates are made from.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from pyodide.ffi import JsException

from . import _context, _ops, _runtime
from ._entrypoints import WorkerEntrypoint
from ._headers import field_pairs
from ._request import Request
from ._response import NULL_BODY, Response
from ._stream import Stream
from .gateway import BaseOptions

__all__ = ["Options", "entrypoint", "env", "fetch", "websocket"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

_SPEC = {"version": "3.0", "spec_version": "2.5"}
_EXTENSIONS = {"http.response.trailers": {}, "http.response.pathsend": {}}
#: How much of a file is in memory at a time.
_PART = 256 * 1024
_SOCKET_EXTENSIONS = {"websocket.http.response": {}}
#: How many bytes may wait for a WebSocket's client before the application does.
_HIGH_WATER = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(BaseOptions):
    """What an application is told, and how its responses are sent."""

    #: The path at which the application is mounted.
    root_path: str = ""
    #: "auto": an application that does not know of a lifespan has none.
    lifespan: Literal["auto", "on", "off"] = "auto"


_DEFAULT = Options()


def __getattr__(name: str) -> Any:
    if name != "env":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # For FastAPI: `env: Annotated[Any, asgi.env]`.
    from fastapi import Depends, Request as FastAPIRequest  # type: ignore[import-not-found]

    async def env(request: FastAPIRequest) -> Any:  # type: ignore[no-any-unimported]
        return request.scope["env"]

    # FastAPI looks at the types, which are strings in this file.
    env.__annotations__ = {"request": FastAPIRequest}
    globals()["env"] = Depends(env)
    return globals()["env"]


class _Lifespan:
    """The application's life in this isolate."""

    def __init__(self, app: Application, options: Options) -> None:
        self._app = app
        self._is_required = options.lifespan == "on"
        self._is_asked = False
        self._failure: str | None = None
        self.state: dict[str, Any] = {}
        self._started = asyncio.get_running_loop().create_future()
        # Of no request.
        self._task = contextvars.Context().run(asyncio.ensure_future, self._run())

    async def started(self) -> None:
        await asyncio.shield(self._started)

    async def _receive(self) -> Message:
        if not self._is_asked:
            self._is_asked = True
            return {"type": "lifespan.startup"}
        # For ever.
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._settle(None)
        elif kind == "lifespan.startup.failed":
            self._failure = str(message.get("message", ""))

    def _settle(self, error: BaseException | None) -> None:
        if self._started.done():
            return
        if error is None:
            self._started.set_result(None)
        else:
            self._started.set_exception(error)
            # Those who wait for it have it.
            self._started.exception()

    async def _run(self) -> None:
        try:
            await self._app({"type": "lifespan", "asgi": _SPEC, "state": self.state}, self._receive, self._send)
        except BaseException as error:
            if self._started.done():
                _runtime.report(error, "the ASGI application's lifespan")
            elif self._failure is None and not self._is_required:
                # It does not know of lifespans.
                self._settle(None)
            else:
                self._settle(error)
            return
        if self._failure is None:
            self._settle(None)
        else:
            message = "The ASGI application's lifespan did not start"
            self._settle(RuntimeError(f"{message}: {self._failure}" if self._failure else message))


_lifespans: dict[int, _Lifespan] = {}
_NO_STATE: dict[str, Any] = {}


async def _state(app: Application, options: Options) -> dict[str, Any]:
    """What the application's lifespan has left for its requests."""
    if options.lifespan == "off":
        return _NO_STATE
    lifespan = _lifespans.get(id(app))
    if lifespan is None:
        # It holds the application, whose number stays its own.
        lifespan = _lifespans[id(app)] = _Lifespan(app, options)
    if not lifespan._started.done() or lifespan._started.exception() is not None:
        try:
            await lifespan.started()
        except BaseException:
            # The next request tries again.
            if lifespan._started.done() and _lifespans.get(id(app)) is lifespan:
                del _lifespans[id(app)]
            raise
    return lifespan.state


def _scope(kind: str, request: Request, env: Any, state: dict[str, Any], options: Options) -> Scope:
    scheme, _, rest = request.url.partition("://")
    slash = rest.find("/")
    target, _, query = rest[slash:].partition("?") if slash >= 0 else ("/", "", "")
    raw = target.encode()
    version, client, server = request._connection()
    if "%" in target:
        target = unquote_to_bytes(raw).decode("utf-8", "replace")
    if options.root_path and not target.startswith(options.root_path):
        target = options.root_path + target
    scope: Scope = {
        "type": kind,
        "asgi": _SPEC,
        "http_version": version,
        "scheme": scheme,
        "path": target,
        "raw_path": raw,
        "query_string": query.encode(),
        "root_path": options.root_path,
        "headers": request._raw_headers(),
        "client": client,
        "server": server,
        "state": state.copy(),
        "env": env,
    }
    return scope


class _Exchange:
    """A request and its response, as an application sees them."""

    def __init__(self, app: Application, request: Request, method: str) -> None:
        self._app = app
        self._request = request
        self._has_body = method != "HEAD"
        self._is_read = False
        self._is_over = False
        self._over: asyncio.Future[None] | None = None
        self._status: int | None = None
        self._headers: list[tuple[str, str]] = []
        self._expects_trailers = False
        self._trailers: list[tuple[str, str]] = []
        self._stream: Stream | None = None
        self._response: Response | BaseException | None = None
        self._answered: asyncio.Future[None] | None = None
        self._watch: asyncio.Future[None] | None = None

    # ---- towards the handler

    async def run(self, scope: Scope) -> None:
        """Never fails: what the application raises is the handler's exception, or logged."""
        try:
            await self._app(scope, self.receive, self.send)
        except BaseException as error:
            self._failed(error)
        else:
            if not self._is_over:
                what = "completing its response" if self._status is not None else "a response"
                self._failed(RuntimeError(f"The ASGI application returned without {what}"))

    def _failed(self, error: BaseException) -> None:
        if self._response is None:
            self._answer(error)
        elif isinstance(error, (OSError, asyncio.CancelledError)) and self._is_gone():
            pass
        else:
            _runtime.report(error, "the ASGI application")
        if self._stream is not None:
            self._stream.end(reason=f"{type(error).__name__}: {error}")
        self._finish()

    def _is_gone(self) -> bool:
        gone = self._stream.gone if self._stream is not None else self._watch
        return gone is not None and gone.done()

    def _answer(self, response: Response | BaseException) -> None:
        self._response = response
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    async def response(self) -> Response:
        if self._response is None:
            loop = asyncio.get_running_loop()
            self._answered = loop.create_future()
            if self._status is not None:
                # A body that follows at once goes with the head. The client waits for nothing else.
                loop.call_soon(self._begin)
            await self._answered
        if isinstance(self._response, BaseException):
            raise self._response
        return self._response  # type: ignore[return-value]

    # ---- towards the application

    async def receive(self) -> Message:
        if not self._is_read and not self._is_over:
            try:
                chunk = await self._request._next_chunk()
            except (JsException, OSError, TypeError):
                self._is_read = True
                return {"type": "http.disconnect"}
            if chunk is not None:
                return {"type": "http.request", "body": chunk, "more_body": True}
            self._is_read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if not self._is_over:
            if self._over is None:
                self._over = asyncio.get_running_loop().create_future()
                self._watch = asyncio.ensure_future(self._request._gone())
                self._watch.add_done_callback(lambda _: self._finish())
            await asyncio.shield(self._over)
        return {"type": "http.disconnect"}

    def _finish(self) -> None:
        """There is nothing more to receive but the end."""
        self._is_over = True
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            if self._status is not None:
                raise RuntimeError("http.response.start was sent twice")
            self._status = int(message["status"])
            self._headers = field_pairs(message.get("headers", ()))
            self._expects_trailers = bool(message.get("trailers", False))
            if self._status in NULL_BODY:
                self._has_body = False
            # As long as nobody waits, the application is in its first step, and `response` is next.
            if self._answered is not None:
                asyncio.get_running_loop().call_soon(self._begin)
        elif kind == "http.response.body":
            if self._status is None:
                raise RuntimeError("http.response.body was sent before http.response.start")
            await self._send_body(message.get("body", b""), bool(message.get("more_body", False)))
        elif kind == "http.response.pathsend":
            await self._send_file(message["path"])
        elif kind == "http.response.trailers":
            self._trailers += field_pairs(message.get("headers", ()))
            if not message.get("more_trailers", False):
                self._end()
        else:
            raise RuntimeError(f"Not a message of an HTTP response: {kind}")

    async def _send_body(self, body: bytes, more: bool) -> None:
        if self._is_over:
            if self._is_gone():
                raise ConnectionResetError("The client has disconnected")
            if self._response is not None and not isinstance(self._response, BaseException) and self._stream is None:
                raise RuntimeError("http.response.body was sent after the end of the response")
        if self._response is None:
            if not more and not self._expects_trailers:
                self._answer(Response._made(self._status or 200, self._headers, bytes(body) if self._has_body else None))
                return self._finish()
            self._begin()
        if self._stream is not None and body:
            await self._stream.write(body)
        if not more and not self._expects_trailers:
            self._end()

    async def _send_file(self, path: str) -> None:
        if self._status is None:
            raise RuntimeError("http.response.pathsend was sent before http.response.start")
        with open(path, "rb") as file:
            while self._has_body and (part := file.read(_PART)):
                await self._send_body(part, True)
        await self._send_body(b"", False)

    def _begin(self) -> None:
        """The body will come in parts."""
        if self._response is not None:
            return
        if not self._has_body:
            return self._answer(Response._made(self._status or 200, self._headers, None))
        self._stream = Stream()
        self._answer(Response._made(self._status or 200, self._headers, self._stream))

    def _end(self) -> None:
        self._begin()
        if self._stream is not None:
            self._stream.end(self._trailers)
        self._finish()


async def fetch(
    app: Application, request: Any, env: Any = None, ctx: Any = None, *, options: Options | None = None
) -> Response:
    """Has the application answer a request.

    What the application does after its response, such as background tasks, is waited for as `ctx.wait_until` does.
    """
    options = options or _DEFAULT
    if not isinstance(request, Request):
        request = Request(request)
    state = await _state(app, options)
    scope = _scope("http", request, env, state, options)
    scope["method"] = method = str(request._method_name())
    scope["extensions"] = _EXTENSIONS
    exchange = _Exchange(app, request, method)
    task = asyncio.Task(exchange.run(scope), loop=asyncio.get_running_loop(), eager_start=True)
    try:
        response = await exchange.response()
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not task.done():
        keep = getattr(ctx, "wait_until", None) or getattr(ctx, "waitUntil", None) or _context.wait_until
        keep(task)
    return response


class _Socket:
    """A WebSocket, as an application sees it."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._has_connected = False
        self._number: int | None = None
        self._opened: asyncio.Future[None] | None = None
        self._is_accepted = False
        self._is_closed = False
        self._denial: tuple[int, list[tuple[str, str]]] | None = None
        self._stream: Stream | None = None
        self._answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    async def response(self) -> Response:
        return await self._answered

    async def run(self, scope: Scope) -> None:
        """Never fails."""
        try:
            await self._app(scope, self.receive, self.send)
        except BaseException as error:
            if not self._answered.done():
                self._answered.set_exception(error)
                return
            if not (self._is_closed and isinstance(error, OSError)):
                _runtime.report(error, "the ASGI application")
            if self._stream is not None:
                self._stream.end(reason=f"{type(error).__name__}: {error}")
            await self._close(1011, "")
        else:
            if not self._answered.done():
                self._refuse(403, [], None)
            await self._close(1000, "")

    def _refuse(self, status: int, headers: list[tuple[str, str]], body: bytes | Stream | None) -> None:
        self._is_closed = True
        self._answered.set_result(Response._made(status, headers, body))

    def attach(self, number: int | None) -> None:
        """The response that opens the socket is on its way."""
        self._number = number
        if self._number is None:
            self._is_closed = True
        if self._opened is not None:
            self._opened.set_result(None)

    async def _open(self) -> int | None:
        if self._number is None and not self._is_closed:
            if self._opened is None:
                self._opened = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._opened)
        return self._number

    async def _close(self, code: int, reason: str) -> None:
        if self._is_accepted and not self._is_closed:
            number = await self._open()
            self._is_closed = True
            if number is not None:
                # As much of it as a close frame holds.
                text = reason.encode()[:123].decode(errors="ignore")
                _ops.close_socket(number, code, text)

    async def receive(self) -> Message:
        if not self._has_connected:
            self._has_connected = True
            return {"type": "websocket.connect"}
        if not self._is_accepted and not self._is_closed:
            # There is nothing to receive before the application has answered.
            await asyncio.shield(self._answered)
        number = await self._open()
        if number is None:
            return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        try:
            arrived = _ops.receive(number)
            if type(arrived) is not tuple:
                arrived = await arrived
        except (OSError, TypeError):
            return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        first = arrived[0]
        if isinstance(first, str):
            return {"type": "websocket.receive", "text": first}
        if isinstance(first, bytes):
            return {"type": "websocket.receive", "bytes": first}
        self._is_closed = True
        return {"type": "websocket.disconnect", "code": first, "reason": arrived[1]}

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.send":
            await self._send(message)
        elif kind == "websocket.accept":
            if self._answered.done():
                raise RuntimeError("The WebSocket has been answered already")
            headers = field_pairs(message.get("headers") or ())
            if protocol := message.get("subprotocol"):
                headers.append(("sec-websocket-protocol", protocol))
            self._is_accepted = True
            response = Response._made(101, headers, None)
            response._socket = self
            self._answered.set_result(response)
        elif kind == "websocket.close":
            if self._answered.done():
                await self._close(int(message.get("code") or 1000), message.get("reason") or "")
            else:
                self._refuse(403, [], None)
        elif kind == "websocket.http.response.start":
            self._denial = (int(message["status"]), field_pairs(message.get("headers", ())))
        elif kind == "websocket.http.response.body":
            if self._denial is None:
                raise RuntimeError("websocket.http.response.body was sent before websocket.http.response.start")
            body, more = message.get("body", b""), message.get("more_body", False)
            if self._stream is None and not more:
                return self._refuse(*self._denial, bytes(body))
            if self._stream is None:
                self._stream = Stream()
                self._refuse(*self._denial, self._stream)
            if body:
                await self._stream.write(body)
            if not more:
                self._stream.end()
        else:
            raise RuntimeError(f"Not a message of a WebSocket: {kind}")

    async def _send(self, message: Message) -> None:
        if not self._is_accepted:
            raise RuntimeError("websocket.send was sent before websocket.accept")
        number = await self._open()
        data = message.get("text")
        if data is None:
            data = message["bytes"]
        waiting = () if number is None or self._is_closed else _ops.send(number, data)
        if not waiting:
            self._is_closed = True
            raise ConnectionResetError("The WebSocket is closed")
        if waiting[0] > _HIGH_WATER and isinstance(room := _ops.drained(number), asyncio.Future):
            await room


async def websocket(app: Application, request: Any, env: Any = None, *, options: Options | None = None) -> Response:
    """Has the application answer a request for a WebSocket."""
    options = options or _DEFAULT
    if not isinstance(request, Request):
        request = Request(request)
    state = await _state(app, options)
    scope = _scope("websocket", request, env, state, options)
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    offered = request.headers.get("sec-websocket-protocol") or ""
    scope["subprotocols"] = [name for part in offered.split(",") if (name := part.strip())]
    scope["extensions"] = _SOCKET_EXTENSIONS
    socket = _Socket(app)
    task = asyncio.ensure_future(socket.run(scope))
    _sockets.add(task)
    task.add_done_callback(_sockets.discard)
    return await socket.response()


#: Tasks of open WebSockets, which nobody else holds.
_sockets: set[asyncio.Task[None]] = set()


def entrypoint(app: Application, *, options: Options | None = None) -> type[WorkerEntrypoint]:
    """A class `Default` that has the application answer every request."""

    # It would be imported in the middle of the first request that needs a thread; so it is part of the snapshot.
    if "anyio" in sys.modules:
        importlib.import_module("anyio._backends._asyncio")

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Request) -> Response:
            if request._is_upgrade():
                return await websocket(app, request, self.env, options=options)
            return await fetch(app, request, self.env, self.ctx, options=options)

    return Default
