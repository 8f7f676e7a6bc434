"""Databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import _taipan
from pyodide.ffi import JsProxy

from . import _bindings
from ._bindings import Sync, begin, blocking, exception, prompt, too_early
from ._body import JS_BUFFERS, js_kind
from ._env import JsDict
from ._runtime import jsnull

_LARGEST = 2**63

#: What travels as it is without a closer look, and integers below this.
_PLAIN = frozenset((str, bytes, float, bool, type(None)))
_SMALL = 2**30

_QUERY, _SCRIPT, _BOOKMARK = map(_taipan.op_number, ("d1.query", "d1.script", "d1.bookmark"))
_start = _taipan.start_typed

#: What is wanted of statements (see `d1.query`).
_FIRST_ROW, _ROWS, _EVERYTHING = 0, 1, 2

#: What comes before the columns when everything is wanted.
_META = 8

#: What a statement gives: `results` (a list of rows), `success`, and `meta`.
D1Result = JsDict


def _parameter(value: Any) -> Any:
    """A parameter as it travels."""
    if isinstance(value, int):
        if not -_LARGEST <= value < _LARGEST:
            raise OverflowError(f"The integer does not fit into 64 bits: {value}")
        return value
    if value is None or isinstance(value, (str, float)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        # What it is now: it may change until the statement runs.
        return bytes(value)
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
        return value.to_bytes()
    kind = js_kind(value) if isinstance(value, JsProxy) else type(value).__name__
    raise TypeError(f"D1_TYPE_ERROR: Type '{kind}' not supported for value '{value}'")


def _rows(fields: tuple[Any, ...]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Columns and rows of a statement of which the rows were wanted."""
    width = fields[0]
    first = width + 1
    rows = [fields[at : at + width] for at in range(first, len(fields), width)] if width else []
    return fields[1:first], rows


def _results(fields: tuple[Any, ...]) -> list[D1Result]:
    """Of statements of which everything was wanted."""
    results = []
    at = 0
    while at < len(fields):
        duration, changes, last_row_id, changed_db, size_after, rows_read, rows_written, count = fields[at : at + _META]
        meta = JsDict(
            served_by="taipan",
            duration=duration,
            changes=changes,
            last_row_id=last_row_id,
            changed_db=bool(changed_db),
            size_after=size_after,
            rows_read=rows_read,
            rows_written=rows_written,
        )
        at += _META
        end = at + 1 + fields[at] + count
        columns, rows = _rows(fields[at:end])
        listed = [JsDict(dict(zip(columns, row, strict=True))) for row in rows]
        results.append(JsDict(success=True, meta=meta, results=listed))
        at = end
    return results


class D1PreparedStatement:
    """A statement of SQL and its parameters."""

    __slots__ = ("_database", "_parameters", "_sql")

    def __init__(self, database: _Runner, sql: str, parameters: Sequence[Any] = ()) -> None:
        self._database = database
        self._sql = sql
        self._parameters = parameters

    @property
    def sync(self) -> D1PreparedStatementSync:
        """The same methods for code that cannot await."""
        return D1PreparedStatementSync(self)

    def bind(self, *values: Any) -> D1PreparedStatement:
        """The statement with these parameters."""
        parameters = [
            value
            if (kind := value.__class__) in _PLAIN or (kind is int and -_SMALL < value < _SMALL)
            else _parameter(value)
            for value in values
        ]
        return D1PreparedStatement(self._database, self._sql, parameters)

    async def all(self) -> D1Result:
        """Runs it. Gives all rows as dicts in `results`, and `meta`."""
        return _results(await self._ask("all", _EVERYTHING))[0]

    async def run(self) -> D1Result:
        """As `all`."""
        return _results(await self._ask("run", _EVERYTHING))[0]

    async def first(self, column: str | None = None) -> Any:
        """Runs it. Gives the first row, or a column of it; None when there is no row."""
        fields = await self._ask("first", _FIRST_ROW)
        width = fields[0]
        values = width + 1
        if len(fields) == values:
            return None
        # What is built of pairs takes twice as long.
        row = JsDict({fields[i]: fields[i + width] for i in range(1, values)})
        if column is None:
            return row
        if column not in row:
            raise KeyError(f"D1_COLUMN_NOTFOUND: there is no column {column!r}; there are: {', '.join(row)}")
        return row[column]

    async def raw(self, options: Any = None, *, column_names: bool = False) -> list[list[Any]]:
        """Runs it. Gives the rows as lists, on demand with the columns' names before them."""
        if isinstance(options, JsProxy):
            options = options.to_py()
        columns, rows = _rows(await self._ask("raw", _ROWS))
        listed = [list(row) for row in rows]
        return [list(columns), *listed] if column_names or (options or {}).get("columnNames") else listed

    async def _ask(self, method: str, wanted: int) -> tuple[Any, ...]:
        database, sql, parameters = self._database, self._sql, self._parameters
        name = database._name
        try:
            # As `begin` does it: this is what is called most.
            if _bindings.is_importing:
                raise too_early(name)
            try:
                fields = _start(_QUERY, name, wanted, sql, len(parameters), *parameters)
            except UnicodeEncodeError:
                fields = begin(_start, _QUERY, name, wanted, sql, len(parameters), *parameters)
            if fields.__class__ is not tuple:
                fields = await fields
        except Exception as error:
            raise exception(error, f"prepare({_shown(sql)}).{method}()", name, sql=sql) from None
        if database._is_session:
            database._note()
        return fields  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<D1PreparedStatement {_shown(self._sql)}>"


