"""Databases."""

from __future__ import annotations

import json
import math
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from pyodide.ffi import JsProxy

from ._bindings import Sync, answered, blocking
from ._body import JS_BUFFERS, js_kind
from ._env import JsDict
from ._runtime import jsnull

_LARGEST = 2**63

#: What a statement gives: `results` (a list of rows), `success`, and `meta`.
D1Result = JsDict


def _parameter(value: Any) -> Any:
    """A parameter as JSON has it."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        if not -_LARGEST <= value < _LARGEST:
            raise OverflowError(f"The integer does not fit into 64 bits: {value}")
        return int(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return {"f": "inf" if value > 0 else "-inf"} if math.isinf(value) else float(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"b": b2a_base64(value, newline=False).decode()}
    if isinstance(value, datetime):
        # As the module sqlite3 does it.
        return value.isoformat(" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if value is jsnull:
        return None
    if isinstance(value, JsProxy) and js_kind(value) in JS_BUFFERS:
        return {"b": b2a_base64(value.to_bytes(), newline=False).decode()}
    kind = js_kind(value) if isinstance(value, JsProxy) else type(value).__name__
    raise TypeError(f"D1_TYPE_ERROR: Type '{kind}' not supported for value '{value}'")


def _rows(result: dict[str, Any]) -> list[list[Any]]:
    rows: list[list[Any]] = result["rows"]
    if result["blobs"]:
        for row in rows:
            for i, value in enumerate(row):
                if isinstance(value, dict):
                    row[i] = a2b_base64(value["b"])
    return rows


def _result(result: dict[str, Any]) -> D1Result:
    columns = result["columns"]
    rows = [JsDict(zip(columns, row, strict=True)) for row in _rows(result)]
    return JsDict(success=True, meta=JsDict(result["meta"]), results=rows)


class D1PreparedStatement:
    """A statement of SQL and its parameters."""

    def __init__(self, database: _Runner, sql: str, parameters: Sequence[Any] = ()) -> None:
        if not isinstance(sql, str):
            raise TypeError(f"SQL is a str, not {type(sql).__name__}")
        self._database = database
        self._sql = sql
        self._parameters = list(parameters)

    @property
    def sync(self) -> D1PreparedStatementSync:
        """The same methods for code that cannot await."""
        return D1PreparedStatementSync(self)

    def bind(self, *values: Any) -> D1PreparedStatement:
        """The statement with these parameters."""
        return D1PreparedStatement(self._database, self._sql, [_parameter(value) for value in values])

    async def all(self) -> D1Result:
        """Runs it. Gives all rows as dicts in `results`, and `meta`."""
        return _result(await self._one("all"))

    async def run(self) -> D1Result:
        """As `all`."""
        return _result(await self._one("run"))

    async def first(self, column: str | None = None) -> Any:
        """Runs it. Gives the first row, or a column of it; None when there is no row."""
        result = await self._one("first")
        rows = _rows(result)
        if not rows:
            return None
        row = JsDict(zip(result["columns"], rows[0], strict=True))
        if column is None:
            return row
        if column not in row:
            raise KeyError(f"D1_COLUMN_NOTFOUND: there is no column {column!r}; there are: {', '.join(row)}")
        return row[column]

    async def raw(self, options: Any = None, *, column_names: bool = False) -> list[list[Any]]:
        """Runs it. Gives the rows as lists, on demand with the columns' names before them."""
        if isinstance(options, JsProxy):
            options = options.to_py()
        result = await self._one("raw")
        rows = _rows(result)
        return [result["columns"], *rows] if column_names or (options or {}).get("columnNames") else rows

    async def _one(self, method: str) -> dict[str, Any]:
        results = await self._database._run([self], f"prepare({_shown(self._sql)}).{method}()")
        return results[0]

    def __repr__(self) -> str:
        return f"<D1PreparedStatement {_shown(self._sql)}>"


def _shown(sql: str) -> str:
    text = " ".join(sql.split())
    return repr(text if len(text) <= 200 else text[:199] + "…")


