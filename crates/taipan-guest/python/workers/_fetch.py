"""Outgoing requests."""

from __future__ import annotations

import asyncio
from typing import Any, Unpack

import js
from pyodide.ffi import JsException, JsProxy

from ._body import construct, failure, js_kind
from ._request import FetchKwargs, Request, request_options
from ._response import Response


async def fetch(resource: Request | str | JsProxy, **options: Unpack[FetchKwargs]) -> Response:
    """Makes a request and gives its response.

    Raises OSError when there is none, with the host and the reason, and so do the methods of the response that read its body.
    Cancelling the task cancels the request.
    """
    fetcher = options.pop("fetcher", None) or js.fetch
    if isinstance(resource, Request):
        resource = resource.js_object
    url = str(resource.url if isinstance(resource, JsProxy) and hasattr(resource, "url") else resource)
    if "signal" in options or (isinstance(resource, JsProxy) and js_kind(resource) == "Request"):
        controller = None
    else:
        controller = js.AbortController.new()
        options["signal"] = controller.signal
    request = construct(js.Request, resource, request_options(options))
    try:
        response = await fetcher(request)
    except JsException as error:
        raise failure(error) from None
    except asyncio.CancelledError:
        if controller is not None:
            controller.abort()
        raise
    made = Response._from_js(response, str(response.url or url))
    made._controller = controller
    return made

