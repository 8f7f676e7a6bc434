"""What answers requests in the network's place: the Worker's assets, or another Worker."""

from __future__ import annotations

from typing import Any, Unpack

from pyodide.ffi import JsException, JsProxy

from . import _fetch
from ._bindings import BindingError, Sync, blocking
from ._request import FetchKwargs, Request
from ._response import Response


class Fetcher:
    """Something with `fetch`: `env.NAME` of the configuration's `assets`."""

    def __init__(self, name: str, api: Any) -> None:
        self._name = name
        self._api = api

    @property
    def sync(self) -> FetcherSync:
        """The same methods for code that cannot await."""
        return FetcherSync(self)

    async def fetch(self, resource: Request | str | JsProxy, **options: Unpack[FetchKwargs]) -> Response:
        """Makes a request and gives its response. Of the URL, only what follows the host says which asset is meant."""
        try:
            return await _fetch.fetch(resource, **{**options, "fetcher": self._api.fetch})
        except (OSError, JsException) as error:
            raise BindingError(f"env.{self._name}.fetch: {error}", self._name) from None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} env.{self._name}>"


class FetcherSync(Sync):
    """The blocking view of a `Fetcher`."""

    fetch = blocking(Fetcher.fetch)
