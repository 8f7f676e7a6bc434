"""Outgoing requests, and modules of the platform."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import js
from pyodide.ffi import JsProxy

from . import _runtime
from ._context import wait_until
from ._entrypoints import DurableObject, WorkerEntrypoint, WorkflowEntrypoint
from ._request import Request, request_options
from ._response import Response


async def fetch(resource: Request | str | Any, **options: Any) -> Response:
    """Makes a request and gives its response."""
    fetcher = options.pop("fetcher", None) or getattr(js, "fetch", None)
    if fetcher is None:
        raise NotImplementedError("Outgoing requests are not available yet: this version of taipan has no fetch()")
    if isinstance(resource, Request):
        resource = resource.js_object
    url = str(resource.url if isinstance(resource, JsProxy) else resource)
    response = await (fetcher(resource, request_options(options)) if options else fetcher(resource))
    return Response._from_js(response, str(response.url or url))


def import_from_javascript(module_name: str) -> Any:
    """A module of the platform: only "cloudflare:workers" for now."""
    if module_name != "cloudflare:workers":
        raise ImportError(
            f'No JavaScript module {module_name!r}: only "cloudflare:workers" can be imported', name=module_name
        )
    return SimpleNamespace(
        env=_runtime.js_env,
        waitUntil=wait_until,
        WorkerEntrypoint=WorkerEntrypoint,
        DurableObject=DurableObject,
        WorkflowEntrypoint=WorkflowEntrypoint,
    )