def _shown(sql: str) -> str:
    text = " ".join(sql.split())
    return repr(text if len(text) <= 200 else text[:199] + "…")


class _Runner:
    """What statements run on."""

    _is_session = False

    def __init__(self, name: str, _api: Any = None) -> None:
        self._name = name

    def prepare(self, sql: str) -> D1PreparedStatement:
        """A statement, in which `?`, `?1`, … stand for parameters."""
        if not isinstance(sql, str):
            raise TypeError(f"SQL is a str, not {type(sql).__name__}")
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
        sent = [field for s in plain for field in (s._sql, len(s._parameters), *s._parameters)]
        try:
            fields = begin(_start, _QUERY, self._name, _EVERYTHING, *sent)
            if fields.__class__ is not tuple:
                fields = await fields
        except Exception as error:
            sql = "; ".join(s._sql for s in plain)
            raise exception(error, f"batch() of {len(plain)} statements", self._name, sql=sql) from None
        self._note()
        return _results(fields)

    def _note(self) -> None:
        """Statements have run."""


class D1Database(_Runner):
    """A database: `env.NAME` for one of the configuration's `d1_databases`."""

    @property
    def sync(self) -> D1DatabaseSync:
        """The same methods for code that cannot await."""
        return D1DatabaseSync(self)

    async def exec(self, sql: str) -> D1Result:
        """Runs a script of statements without parameters: all of them, or none. Gives `count` and `duration`."""
        try:
            answer = begin(_taipan.start, _SCRIPT, self._name, sql)
            count, duration = answer if answer.__class__ is tuple else await answer
        except Exception as error:
            raise exception(error, f"exec({_shown(sql)})", self._name, sql=sql) from None
        return JsDict(count=int(count), duration=float(duration))

    def withSession(self, constraint: str | None = None) -> D1DatabaseSession:  # noqa: N802
        """A session: its statements see all that was done before the bookmark with which it begins."""
        return D1DatabaseSession(self._name, constraint)

    with_session = withSession

    def __repr__(self) -> str:
        return f"<D1Database env.{self._name}>"


class D1DatabaseSession(_Runner):
    """Statements that see each other's effects."""

    _is_session = True

    def __init__(self, name: str, constraint: str | None) -> None:
        super().__init__(name)
        if constraint is not None and not isinstance(constraint, str):
            raise TypeError(f"A session begins at a bookmark, which is a str, not {type(constraint).__name__}")
        # There is one copy of the database, which has all that was acknowledged: any bookmark is behind it.
        self._bookmark: str | None = None if constraint is None or constraint.startswith("first-") else constraint

    @property
    def sync(self) -> D1DatabaseSessionSync:
        """The same methods for code that cannot await."""
        return D1DatabaseSessionSync(self)

    def _note(self) -> None:
        self._bookmark = str(begin(_taipan.op, _BOOKMARK, self._name)[0])

    def getBookmark(self) -> str | None:  # noqa: N802
        """Where the session is now; None when nothing has run."""
        return self._bookmark

    get_bookmark = getBookmark


class D1PreparedStatementSync(Sync):
    """The blocking view of a `D1PreparedStatement`."""

    all = prompt(D1PreparedStatement.all)
    run = prompt(D1PreparedStatement.run)
    first = prompt(D1PreparedStatement.first)
    raw = prompt(D1PreparedStatement.raw)

    def bind(self, *values: Any) -> D1PreparedStatementSync:
        """The statement with these parameters."""
        return D1PreparedStatementSync(self._binding.bind(*values))


class _RunnerSync(Sync):
    batch = prompt(_Runner.batch)

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
