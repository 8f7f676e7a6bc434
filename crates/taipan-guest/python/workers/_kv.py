"""Key-value namespaces."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Literal, overload

import _taipan
from pyodide.ffi import JsException, JsProxy

from . import _bindings
from ._bindings import Sync, ask, blocking, exception, is_stream, json_of, options_of, prompt, upload
from ._body import JS_BUFFERS, ByteStream, js_kind
from ._env import JsDict
from ._runtime import jsnull, wait

ValueType = Literal["text", "json", "bytes", "arrayBuffer", "stream"]

#: What can be put: other dicts and lists are put as JSON.
Value = (
    str | bytes | bytearray | memoryview | Mapping[str, Any] | list[Any] | ByteStream | AsyncIterator[bytes] | Any
)

_TYPES = ("text", "json", "bytes", "arrayBuffer", "stream")

_GET, _OPEN, _MANY, _PUT, _DELETE, _LIST = map(
    _taipan.op_number, ("kv.get", "kv.open", "kv.many", "kv.put", "kv.delete", "kv.list")
)
_start = _taipan.start

_PUT_OPTIONS = {"expiration": "expiration", "expiration_ttl": "expirationTtl", "metadata": "metadata"}
_LIST_OPTIONS = {name: name for name in ("prefix", "limit", "cursor")}


#: The platform lets nothing be kept in a cache for a shorter time, in seconds. Here nothing is.
_SHORTEST_CACHE = 30


def _type(type: Any, options: Mapping[str, Any]) -> str:
    if isinstance(type, (JsProxy, Mapping)):
        given, type = type, None
    else:
        given = None
    known = options_of(given, options, {"type": "type", "cache_ttl": "cacheTtl"}, "get() has no option")
    ttl = known.get("cacheTtl", _SHORTEST_CACHE)
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or ttl < _SHORTEST_CACHE:
        raise ValueError(f"cacheTtl is at least {_SHORTEST_CACHE} seconds, not {ttl!r}")
    type = type or known.get("type") or "text"
    if type not in _TYPES:
        raise ValueError(f"The type of a value is one of {', '.join(_TYPES)}, not {type!r}")
    return "bytes" if type == "arrayBuffer" else str(type)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"A key is a str, not {_kind(key)}")
    return key


def _kind(value: Any) -> str:
    return js_kind(value) if isinstance(value, JsProxy) else type(value).__name__


def _none(value: Any) -> bool:
    return value is None or value is jsnull


def _load(text: str) -> Any:
    return json.loads(text, object_hook=JsDict)


def _loaded(text: str, where: str) -> Any:
    """A value that is meant to be JSON."""
    try:
        return _load(text)
    except ValueError as error:
        error.add_note(f"The value that {where} has found is not JSON")
        raise


class KVNamespace:
    """A key-value namespace: `env.NAME` for one of the configuration's `kv_namespaces`."""

    def __init__(self, name: str, api: Any) -> None:
        self._name = name
        #: Of JavaScript, whose streams go in and come out.
        self._api = api

    @property
    def sync(self) -> KVNamespaceSync:
        """The same methods for code that cannot await."""
        return KVNamespaceSync(self)

    @overload
    async def get(self, key: str, type: Literal["text"] | None = None, **options: Any) -> str | None: ...
    @overload
    async def get(self, key: str, type: Literal["bytes", "arrayBuffer"], **options: Any) -> bytes | None: ...
    @overload
    async def get(self, key: str, type: Literal["stream"], **options: Any) -> ByteStream | None: ...
    @overload
    async def get(self, key: str, type: Any = None, **options: Any) -> Any: ...
    @overload
    async def get(self, key: Sequence[str], type: Any = None, **options: Any) -> dict[str, Any]: ...
    async def get(self, key: Any, type: Any = None, **options: Any) -> Any:
        """The value of a key as text, or as `type` says; None when there is none. For a list of keys, a dict of their values."""
        if type is None and not options and key.__class__ is str and not _bindings.is_importing:
            # As `_ask` does it: this is what is called most.
            try:
                found = _start(_GET, self._name, key, "text")
                if found.__class__ is not tuple:
                    found = await found
            except UnicodeEncodeError:
                found = await self._ask("get", key, _GET, key, "text")
            except Exception as error:
                raise exception(error, f"get({key!r})", self._name, key) from None
            return found[0] if found else None
        kind = _type(type, options)
        if isinstance(key, (list, tuple)):
            return {name: None if found is None else found[0] for name, found in (await self._many(key, kind)).items()}
        return await self._value(_key(key), kind)

    @overload
    async def getWithMetadata(self, key: str, type: Any = None, **options: Any) -> JsDict: ...  # noqa: N802
    @overload
    async def getWithMetadata(self, key: Sequence[str], type: Any = None, **options: Any) -> dict[str, JsDict]: ...  # noqa: N802
    async def getWithMetadata(self, key: Any, type: Any = None, **options: Any) -> Any:  # noqa: N802
        """The value of a key and its metadata, as `value` and `metadata`. For a list of keys, a dict of these."""
        kind = _type(type, options)
        if isinstance(key, (list, tuple)):
            return {
                name: JsDict(value=None, metadata=None) if found is None else JsDict(value=found[0], metadata=found[1])
                for name, found in (await self._many(key, kind)).items()
            }
        key = _key(key)
        value, metadata = await self._found(key, kind, "getWithMetadata") or (None, None)
        return JsDict(value=value, metadata=_load(metadata) if metadata else None, cacheStatus=None)

    get_with_metadata = getWithMetadata

    async def put(
        self,
        key: str,
        value: Value,
        options: Any = None,
        *,
        expiration: int | datetime | None = None,
        expiration_ttl: int | timedelta | None = None,
        metadata: Any = None,
        **more: Any,
    ) -> None:
        """Puts a value under a key, in place of what is there. It is on disk when this returns."""
        key = _key(key)
        more = {"expiration": expiration, "expiration_ttl": expiration_ttl, "metadata": metadata, **more}
        given = options_of(options, more, _PUT_OPTIONS, "put() has no option")
        ttl, ends = given.get("expirationTtl"), given.get("expiration")
        end: str | None = None
        seconds: float | None = None
        if ttl is not None:
            end, seconds = "after", ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
        elif ends is not None:
            end, seconds = "at", _timestamp(ends) if isinstance(ends, datetime) else ends
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float))):
            raise TypeError(f"A time is a number of seconds, not {_kind(seconds)}")
        if seconds is not None:
            if not isfinite(seconds):
                raise ValueError(f"A time is a number of seconds, not {seconds}")
            seconds = int(seconds)
        meta = json_of(given["metadata"], f"env.{self._name}.put({key!r}): the metadata") if "metadata" in given else None
        sent = await self._sent(value, key)
        await self._ask("put", key, _PUT, key, sent, meta, end, seconds)

    async def delete(self, key: str | Sequence[str]) -> None:
        """Removes a key, or several; it does not matter whether they are there."""
        keys = [_key(one) for one in key] if isinstance(key, (list, tuple)) else [_key(key)]
        await self._ask("delete", keys[0] if len(keys) == 1 else None, _DELETE, *keys)

    async def list(
        self,
        options: Any = None,
        *,
        prefix: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> JsDict:
        """Keys in order: `keys` with `name`, `expiration` and `metadata` each; `cursor` unless `list_complete`."""
        more = {"prefix": prefix, "limit": limit, "cursor": cursor}
        given = options_of(options, more, _LIST_OPTIONS, "list() has no option")
        for name in ("prefix", "cursor"):
            if not isinstance(given.get(name, ""), str):
                raise TypeError(f"The {name} of a list is a str, not {_kind(given[name])}")
        if not isinstance(given.get("limit", 1), int):
            raise TypeError(f"The limit of a list is an int, not {_kind(given['limit'])}")
        fields = await self._ask("list", None, _LIST, given.get("prefix", ""), given.get("limit"), given.get("cursor"))
        keys = []
        for i in range(1, len(fields), 3):
            key = JsDict(name=fields[i])
            if fields[i + 1] is not None:
                key["expiration"] = int(fields[i + 1])
            if fields[i + 2] is not None:
                key["metadata"] = _load(fields[i + 2])
            keys.append(key)
        found = JsDict(keys=keys, list_complete=fields[0] is None, cacheStatus=None)
        if fields[0] is not None:
            found["cursor"] = fields[0]
        return found

    async def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """All keys that begin with a prefix, however many there are."""
        cursor = None
        while True:
            page = await self.list(prefix=prefix, cursor=cursor)
            for key in page["keys"]:
                yield key["name"]
            cursor = page.get("cursor")
            if cursor is None:
                return

    async def _value(self, key: str, kind: str) -> Any:
        found = await self._found(key, kind, "get")
        return found[0] if found else None

    async def _found(self, key: str, kind: str, method: str) -> tuple[Any, str | None] | None:
        """A value, and its metadata as JSON."""
        if kind == "stream":
            opened = await self._ask(method, key, _OPEN, key)
            return (ByteStream(self._api.stream(opened[0])), opened[2]) if opened else None
        found = await self._ask(method, key, _GET, key, "bytes" if kind == "bytes" else "text")
        if not found:
            return None
        value, metadata = found
        return _loaded(value, f"env.{self._name}.{method}({key!r})") if kind == "json" else value, metadata

    async def _many(self, keys: Sequence[str], kind: str) -> dict[str, tuple[Any, Any] | None]:
        if kind not in ("text", "json"):
            raise ValueError(f"Several keys can be read as text or json, not {kind}")
        names = [_key(key) for key in keys]
        fields = await self._ask("get", None, _MANY, *names)
        found: dict[str, tuple[Any, Any] | None] = {}
        for i, name in enumerate(names):
            text, metadata = fields[2 * i], fields[2 * i + 1]
            if text is None:
                found[name] = None
            else:
                value = _loaded(text, f"env.{self._name}.get({name!r})") if kind == "json" else text
                found[name] = (value, None if metadata is None else _load(metadata))
        return found

    async def _sent(self, value: Any, key: str) -> Any:
        if isinstance(value, str):
            return value
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value) if isinstance(value, memoryview) else value
        if isinstance(value, (Mapping, list)):
            return json_of(value, f"env.{self._name}.put({key!r}): the value")
        if is_stream(value):
            try:
                return await upload(self._api, value)
            except JsException as error:
                raise exception(error, f"put({key!r})", self._name, key) from None
        if isinstance(value, JsProxy) and js_kind(value) in JS_BUFFERS:
            return value.to_bytes()
        raise TypeError(
            f"env.{self._name}.put({key!r}): a value is a str, bytes, a dict or list (put as JSON), a file or an "
            f"asynchronous iterator of bytes, not {_kind(value)}"
        )

    def _ask(self, method: str, key: str | None, number: int, *fields: Any) -> Coroutine[Any, Any, tuple[Any, ...]]:
        return ask(self._name, method, key, number, *fields)

    def __repr__(self) -> str:
        return f"<KVNamespace env.{self._name}>"


def _timestamp(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class KVNamespaceSync(Sync):
    """The blocking view of a `KVNamespace`."""

    get = prompt(KVNamespace.get)
    getWithMetadata = prompt(KVNamespace.getWithMetadata)  # noqa: N815
    get_with_metadata = getWithMetadata
    put = blocking(KVNamespace.put)
    delete = blocking(KVNamespace.delete)
    list = blocking(KVNamespace.list)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys that begin with a prefix, however many there are."""
        found = self._binding.keys(prefix)
        while True:
            try:
                yield wait(anext(found))
            except StopAsyncIteration:
                return
