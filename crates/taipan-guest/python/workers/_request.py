"""Request.

An incoming request is a number, a method and a URL until somebody asks for more; its JavaScript twin is made when the
body or one of the rarer properties is wanted.
"""

from __future__ import annotations

import asyncio
import json as json_module
from http import HTTPMethod
from typing import Any
from urllib.parse import urlsplit

import js
from pyodide.ffi import JsException, JsProxy

from . import _runtime
from ._body import Blob, FormData, construct, js_body, js_kind, plain_object, python_exception, read_body
from ._env import JsDict
from ._headers import Headers
from ._runtime import jsnull

_METHODS = {method.value: method for method in HTTPMethod}


class Request:
    """A request that came in, or one to be made."""

    __slots__ = ("_cf", "_event", "_headers", "_js", "_method", "_reader", "_url", "_was_read")

    def __init__(self, input: Request | str | Any, **options: Any) -> None:
        self._event = -1
        self._cf: Any = None
        self._headers: Headers | None = None
        self._method = ""
        self._url = ""
        self._was_read = False
        self._reader: Any = None
        if isinstance(input, Request):
            input = input.js_object
        if isinstance(input, JsProxy) and js_kind(input) == "Request" and not options:
            self._js: Any = input
        else:
            self._js = construct(js.Request, input, request_options(options))

    @classmethod
    def _incoming(cls, event: int, method: str, url: str) -> Request:
        request = cls.__new__(cls)
        request._event = event
        request._method = method
        request._url = url
        request._headers = request._js = request._cf = request._reader = None
        request._was_read = False
        return request

    @property
    def js_object(self) -> Any:
        """The JavaScript Request."""
        if self._js is None:
            request = _runtime.bridge.request(self._event)
            if request is None:
                raise _over()
            self._js = request
        return self._js

    @property
    def method(self) -> HTTPMethod:
        """The method."""
        name = self._method or str(self._js.method)
        # A method that the standard library does not know is still a string.
        return _METHODS.get(name) or name  # type: ignore[return-value]

    @property
    def url(self) -> str:
        """The absolute URL."""
        return self._url or str(self._js.url)

    @property
    def headers(self) -> Headers:
        """The headers. They are a copy: changes stay in Python."""
        if self._headers is None:
            if self._js is None:
                flat = _runtime.bridge.headers(self._event)
                if flat is None:
                    raise _over()
                self._headers = Headers._trusted(flat.split("\n") if flat else [])
            else:
                self._headers = Headers(self._js.headers)
        return self._headers

    def _method_name(self) -> str:
        return self._method or str(self._js.method)

    def _connection(self) -> tuple[str, tuple[str, int] | None, tuple[str, int | None] | None]:
        """HTTP's version, and the client's and the server's address and port."""
        text = _runtime.bridge.connection(self._event) if self._event >= 0 else None
        if text is None:
            host = urlsplit(self.url)
            return "1.1", None, (host.hostname or "", host.port or (443 if host.scheme == "https" else 80))
        version, client, client_port, server, server_port = text.split(" ")
        return version, (client, int(client_port)), (server, int(server_port))

    def _raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Names and values as they came, repeated names repeatedly."""
        if self._js is None and self._headers is None:
            flat = _runtime.bridge.headers(self._event)
            if flat is None:
                raise _over()
            fields = flat.encode().split(b"\n") if flat else []
            return list(zip(fields[::2], fields[1::2], strict=True))
        return [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]

    def _length(self) -> int | None:
        """Of the body: None when there is none, -1 when it is not known."""
        if self._event >= 0:
            length = _runtime.bridge.length(self._event)
            return None if length is None else int(length)
        return -1 if self._js.body else None

    async def _next_chunk(self) -> bytes | None:
        """The next part of the body; None at its end."""
        if self._js is None and self._reader is None:
            self._was_read = True
            reading = _runtime.bridge.chunk(self._event)
            if reading is None:
                raise _over()
            chunk = await reading
            return None if chunk is None else chunk.to_bytes()  # type: ignore[no-any-return]
        if self._reader is None:
            body = self.body
            if body is None:
                return None
            self._reader = body.getReader()
        step = await self._reader.read()
        return None if step.done else step.value.to_bytes()  # type: ignore[no-any-return]

    async def _gone(self) -> None:
        """Returns once the client is gone or the request is over."""
        if self._event < 0:
            await asyncio.get_running_loop().create_future()
        await _runtime.bridge.gone(self._event)

    @property
    def cf(self) -> Any:
        """What the runtime knows of the client's connection, or None."""
        if self._cf is None:
            if self._js is None:
                text = _runtime.bridge.cf(self._event)
                self._cf = json_module.loads(text, object_hook=JsDict) if text else None
            else:
                value = self._js.cf
                self._cf = value.to_py() if isinstance(value, JsProxy) else None
        return self._cf

    @property
    def body(self) -> Any:
        """The body as a JavaScript ReadableStream, or None."""
        return self.js_object.body or None

    @property
    def body_used(self) -> bool:
        """Whether the body has been read."""
        return (self._js is not None or self._was_read) and bool(self.js_object.bodyUsed)

    @property
    def signal(self) -> Any:
        """The JavaScript AbortSignal that fires when the client goes away."""
        return self.js_object.signal

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
        if self._js is not None:
            return await read_body(self._js, method)
        # Without a proxy of the request.
        self._was_read = True
        reading = _runtime.bridge.read(self._event, method)
        if reading is None:
            raise _over()
        if reading is False:
            raise OSError("Body already used")
        try:
            return await reading
        except JsException as error:
            raise python_exception(error) from None

    async def text(self) -> str:
        """The body decoded as UTF-8."""
        return str(await self._read("text"))

    async def buffer(self) -> Any:
        """The body as a JavaScript ArrayBuffer."""
        return await self._read("arrayBuffer")

    async def bytes(self) -> bytes:
        """The body."""
        return (await self._read("arrayBuffer")).to_bytes()  # type: ignore[no-any-return]

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


def request_options(options: dict[str, Any]) -> Any:
    """FetchKwargs as JavaScript takes them."""
    given = dict(options)
    if "headers" in given:
        given["headers"] = [list(pair) for pair in Headers(given["headers"]).items()]
    if "body" in given:
        body = js_body(given["body"], "Request")
        given["body"] = None if body is jsnull else body
        if isinstance(body, JsProxy) and js_kind(body) == "ReadableStream":
            given["duplex"] = "half"
    if "method" in given:
        given["method"] = str(getattr(given["method"], "value", given["method"]))
    return plain_object({name: value for name, value in given.items() if value is not None and name != "fetcher"})
