"""Request.

An incoming request is a number, a method and a URL until somebody asks for more; its JavaScript twin is made when the
body or one of the rarer properties is wanted.
"""

from __future__ import annotations

import json as json_module
from http import HTTPMethod
from typing import Any

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

    __slots__ = ("_cf", "_event", "_headers", "_js", "_method", "_url", "_was_read")

    def __init__(self, input: Request | str | Any, **options: Any) -> None:
        self._event = -1
        self._cf: Any = None
        self._headers: Headers | None = None
        self._method = ""
        self._url = ""
        self._was_read = False
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
        request._headers = request._js = request._cf = None
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
