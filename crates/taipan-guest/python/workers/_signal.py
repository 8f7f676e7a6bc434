"""Signals by which something is given up."""

from __future__ import annotations

import asyncio
from typing import Any

from pyodide.ffi import JsException, create_proxy
from pyodide.http import AbortError

from ._body import python_error


class AbortSignal:
    """Says whether something was given up: `request.signal` that the client is gone. A fetch takes it as `signal`."""

    __slots__ = ("_js",)

    def __init__(self, js_object: Any) -> None:
        self._js = js_object

    @property
    def js_object(self) -> Any:
        """The JavaScript AbortSignal."""
        return self._js

    @property
    def aborted(self) -> bool:
        """Whether it was."""
        return bool(self._js.aborted)

    @property
    def reason(self) -> Exception | None:
        """Why, as `throw_if_aborted` raises it; None when it was not."""
        if not self.aborted:
            return None
        reason = self._js.reason
        if not isinstance(reason, JsException):
            return reason if isinstance(reason, Exception) else RuntimeError(str(reason))
        match str(reason.name):
            case "AbortError":
                return AbortError(reason)
            case "TimeoutError":
                return TimeoutError(reason.message)
        return python_error(reason, lambda message, name: RuntimeError(f"{name}: {message}"))

    def throw_if_aborted(self) -> None:
        """Raises `reason` if it was."""
        reason = self.reason
        if reason is not None:
            raise reason

    throwIfAborted = throw_if_aborted  # noqa: N815 - the platform's name

    async def wait(self) -> None:
        """Returns once it is."""
        if self.aborted:
            return
        fired: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        listener = create_proxy(lambda _: fired.done() or fired.set_result(None))
        self._js.addEventListener("abort", listener)
        try:
            await fired
        finally:
            self._js.removeEventListener("abort", listener)
            listener.destroy()

    def __repr__(self) -> str:
        return f"<AbortSignal {'aborted' if self.aborted else 'not aborted'}>"
