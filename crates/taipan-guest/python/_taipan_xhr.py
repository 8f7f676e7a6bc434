"""What `pyodide.http` has of a browser's `XMLHttpRequest`: a request that blocks, by `fetch` and `run_sync`.

It is given to that module alone: a global of this name would make libraries believe that they are in a page.
"""

from __future__ import annotations

from typing import Any

import js
from pyodide import http
from pyodide.ffi import JsException, run_sync, to_js


class XMLHttpRequest:
    """As much of it as a blocking request has."""

    @classmethod
    def new(cls) -> XMLHttpRequest:
        return cls()

    def __init__(self) -> None:
        self.status = 0
        self.statusText = self.responseText = self.responseURL = ""
        self._headers = js.Headers.new()
        self._response: Any = None
        self._method = self._url = ""

    @property
    def response(self) -> str:
        return self.responseText

    def open(self, method: str, url: str, is_async: bool = True, user: str | None = None, password: str | None = None) -> None:
        if is_async:
            raise NotImplementedError("an XMLHttpRequest is only for requests that block; use fetch for others")
        self._method, self._url = method, url

    def setRequestHeader(self, name: str, value: str) -> None:
        self._headers.append(name, value)

    def send(self, body: Any = None) -> None:
        options = {"method": self._method, "headers": self._headers}
        if body is not None and self._method not in ("GET", "HEAD"):
            options["body"] = to_js(body)
        try:
            response = run_sync(js.fetch(self._url, to_js(options, dict_converter=js.Object.fromEntries)))
            self.responseText = run_sync(response.text())
        except JsException as error:
            raise js.DOMException.new(error.message, "NetworkError") from error
        self.status, self.statusText, self.responseURL = response.status, response.statusText, response.url
        self._response = response

    def getAllResponseHeaders(self) -> str:
        return "".join(f"{name}: {value}\r\n" for name, value in self._response.headers) if self._response else ""

    def getResponseHeader(self, name: str) -> str | None:
        return self._response.headers.get(name) or None if self._response else None


def install() -> None:
    for module in (http, getattr(http, "pyxhr", None)):
        if module is not None:
            # Where there is none, these modules import neither.
            module.XMLHttpRequest, module.JsException = XMLHttpRequest, JsException  # type: ignore[attr-defined]
