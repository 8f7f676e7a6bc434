"""Request.

An incoming request is what the host said of it; its body is read from the host. A JavaScript twin is made when somebody asks for one, or
for what only that has.
"""

from __future__ import annotations

import asyncio
import json as json_module
import warnings
from collections.abc import Mapping
from http import HTTPMethod
from typing import Any, TypedDict, Unpack
from urllib.parse import urlsplit

import js
from pyodide.ffi import JsProxy

from . import _ops
from ._body import Blob, FormData, construct, js_body, js_kind, plain_object, read_body
from ._context import Context, events
from ._env import JsDict
from ._headers import Headers, HeadersInit
from ._runtime import jsnull
from ._signal import AbortSignal

#: A byte order mark, which is no part of a text.
_MARK = b"\xef\xbb\xbf"

_METHODS = {method.value: method for method in HTTPMethod}


#: What a request's `cf` may say.
RequestInitCfProperties = Mapping[str, Any]


class FetchKwargs(TypedDict, total=False):
    """The options of `fetch` and of `Request`."""

    headers: HeadersInit
    body: Any
    method: str
    redirect: str
    cf: RequestInitCfProperties
    #: What is asked in the network's place.
    fetcher: Any
    #: An `AbortSignal`.
    signal: Any
    cache: str
    credentials: str
    integrity: str
    keepalive: bool
    mode: str
    referrer: str
    referrerPolicy: str


#: What has an effect, these that are JavaScript's alone among them.
_OPTIONS = FetchKwargs.__optional_keys__ | {"duplex", "encodeResponseBody", "priority", "window"}
#: Options of other libraries, and what is done here instead.
_HINTS = {
    "data": "it is called body",
    "json": "send body=json.dumps(value)",
    "params": "put the query into the URL",
    "timeout": "use asyncio.timeout(seconds)",
}


