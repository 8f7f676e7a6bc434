"""Response.

Most responses are a string or bytes, a status and a few headers. They stay Python objects all the way to the border;
their JavaScript twin is made only for those who ask for it.
"""

from __future__ import annotations

import json as json_module
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any, Protocol, overload

import js
from pyodide.ffi import JsProxy
from pyodide.http import FetchResponse

from ._body import Blob, ByteStream, FormData, construct, js_body, js_kind, plain_object, read_body
from ._context import Context
from ._headers import Headers, HeadersInit, sendable
from ._stream import Produced, Stream, js_stream

NULL_BODY = frozenset((101, 204, 205, 304))
REDIRECTS = frozenset((301, 302, 303, 307, 308))
TEXT = "text/plain;charset=UTF-8"
JSON = "application/json"


def _json_default(value: object) -> Any:
    if isinstance(value, JsProxy):
        return value.to_py()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _status(status: int | HTTPStatus | None, has_web_socket: bool) -> int:
    if status is None:
        return 101 if has_web_socket else 200
    number = int(status)
    if not 200 <= number <= 599 and not (number == 101 and has_web_socket):
        raise ValueError(f"A response's status is from 200 to 599: {number}")
    return number


def _encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Pairs of surrogates are characters; others are none.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


class _Maker(Protocol):
    def __call__(
        self, data: Any, status: int | HTTPStatus | None = None, status_text: str = "", headers: HeadersInit = None
    ) -> Response: ...


class _Reader(Protocol):
    async def __call__(self, **options: Any) -> Any: ...


class _JsonMethod:
    """`Response.json(data)` makes a response, `response.json()` reads one."""

    @overload
    def __get__(self, response: None, owner: type[Response]) -> _Maker: ...
    @overload
    def __get__(self, response: Response, owner: type[Response]) -> _Reader: ...
    def __get__(self, response: Response | None, owner: type[Response]) -> Any:
        return owner.from_json if response is None else response._read_json


#: What the body of a response is made of.
ResponseBody = (
    str | bytes | bytearray | memoryview | Blob | ByteStream | FormData | FetchResponse | AsyncIterable[Any] | Iterator[Any] | JsProxy | None
)


