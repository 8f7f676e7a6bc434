"""PyPI's `workers-runtime-sdk` in the place of our `workers`, for a Worker that installs it.

It brings a package `workers` of its own, which asks the runtime for two modules (`_pyodide_entrypoint_helper`,
`_cloudflare_compat_flags`). Our package stays what the runtime works with; nobody can import it by its name then.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from types import ModuleType, SimpleNamespace
from typing import Any

import pyodide
from pyodide.http import FetchResponse

import workers._context as context
import workers._modules as modules
import workers._runtime as runtime

_OURS = os.path.dirname(os.path.abspath(__file__))
#: A file that the package has, and a folder by this name hardly any other.
_MARK = "workers/entrypoints.py"


def take_over(packages: str) -> None:
    """Lets `import workers` find the SDK, if it is among the packages that were vendored (in this folder) or locked."""
    others = [folder for folder in sys.path if os.path.normpath(folder) != _OURS]
    if not any(os.path.isfile(os.path.join(folder, _MARK)) for folder in (packages, *others)):
        return
    sys.path[:] = [*others, _OURS]
    _allow_no_url()
    for name, module in list(sys.modules.items()):
        is_ours = (getattr(module, "__file__", None) or "").startswith(_OURS + "/workers/")
        if is_ours and (name == "workers" or name.startswith("workers.")):
            del sys.modules[name]


def _allow_no_url() -> None:
    """Pyodide 0.29 makes a request of a response's URL; a response that the SDK makes has none, which other releases know."""
    make: Any = FetchResponse.__init__
    if not pyodide.__version__.startswith("0.29.") or make.__module__ == __name__:
        return

    @wraps(make)
    def init(self: Any, request: Any, *rest: Any, **more: Any) -> None:
        make(self, SimpleNamespace(url="") if request == "" else request, *rest, **more)

    init.__module__ = __name__
    FetchResponse.__init__ = init  # type: ignore[method-assign]


def loaded() -> ModuleType | None:
    """The SDK, if that is what the Worker has imported as `workers`."""
    module = sys.modules.get("workers")
    file = getattr(module, "__file__", None) or ""
    return None if module is None or file.startswith(_OURS) else module


class _CloudflareWorkers:
    """What the SDK takes for the JavaScript module `cloudflare:workers`."""

    waitUntil = staticmethod(context.wait_until)  # noqa: N815 - the platform's name

    @property
    def env(self) -> Any:
        return runtime.bridge.env


def entrypoint_helper(module: ModuleType) -> None:
    """Fills `_pyodide_entrypoint_helper`."""

    async def do_an_import(name: str) -> Any:
        return await runtime.bridge.importModule(name)

    @contextmanager
    def patch(values: Any) -> Iterator[None]:
        env, before = runtime.bridge.env, {}
        for name, value in values.object_entries():
            before[name] = getattr(env, name, patch)
            setattr(env, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is patch:
                    delattr(env, name)
                else:
                    setattr(env, name, value)

    def patch_env_helper(values: Any) -> Iterator[None]:
        with patch(values):
            yield

    def missing(name: str) -> Any:
        if name == "cloudflareSocketsModule":
            return modules.import_from_javascript("cloudflare:sockets")
        raise AttributeError(name)

    vars(module).update(
        cloudflareWorkersModule=_CloudflareWorkers(),
        doAnImport=do_an_import,
        patch_env_helper=patch_env_helper,
        # Ours takes awaitables as it is.
        patchWaitUntil=lambda ctx: None,
        __getattr__=missing,
    )