class _Runner:
    """What statements run on."""

    def __init__(self, name: str, api: Any) -> None:
        self._name = name
        self._api = api

    def prepare(self, sql: str) -> D1PreparedStatement:
        """A statement, in which `?`, `?1`, … stand for parameters."""
        return D1PreparedStatement(self, sql)

    async def batch(self, statements: Sequence[D1PreparedStatement]) -> list[D1Result]:
        """Runs statements one after the other in one transaction: all of them, or none."""
        listed = list(statements)
        for statement in listed:
            if not isinstance(statement, (D1PreparedStatement, D1PreparedStatementSync)):
                raise TypeError(f"A batch is a list of statements, not of {type(statement).__name__}")
        if not listed:
            raise ValueError("A batch has at least one statement")
        plain = [s._binding if isinstance(s, Sync) else s for s in listed]
        return [_result(result) for result in await self._run(plain, f"batch() of {len(listed)} statements")]

    async def _run(self, statements: list[D1PreparedStatement], call: str) -> list[dict[str, Any]]:
        sent = json.dumps([[s._sql, s._parameters] for s in statements], ensure_ascii=False)
        sql = "; ".join(s._sql for s in statements)
        answer = await answered(self._api.run(sent), call, self._name, sql=sql)
        return json.loads(answer)  # type: ignore[no-any-return]


class D1Database(_Runner):
    """A database: `env.NAME` for one of the configuration's `d1_databases`."""

    @property
    def sync(self) -> D1DatabaseSync:
        """The same methods for code that cannot await."""
        return D1DatabaseSync(self)

    async def exec(self, sql: str) -> D1Result:
        """Runs a script of statements without parameters: all of them, or none. Gives `count` and `duration`."""
        answer = await answered(self._api.script(sql), f"exec({_shown(sql)})", self._name, sql=sql)
        count, duration = answer.split("\n")
        return JsDict(count=int(count), duration=float(duration))

    def withSession(self, constraint: str | None = None) -> D1DatabaseSession:  # noqa: N802
        """A session: its statements see all that was done before the bookmark with which it begins."""
        return D1DatabaseSession(self._name, self._api, constraint)

    with_session = withSession

    def __repr__(self) -> str:
        return f"<D1Database env.{self._name}>"


class D1DatabaseSession(_Runner):
    """Statements that see each other's effects."""

    def __init__(self, name: str, api: Any, constraint: str | None) -> None:
        super().__init__(name, api)
        if constraint is not None and not isinstance(constraint, str):
            raise TypeError(f"A session begins at a bookmark, which is a str, not {type(constraint).__name__}")
        # There is one copy of the database, which has all that was acknowledged: any bookmark is behind it.
        self._bookmark = None if constraint is None or constraint.startswith("first-") else constraint

    @property
    def sync(self) -> D1DatabaseSessionSync:
        """The same methods for code that cannot await."""
        return D1DatabaseSessionSync(self)

    async def _run(self, statements: list[D1PreparedStatement], call: str) -> list[dict[str, Any]]:
        results = await super()._run(statements, call)
        self._bookmark = str(self._api.bookmark())
        return results

    def getBookmark(self) -> str | None:  # noqa: N802
        """Where the session is now; None when nothing has run."""
        return self._bookmark

    get_bookmark = getBookmark


class D1PreparedStatementSync(Sync):
    """The blocking view of a `D1PreparedStatement`."""

    all = blocking(D1PreparedStatement.all)
    run = blocking(D1PreparedStatement.run)
    first = blocking(D1PreparedStatement.first)
    raw = blocking(D1PreparedStatement.raw)

    def bind(self, *values: Any) -> D1PreparedStatementSync:
        """The statement with these parameters."""
        return D1PreparedStatementSync(self._binding.bind(*values))


class _RunnerSync(Sync):
    batch = blocking(_Runner.batch)

    def prepare(self, sql: str) -> D1PreparedStatementSync:
        """A statement, in which `?`, `?1`, … stand for parameters."""
        return D1PreparedStatementSync(self._binding.prepare(sql))


class D1DatabaseSync(_RunnerSync):
    """The blocking view of a `D1Database`."""

    exec = blocking(D1Database.exec)

    def withSession(self, constraint: str | None = None) -> D1DatabaseSessionSync:  # noqa: N802
        """As `D1Database.withSession`."""
        return D1DatabaseSessionSync(self._binding.withSession(constraint))

    with_session = withSession


class D1DatabaseSessionSync(_RunnerSync):
    """The blocking view of a `D1DatabaseSession`."""

    def getBookmark(self) -> str | None:  # noqa: N802
        """Where the session is now."""
        return self._binding.getBookmark()  # type: ignore[no-any-return]

    get_bookmark = getBookmark
