"""`env`: the variables and bindings of the configuration, as Python values."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any


class JsDict(dict[str, Any]):
    """A dict whose string keys can be read as attributes, as a JavaScript object's can."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no key {name!r}", name=name, obj=self) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


class Env:
    """Variables and bindings by name: `env.NAME`."""

    __slots__ = ("_values", "_withheld")
    _values: dict[str, Any]
    #: Secrets while module scope runs, with their values where those are known already.
    _withheld: dict[str, Any]

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", dict(values))
        object.__setattr__(self, "_withheld", {})

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            pass
        if name in self._withheld:
            raise _too_early(name)
        if name.startswith("__"):
            raise AttributeError(name)
        known = sorted(self._values)
        close = get_close_matches(name, known, 1)
        if close:
            advice = f"did you mean {close[0]!r}?"
        elif known:
            advice = f"there are: {', '.join(known)}"
        else:
            advice = "the configuration defines none"
        # Without `name=` Python adds no guess of its own to the message.
        raise AttributeError(
            f"env has no variable or binding {name!r}: {advice}; variables are defined in the configuration's "
            '"vars" or in .dev.vars, bindings under keys such as "kv_namespaces"'
        )

    def __getitem__(self, name: str) -> Any:
        if name in self._withheld:
            raise _too_early(name)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values or name in self._withheld

    def __iter__(self) -> Iterator[str]:
        return iter({**self._values, **self._withheld})

    def __dir__(self) -> list[str]:
        return sorted(self)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"env is read-only: use patch_env() to set {name!r} for a while")

    def __repr__(self) -> str:
        # Values may be secrets.
        return f"<env: {', '.join(sorted(self)) or 'empty'}>"


#: The Worker's environment. The same object for every request.
env = Env({})


_UNKNOWN = object()


def _too_early(name: str) -> RuntimeError:
    """Not an AttributeError: `getattr(env, name, None)` would go on without the secret, for good."""
    return RuntimeError(
        f"env.{name} is a secret, which module scope cannot read: what it computes is kept in a snapshot, and secrets "
        f"never are. Read it in the handler, or list it in the configuration to do without a snapshot: "
        f'"taipan": {{ "secrets_at_import": ["{name}"] }}'
    )


#: What `env` has beside variables; kept in snapshots, for it is no secret and has no state.
_bindings: dict[str, Any] = {}


def bind(bindings: Mapping[str, Any]) -> None:
    """Says what `env` will have beside variables."""
    _bindings.clear()
    _bindings.update(bindings)


def attach(env_json: str, withheld: Iterable[str] = ()) -> None:
    """Fills `env`. What is withheld can be read once it was released, if there is a value for it."""
    values = {**json.loads(env_json, object_hook=JsDict), **_bindings}
    secrets = {name: values.pop(name, _UNKNOWN) for name in withheld}
    for mine, new in (env._values, values), (env._withheld, secrets):
        mine.clear()
        mine.update(new)
    for name in _exported:
        os.environ.pop(name, None)
    _exported.clear()
    _export({name: value for name, value in values.items() if name not in _bindings})


#: Names that `os.environ` has of ours.
_exported: set[str] = set()


def _export(values: Mapping[str, Any]) -> None:
    """Variables are in `os.environ` as well, where libraries look for them: text as it is, what else they are as JSON."""
    for name, value in values.items():
        # What the operating system's environment cannot hold is in `env` only.
        text = value if isinstance(value, str) else json.dumps(value)
        if name and "=" not in name and "\0" not in name + text:
            os.environ[name] = text
            _exported.add(name)


def release() -> None:
    """Module scope has run."""
    known = {name: value for name, value in env._withheld.items() if value is not _UNKNOWN}
    env._values.update(known)
    _export(known)
    for name in known:
        del env._withheld[name]


@contextmanager
def patch_env(values: Mapping[str, Any] | None = None, /, **more: Any) -> Iterator[None]:
    """Sets variables of `env` within a `with` block, for tests."""
    before = dict(env._values)
    env._values.update(values or {}, **more)
    try:
        yield
    finally:
        env._values.clear()
        env._values.update(before)
