"""What counts and what is counted: rate limits and data points."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from ._bindings import Sync, answered, blocking, exception, options_of
from ._env import JsDict
from ._runtime import jsnull


_MEMBERS = {name: name for name in ("blobs", "doubles", "indexes")}


class RateLimit:
    """A limit on how often something is done: `env.NAME` for one of the configuration's `ratelimits`."""

    def __init__(self, name: str, api: Any) -> None:
        self._name = name
        self._api = api

    @property
    def sync(self) -> RateLimitSync:
        """The same methods for code that cannot await."""
        return RateLimitSync(self)

    async def limit(self, options: Any = None, **more: Any) -> JsDict:
        """Counts once for `key`; `success` is whether that was within the limit."""
        key = options_of(options, more, {"key": "key"}, "limit() has no option").get("key")
        if not isinstance(key, str):
            raise TypeError(f"limit() takes a key, which is a str, not {type(key).__name__}")
        return JsDict(success=bool(await answered(self._api.limit(key), f"limit({key!r})", self._name, key)))

    def __repr__(self) -> str:
        return f"<RateLimit env.{self._name}>"


class RateLimitSync(Sync):
    """The blocking view of a `RateLimit`."""

    limit = blocking(RateLimit.limit)


class AnalyticsEngineDataset:
    """Data points: `env.NAME` for one of the configuration's `analytics_engine_datasets`."""

    def __init__(self, name: str, api: Any) -> None:
        self._name = name
        self._api = api

    def write_data_point(self, point: Any = None, **more: Any) -> None:
        """Notes a point: up to 20 `blobs` (str or bytes), up to 20 `doubles` and one of `indexes`. Nothing need be awaited."""
        given = options_of(point, more, _MEMBERS, "write_data_point() has no option")
        for name, values in given.items():
            if not isinstance(values, (list, tuple)):
                raise TypeError(f"The {name} of a data point are a list, not {type(values).__name__}")
        sent = {name: [_value(value) for value in given.get(name, ())] for name in _MEMBERS}
        try:
            self._api.note(json.dumps(sent, allow_nan=False))
        except ValueError:
            raise ValueError("The doubles of a data point are finite numbers") from None
        except Exception as error:
            raise exception(error, "write_data_point()", self._name) from None

    writeDataPoint = write_data_point  # noqa: N815 - the platform's name

    def __repr__(self) -> str:
        return f"<AnalyticsEngineDataset env.{self._name}>"


def _value(value: Any) -> Any:
    if value is None or value is jsnull:
        return None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"b": b64encode(value).decode()}
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError(f"A value of a data point is a str, bytes or a number, not {type(value).__name__}")
    return value