class Response(FetchResponse):
    """What a handler returns, and what `fetch` gives."""

    _js: Any
    _headers: Headers | None
    #: A body that is written while it is sent.
    _stream: Stream | None = None
    #: What the client's connection goes to instead of a body.
    _socket: Any = None
    #: The body is encoded as the headers say: a framework made it, and those encode by themselves.
    _is_encoded = False
    #: What cancels the fetch that it came of.
    _controller: Any = None
    abort_controller = None
    abort_signal = None
    js_request = None

    def __init__(
        self,
        body: ResponseBody = None,
        status: int | HTTPStatus | None = None,
        status_text: str = "",
        headers: HeadersInit = None,
        web_socket: Any = None,
    ) -> None:
        self._url = ""
        self._js = None
        self._body: bytes | None = None
        if isinstance(body, FetchResponse):
            body = body.js_response
        if isinstance(body, JsProxy) and js_kind(body) == "Response":
            if status is None and not status_text and headers is None and web_socket is None:
                self._adopt(body)
                return
            status = body.status if status is None else status
            headers = body.headers if headers is None else headers
            body = body.body
        self._status = _status(status, web_socket is not None)
        self._status_text = sendable(status_text, "status text") if status_text else ""
        self._headers = None if headers is None else Headers(headers)
        if body is None:
            pass
        elif self._status in NULL_BODY:
            raise TypeError(f"A response with status {self._status} has no body")
        elif isinstance(body, str):
            self._body = _encode(body)
            if "content-type" not in self._own_headers():
                self._own_headers()._headers.append(("content-type", TEXT))
            return
        elif isinstance(body, (bytes, bytearray, memoryview)):
            self._body = bytes(body)
            return
        elif isinstance(body, ByteStream):
            # The host has the bytes, and sends them itself if nobody has read from it.
            pass
        elif isinstance(body, (AsyncIterator, Iterator)) and not isinstance(body, JsProxy):
            self._stream = Produced(body)
            return
        elif isinstance(body, AsyncIterable) and not isinstance(body, JsProxy):
            self._stream = Produced(aiter(body))
            return
        if web_socket is not None or body is not None:
            self._make_js(js_body(body, "Response"), web_socket)

    @classmethod
    def _made(cls, status: int, headers: list[tuple[str, str]], body: bytes | Stream | None) -> Response:
        """From parts that have been checked."""
        response = cls.__new__(cls)
        response._url = ""
        response._js = None
        response._status = status
        response._status_text = ""
        response._headers = own = Headers()
        own._headers = headers
        response._body = None
        response._is_encoded = True
        if isinstance(body, Stream):
            response._stream = body
        elif status not in NULL_BODY:
            response._body = body
        return response

    def _adopt(self, js_response: Any) -> None:
        self._js = js_response
        self._headers = None

    def _own_headers(self) -> Headers:
        headers = self._headers
        if headers is None:
            if self._js is None:
                headers = Headers()
            else:
                headers = Headers(self._js.headers)
                headers._follow(self._js.headers)
            self._headers = headers
        return headers

    def _make_js(self, body: Any, web_socket: Any = None) -> Any:
        options: dict[str, Any] = {"status": self._status, "statusText": self._status_text}
        headers = self._headers
        if headers is not None:
            options["headers"] = [list(pair) for pair in headers.items()]
        if web_socket is not None:
            options["webSocket"] = web_socket
        if self._is_encoded:
            options["encodeBody"] = "manual"
        twin = self._js = construct(js.Response, body, plain_object(options))
        # The constructor may have added a content type; and Python's later changes go to both.
        self._headers = None
        self._body = None
        return twin

    @classmethod
    def _from_js(cls, js_response: Any, url: str = "") -> Response:
        response = cls.__new__(cls)
        response._url = url
        response._body = None
        response._adopt(js_response)
        return response

    @property
    def js_response(self) -> Any:
        """The JavaScript Response."""
        if self._js is None:
            old = self._headers
            if self._socket is not None:
                raise TypeError("The response that opens an application's WebSocket has no JavaScript twin: return it")
            body = js_stream(self._stream) if self._stream is not None else js_body(self._body, "Response")
            twin = self._make_js(body)
            if old is not None:
                # Whoever holds these headers goes on changing this response's.
                old._follow(twin.headers)
                self._headers = old
            return twin
        return self._js

    @property
    def js_object(self) -> Any:
        """The JavaScript Response."""
        return self.js_response

    @property
    def status(self) -> int:
        """The status code."""
        return self._status if self._js is None else int(self._js.status)

    @property
    def status_text(self) -> str:
        """The reason phrase, often empty."""
        return self._status_text if self._js is None else str(self._js.statusText)

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status <= 299

    @property
    def headers(self) -> Headers:
        """The headers; changing them changes the response."""
        return self._own_headers()

    @property
    def body(self) -> Any:
        """The body as a JavaScript ReadableStream, or None."""
        return self.js_response.body or None

    @property
    def url(self) -> str:
        """The URL that was fetched; empty for a response made here."""
        return self._url or (str(self._js.url) if self._js is not None else "")

    @property
    def redirected(self) -> bool:
        """Whether fetching it followed a redirect."""
        return self._js is not None and bool(self._js.redirected)

    @property
    def type(self) -> str:
        """As in JavaScript: "default" for a response made here."""
        return "default" if self._js is None else str(self._js.type)

    @property
    def body_used(self) -> bool:
        """Whether the body has been read."""
        return self._js is not None and bool(self._js.bodyUsed)

    def clone(self) -> Response:
        """A copy whose body can be read on its own."""
        if self.body_used:
            raise OSError("Body already used")
        return Response._from_js(self.js_response.clone(), self._url)

    def abort(self, reason: Any = None) -> None:
        """Gives up the fetch that it came of: nothing more of the body arrives."""
        if self._controller is None:
            raise ValueError("Only the response of a fetch that was given no signal can be aborted")
        self._controller.abort(*[] if reason is None else [reason])

    def replace_body(self, body: ResponseBody) -> Response:
        """A response with the same status and headers and another body."""
        return Response(body, self.status, self.status_text, self.headers)

    async def _read(self, method: str) -> Any:
        return await read_body(self.js_response, method)

    async def text(self) -> str:
        """The body decoded as UTF-8."""
        return str(await self._read("text"))

    async def buffer(self) -> Any:
        """The body as a JavaScript ArrayBuffer."""
        return await self._read("arrayBuffer")

    async def bytes(self) -> bytes:
        """The body."""
        return (await self._read("arrayBuffer")).to_bytes()  # type: ignore[no-any-return]

    async def blob(self) -> Blob:
        """The body as a Blob."""
        return Blob(await self._read("blob"))

    async def form_data(self) -> FormData:
        """The body as the fields of a form."""
        return FormData(await self._read("formData"))

    formData = form_data  # noqa: N815 - the platform's name

    async def _read_json(self, **options: Any) -> Any:
        return json_module.loads(await self.text(), **options)

    json = _JsonMethod()

    @staticmethod
    def from_json(
        data: Any,
        status: int | HTTPStatus | None = None,
        status_text: str = "",
        headers: HeadersInit = None,
    ) -> Response:
        """A response whose body is `data` as JSON."""
        text = json_module.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_json_default)
        own = Headers(headers)
        if "content-type" not in own:
            own._headers.append(("content-type", JSON))
        return Response(text, status, status_text, own)

    @staticmethod
    def redirect(url: str, status: int | HTTPStatus = 302) -> Response:
        """A response that sends the client elsewhere."""
        if status not in REDIRECTS:
            raise ValueError(f"Not a redirect's status: {int(status)}")
        # As a URL, it has no character that a header cannot carry.
        return Response(None, status, headers=[("location", construct(js.URL, url).href)])

    @staticmethod
    def error() -> Response:
        """The response of a failed fetch."""
        return Response._from_js(js.Response.error())

    def __repr__(self) -> str:
        return f"<Response {self.status}>"

    def _send(self, context: Context) -> None:
        """Answers the event."""
        if self._js is not None:
            context._respond_js(self._js)
            return
        headers: list[str] = []
        if self._headers is not None:
            for name, value in self._headers._headers:
                headers += (name.lower(), value)
        if self._socket is not None:
            self._socket.attach(context._upgrade(headers))
            return
        if self._is_encoded and self._headers is not None and "content-encoding" in self._headers:
            # Not a header: no header has such a name.
            headers += (":encode-body", "manual")
        if self._stream is None:
            context._respond(self._status, self._status_text, self._body, headers)
        elif context._respond(self._status, self._status_text, -1, headers):
            self._stream.attach(context)
