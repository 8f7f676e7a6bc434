"""JavaScript modules: the platform's, and files of the Worker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pyodide.ffi import JsException, run_sync

from . import _runtime
from ._context import wait_until
from ._entrypoints import DurableObject, WorkerEntrypoint, WorkflowEntrypoint


def import_from_javascript(module_name: str) -> Any:
    """A JavaScript module: one of the platform's, such as "cloudflare:workers", or a file by its path in the Worker's folder."""
    if module_name == "cloudflare:workers":
        return SimpleNamespace(
            env=_runtime.bridge.env,
            waitUntil=wait_until,
            WorkerEntrypoint=WorkerEntrypoint,
            DurableObject=DurableObject,
            WorkflowEntrypoint=WorkflowEntrypoint,
        )
    try:
        return run_sync(_runtime.bridge.importModule(module_name))
    except JsException as error:
        raise ImportError(f"No JavaScript module {module_name!r}: {error.message}", name=module_name) from error
