"""Headers as Python has them: `http.client.HTTPMessage` that is a mapping too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from http.client import HTTPMessage
from typing import Any

from pyodide.ffi import JsProxy

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_LINE = re.compile(r"[\0\r\n]").search
_FORBIDDEN = re.compile(r"[\0\r\n]|[^\0-\xff]").search


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"A header's name is a str: {name!r}")
    if not _NAME(name):
        raise ValueError(f"Not a header's name: {name!r}")
    return name


def _value(name: str, value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    elif not isinstance(value, str):
        if value is None or isinstance(value, (list, tuple, dict, set)):
            raise TypeError(f"The value of header {name!r} is a str, not {type(value).__name__}")
        value = str(value)
    return sendable(value.strip(" \t\r\n"), f"value of header {name!r}")


def sendable(text: str, what: str) -> str:
    """The text, if HTTP can carry it outside of a body."""
    if found := _FORBIDDEN(text):
        raise ValueError(f"The {what} has a character that cannot be sent: {found.group()!r}")
    return text


@lru_cache(maxsize=256)
def _key(name: bytes) -> str:
    """A program has few names, and sends them with every response."""
    return _name(name.decode("latin-1").lower())


def field_pairs(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Names and values that are bytes, or like them, in the way in which the border takes them."""
    pairs = []
    for name, value in fields:
        key = _key(bytes(name))
        value = bytes(value)
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        if found := _LINE(text):
            raise ValueError(f"The value of header {key!r} has a character that cannot be sent: {found.group()!r}")
        pairs.append((key, text.strip(" \t")))
    return pairs


def _pairs(init: Any) -> Any:
    if isinstance(init, HTTPMessage):
        return init.items()
    if isinstance(init, Mapping):
        return init.items()
    if isinstance(init, JsProxy):
        if hasattr(init, "entries"):
            return [tuple(pair) for pair in init.entries()]
        converted = init.to_py()
        return converted.items() if isinstance(converted, dict) else converted
    return init


#: What headers are made of.
HeadersInit = Mapping[str, Any] | HTTPMessage | Iterable[Sequence[Any]] | JsProxy | None


class Headers(HTTPMessage):
    """The headers of a request or response.

    Names compare without regard to case, a name may have several values, and a missing one gives `None`, all as in
    `http.client.HTTPMessage`. Unlike there, assigning *replaces* what was there; `append` adds another value.
    """

    # Of the base class, which keeps them as they were given.
    _headers: list[tuple[str, str]]
    _js: Any = None

    def __init__(self, init: HeadersInit = None) -> None:
        super().__init__()
        if init is None:
            return
        for pair in _pairs(init):
            if isinstance(pair, (str, bytes)) or len(pair) != 2:
                raise TypeError(f"Headers are made from a mapping or from pairs of name and value: {pair!r}")
            name = _name(pair[0])
            self._headers.append((name, _value(name, pair[1])))

    @classmethod
    def _trusted(cls, flat: list[str]) -> Headers:
        """From names and values in turn that need no validation; those of one name are joined, as JavaScript does."""
        headers = cls()
        names = flat[::2]
        pairs = zip(names, flat[1::2], strict=True)
        if len(set(names)) == len(names):
            headers._headers = list(pairs)
        else:
            joined: dict[str, str] = {}
            for name, value in pairs:
                joined[name] = f"{joined[name]}, {value}" if name in joined else value
            headers._headers = list(joined.items())
        return headers

    def _follow(self, js_headers: Any) -> None:
        """From now on every change is made to the JavaScript object too."""
        self._js = js_headers

    def __setitem__(self, name: str, value: Any) -> None:
        name = _name(name)
        text = _value(name, value)
        super().__delitem__(name)
        self._headers.append((name, text))
        if self._js is not None:
            self._js.set(name, text)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        if self._js is not None:
            self._js.delete(name)

    def append(self, name: str, value: Any) -> None:
        """Adds a value beside those that the name has."""
        name = _name(name)
        text = _value(name, value)
        self._headers.append((name, text))
        if self._js is not None:
            self._js.append(name, text)

    def add_header(self, _name: str, _value: Any, **params: Any) -> None:
        # The base class formats the parameters and then assigns, which replaces here.
        formatted = HTTPMessage()
        formatted.add_header(_name, _value, **params)
        for name, value in formatted.items():
            self.append(name, value)

    def replace_header(self, _name: str, _value: Any) -> None:
        if _name not in self:
            raise KeyError(_name)
        self[_name] = _value

    set = __setitem__

    def delete(self, name: str) -> None:
        """Removes every value of the name, if there is one."""
        del self[name]

    def setdefault(self, name: str, value: Any) -> str:
        """The value of the name, which is set first when there is none."""
        if name not in self:
            self[name] = value
        return self[name]

    def update(self, other: Any = (), /, **values: Any) -> None:
        """Replaces the values of every name in `other`."""
        for name, value in [*_pairs(other), *values.items()]:
            self[name] = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (HTTPMessage, Mapping)):
            return NotImplemented
        return sorted((k.lower(), v) for k, v in self.items()) == sorted((k.lower(), v) for k, v in other.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"


Mapping.register(Headers)