class Request:
    """A request that came in, or one to be made."""

    __slots__ = ("_cf", "_context", "_headers", "_js", "_reader")

    def __init__(self, input: Request | str | JsProxy, **options: Unpack[FetchKwargs]) -> None:
        self._context: Context | None = None
        self._cf: JsDict | None = None
        self._headers: Headers | None = None
        self._reader: Any = None
        if isinstance(input, Request):
            input = input.js_object
        if isinstance(input, JsProxy) and js_kind(input) == "Request" and not options:
            self._js: Any = input
        else:
            self._js = construct(js.Request, input, request_options(options))

    @classmethod
    def _incoming(cls, context: Context) -> Request:
        request = cls.__new__(cls)
        request._context = context
        request._headers = request._js = request._cf = request._reader = None
        return request

    @property
    def js_object(self) -> Any:
        """The JavaScript Request."""
        if self._js is None:
            request = self._context._js_request()  # type: ignore[union-attr]
            if request is None:
                raise _over()
            self._js = request
        return self._js

    @property
    def method(self) -> HTTPMethod:
        """The method."""
        name = self._method_name()
        # A method that the standard library does not know is still a string.
        return _METHODS.get(name) or name  # type: ignore[return-value]

    @property
    def url(self) -> str:
        """The absolute URL."""
        return self._context._fields[1] if self._context is not None else str(self._js.url)

    @property
    def headers(self) -> Headers:
        """The headers. They are a copy: changes stay in Python."""
        if self._headers is None:
            if self._context is not None:
                self._headers = Headers._trusted(list(self._context._fields[5:]))
            else:
                self._headers = Headers(self._js.headers)
        return self._headers

    def _method_name(self) -> str:
        return self._context._fields[0] if self._context is not None else str(self._js.method)

    def _connection(self) -> tuple[str, tuple[str, int] | None, tuple[str, int | None] | None]:
        """HTTP's version, and the client's and the server's address and port."""
        text = self._context._fields[4] if self._context is not None else None
        if text is None:
            host = urlsplit(self.url)
            return "1.1", None, (host.hostname or "", host.port or (443 if host.scheme == "https" else 80))
        version, client, client_port, server, server_port = text.split(" ")
        return version, (client, int(client_port)), (server, int(server_port))

    def _raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Names and values as they came, repeated names repeatedly."""
        if self._context is not None and self._headers is None:
            fields = [field.encode() for field in self._context._fields[5:]]
            return list(zip(fields[::2], fields[1::2], strict=True))
        return [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]

    def _is_upgrade(self) -> bool:
        """Whether the client wants a WebSocket."""
        if self._context is not None and "upgrade" not in self._context._fields[5::2]:
            return False
        return (self.headers.get("upgrade") or "").lower() == "websocket"

    def _length(self) -> int | None:
        """Of the body: None when there is none, -1 when it is not known."""
        if self._context is not None:
            return self._context._fields[2]  # type: ignore[no-any-return]
        return -1 if self._js.body else None

    async def _next_chunk(self) -> bytes | None:
        """The next part of the body; None at its end."""
        context = self._context
        if context is not None and self._reader is None and not context._has_twin:
            if context._fields[2] is None:
                return None
            context._was_read = True
            answer = _ops.read(context._id)
            if type(answer) is not tuple:
                answer = await answer
            return answer[0] if answer else None
        if self._reader is None:
            body = self.body
            if body is None:
                return None
            self._reader = body.getReader()
        step = await self._reader.read()
        return None if step.done else step.value.to_bytes()  # type: ignore[no-any-return]

    async def _gone(self) -> None:
        """Returns once the client is gone or the request is over."""
        if self._context is None:
            await asyncio.get_running_loop().create_future()
        elif isinstance(waiting := _ops.gone(self._context._id), asyncio.Future):
            await waiting

    @property
    def cf(self) -> JsDict | None:
        """What the runtime knows of the client's connection, or None."""
        if self._cf is None:
            if self._context is not None:
                text = self._context._fields[3]
                self._cf = json_module.loads(text, object_hook=JsDict) if text else None
            else:
                value = self._js.cf
                if isinstance(value, JsProxy):
                    self._cf = json_module.loads(js.JSON.stringify(value), object_hook=JsDict)
        return self._cf

    @property
    def body(self) -> Any:
        """The body as a JavaScript ReadableStream, or None."""
        return self.js_object.body or None

    @property
    def body_used(self) -> bool:
        """Whether the body has been read."""
        if self._context is not None and not self._context._has_twin:
            return self._context._was_read
        return bool(self.js_object.bodyUsed)

    @property
    def signal(self) -> AbortSignal:
        """Says whether the client has gone away."""
        return AbortSignal(self.js_object.signal)

    @property
    def cache(self) -> str:
        """As in JavaScript."""
        return str(self.js_object.cache)

    @property
    def credentials(self) -> str:
        """As in JavaScript."""
        return str(self.js_object.credentials)

    @property
    def destination(self) -> str:
        """As in JavaScript."""
        return str(self.js_object.destination)

    @property
    def integrity(self) -> str:
        """As in JavaScript."""
        return str(self.js_object.integrity)

    @property
    def is_history_navigation(self) -> bool:
        """As in JavaScript."""
        return bool(self.js_object.isHistoryNavigation)

    @property
    def keepalive(self) -> bool:
        """As in JavaScript."""
        return bool(self.js_object.keepalive)

    @property
    def mode(self) -> str:
        """As in JavaScript."""
        return str(self.js_object.mode)

    @property
    def redirect(self) -> str:
        """As in JavaScript."""
        return str(self.js_object.redirect)

    @property
    def referrer(self) -> str:
        """As in JavaScript."""
        return str(self.js_object.referrer)

    @property
    def referrer_policy(self) -> str:
        """As in JavaScript."""
        return str(self.js_object.referrerPolicy)

    def clone(self) -> Request:
        """A copy whose body can be read on its own."""
        if self.body_used:
            raise OSError("Body already used")
        return Request(self.js_object.clone())

    async def _read(self, method: str) -> Any:
        return await read_body(self.js_object, method)

    async def _read_bytes(self) -> bytes:
        context = self._context
        if context is None or context._has_twin:
            return (await self._read("arrayBuffer")).to_bytes()  # type: ignore[no-any-return]
        if context._was_read:
            raise OSError("Body already used")
        if events.get(context._id) is not context:
            raise _over()
        chunks = []
        while (chunk := await self._next_chunk()) is not None:
            chunks.append(chunk)
        context._was_read = True
        return b"".join(chunks)

    async def text(self) -> str:
        """The body decoded as UTF-8."""
        return (await self._read_bytes()).removeprefix(_MARK).decode("utf-8", "replace")

    async def buffer(self) -> Any:
        """The body as a JavaScript ArrayBuffer."""
        return await self._read("arrayBuffer")

    async def bytes(self) -> bytes:
        """The body."""
        return await self._read_bytes()

    async def json(self, **options: Any) -> Any:
        """The body parsed as JSON; options go to `json.loads`."""
        return json_module.loads(await self.text(), **options)

    async def blob(self) -> Blob:
        """The body as a Blob."""
        return Blob(await self._read("blob"))

    async def form_data(self) -> FormData:
        """The body as the fields of a form."""
        return FormData(await self._read("formData"))

    formData = form_data  # noqa: N815 - the platform's name

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url}>"


def _over() -> RuntimeError:
    return RuntimeError("The request is over: read what you need of it before its response is sent")


def request_options(options: Mapping[str, Any]) -> Any:
    """FetchKwargs as JavaScript takes them."""
    given = dict(options)
    for name in given.keys() - _OPTIONS:
        hint = f": {_HINTS[name]}" if name in _HINTS else ""
        warnings.warn(f"fetch() has no option {name!r}, which is without effect{hint}", RuntimeWarning, stacklevel=3)
    if "headers" in given:
        given["headers"] = [list(pair) for pair in Headers(given["headers"]).items()]
    if "body" in given:
        body = js_body(given["body"], "Request")
        given["body"] = None if body is jsnull else body
        if isinstance(body, JsProxy) and js_kind(body) == "ReadableStream":
            given["duplex"] = "half"
    if isinstance(signal := given.get("signal"), AbortSignal):
        given["signal"] = signal.js_object
    if "method" in given:
        given["method"] = str(getattr(given["method"], "value", given["method"]))
    return plain_object({name: value for name, value in given.items() if value is not None and name != "fetcher"})
