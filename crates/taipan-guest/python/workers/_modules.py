"""JavaScript modules: the platform's, and files of the Worker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pyodide.ffi import JsException, run_sync

from . import _runtime
from ._body import plain_object
from ._context import wait_until
from ._entrypoints import DurableObject, WorkerEntrypoint, WorkflowEntrypoint
from ._rpc import RpcTarget


def import_from_javascript(module_name: str) -> Any:
    """A JavaScript module: one of the platform's, such as "cloudflare:workers", or a file by its path in the Worker's folder."""
    if module_name == "cloudflare:workers":
        return SimpleNamespace(
            env=_runtime.bridge.env,
            waitUntil=wait_until,
            WorkerEntrypoint=WorkerEntrypoint,
            DurableObject=DurableObject,
            WorkflowEntrypoint=WorkflowEntrypoint,
            RpcTarget=RpcTarget,
        )
    if module_name == "cloudflare:sockets":
        return SimpleNamespace(connect=_connect)
    try:
        return run_sync(_runtime.bridge.importModule(module_name))
    except JsException as error:
        if error.name == "ModuleNotFoundError":
            message = f"No JavaScript module {module_name!r}: {error.message}"
        else:
            message = f"The JavaScript module {module_name!r} failed: {error}"
        raise ImportError(message, name=module_name) from error


def _connect(address: Any, options: Any = None, **more: Any) -> Any:
    """A JavaScript Socket, from "host:port" or {"hostname": …, "port": …}."""
    import _taipan_host  # type: ignore[import-not-found]

    if isinstance(address, dict):
        address = plain_object(address)
    given = {**options, **more} if isinstance(options, dict) else more
    return _taipan_host.open_socket(address, plain_object(given) if given or options is None else options)
