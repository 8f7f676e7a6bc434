import asyncio
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum
from urllib.parse import urlsplit

import js
from cases import named, raises
from workers import BindingError, D1Database, Response, WorkerEntrypoint, import_from_javascript


class Number(IntEnum):
    ONE = 1


class Real(float):
    pass


async def types(db):
    assert isinstance(db, D1Database)
    assert await db.prepare("SELECT ?, ?").bind(Number.ONE, Real(2.0)).raw() == [[1, 2.0]]
    values = [0, -1, 2**63 - 1, -(2**63), 1.5, 1.0, 1e300, "é\0\"'", "", b"", bytes(range(256)), None, True, False]
    back = await db.prepare(f"SELECT {', '.join('?' * len(values))}").bind(*values).raw()
    assert back == [[*values[:-2], 1, 0]], back
    assert [type(a) for a in back[0]] == [type(b) for b in [*values[:-2], 1, 0]]
    [[infinite, less, none]] = await db.prepare("SELECT ?, ?, ?").bind(math.inf, -math.inf, math.nan).raw()
    assert (infinite, less, none) == (math.inf, -math.inf, None)
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    row = await db.prepare("SELECT ?2 AS day, ?1 AS moment, ?3 AS price").bind(moment, date(2026, 1, 2), Decimal("1.10")).first()
    assert row == {"day": "2026-01-02", "moment": "2026-01-02 03:04:05+00:00", "price": "1.10"} and row.day == "2026-01-02"
    for value, kind in ((2**63, OverflowError), (object(), TypeError), ([1], TypeError), ({}, TypeError)):
        try:
            db.prepare("SELECT ?").bind(value)
        except kind:
            continue
        raise AssertionError(f"{value!r} was bound")


async def statements(db):
    made = await db.exec("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT UNIQUE); CREATE TABLE pets (owner REFERENCES people (id))")
    assert made.count == 2 and made.duration > 0
    insert = db.prepare("INSERT INTO people (name) VALUES (?)")
    done = await insert.bind("Ada").run()
    assert done.success and done["results"] == [], done
    assert (done.meta.changes, done.meta.last_row_id, done.meta.rows_written, done.meta.changed_db) == (1, 1, 1, True)
    assert done.meta.duration > 0 and done.meta.size_after > 4096
    done = await db.prepare("INSERT INTO people (name) VALUES (?), (?) RETURNING id, name").bind("Grace", "Mary").all()
    assert done.results == [{"id": 2, "name": "Grace"}, {"id": 3, "name": "Mary"}]
    done = await db.prepare("SELECT * FROM people WHERE id > ? ORDER BY id").bind(1).all()
    assert [row.name for row in done.results] == ["Grace", "Mary"] and done.meta.rows_read == 2
    assert await db.prepare("SELECT count(*) AS n FROM people").first("n") == 3
    assert await db.prepare("SELECT name FROM people WHERE id = 9").first() is None
    assert await db.prepare("SELECT id, name FROM people LIMIT 1").raw(column_names=True) == [["id", "name"], [1, "Ada"]]
    assert await db.prepare("SELECT id FROM people LIMIT 1").raw({"columnNames": True}) == [["id"], [1]]
    await raises(KeyError, "there is no column 'age'", db.prepare("SELECT id FROM people").first("age"))
    await asyncio.gather(*(insert.bind(f"many {i}").run() for i in range(50)))
    assert await db.prepare("SELECT count(*) FROM people WHERE name LIKE 'many %'").first("count(*)") == 50


    # Functions that databases of Workers have elsewhere, too.
    maths = "SELECT sqrt(16), pow(2, 3), ceil(1.2), round(ln(exp(1)), 9), mod(7, 4), json_extract('[1, 2]', '$[1]')"
    assert await db.prepare(maths).raw() == [[4.0, 8.0, 2.0, 1.0, 3.0, 2]]


async def on_the_spot(db):
    await db.exec("CREATE TABLE seen (n INTEGER, value)")
    insert = db.prepare("INSERT INTO seen (n) VALUES (?)")
    last = db.prepare("SELECT max(n) AS n FROM seen WHERE n <= ?")
    for n in range(100):
        await insert.bind(n).run()
        assert await last.bind(n).first() == {"n": n}
    # A table that has changed is another one, and a column may have the name of another.
    every = db.prepare("SELECT *, 1 AS n FROM seen LIMIT 1")
    assert (await every.raw(column_names=True)) == [["n", "value", "n"], [0, None, 1]]
    await db.exec("ALTER TABLE seen ADD COLUMN later DEFAULT x'00'")
    assert (await every.all()).results == [{"n": 1, "value": None, "later": b"\0"}]
    assert await db.prepare("UPDATE seen SET n = n").first() is None
    # Whoever asks and asks lets others go on all the same.
    other = asyncio.ensure_future(insert.bind(1000).run())
    while await last.bind(1000).first("n") != 1000:
        pass
    await other
    # What takes long is done elsewhere.
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT count(*) AS n FROM n"
    assert await asyncio.gather(*(db.prepare(slow).first("n") for _ in range(3))) == [200000] * 3
    await db.prepare("INSERT INTO seen (value) VALUES (?)").bind("\ud83d\ude00 \ud800").run()
    text = await db.prepare("SELECT value FROM seen WHERE value LIKE ?").bind("\N{GRINNING FACE}%").first("value")
    assert text == "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}"


async def batches(db):
    insert = db.prepare("INSERT INTO people (name) VALUES (?)")
    both = await db.batch([insert.bind("one"), db.prepare("SELECT count(*) AS n FROM people WHERE name = 'one'")])
    assert both[0].meta.changes == 1 and both[1].results == [{"n": 1}]
    error = await raises(BindingError, "UNIQUE constraint failed: people.name", db.batch([insert.bind("two"), insert.bind("one")]))
    assert error.binding == "DB" and "INSERT INTO people" in error.sql
    assert await db.prepare("SELECT * FROM people WHERE name = 'two'").first() is None
    await raises(TypeError, "A batch is a list of statements, not of str", db.batch(["SELECT 1"]))
    await raises(ValueError, "at least one statement", db.batch([]))


async def errors(db):
    error = await raises(BindingError, "D1_ERROR: no such table: absent: SQLITE_ERROR", db.prepare("SELECT * FROM absent").all())
    assert str(error).startswith("env.DB.prepare('SELECT * FROM absent').all(): ") and error.sql == "SELECT * FROM absent"
    await raises(BindingError, 'near "SELEC": syntax error', db.prepare("SELEC 1").run())
    await raises(BindingError, "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT", db.prepare("INSERT INTO pets VALUES (99)").run())
    await raises(BindingError, "the statement has 1, and 2 were bound", db.prepare("SELECT ?").bind(1, 2).all())
    await raises(BindingError, "there is more than one statement", db.prepare("SELECT 1; SELECT 2").all())
    await raises(BindingError, "SQLITE_AUTH", db.prepare("ATTACH '/tmp/x' AS x").all())
    await raises(BindingError, "SQLITE_AUTH", db.exec("BEGIN; SELECT 1"))
    await raises(BindingError, "larger than 32 MiB", db.prepare(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT hex(zeroblob(500000)) FROM n").all())
    await raises(BindingError, "the SQL is too long", db.prepare("SELECT '" + "x" * 100_000 + "'").all())
    await raises(BindingError, "too many SQL variables", db.prepare("SELECT " + ",".join("?" * 101)).all())
    assert await db.prepare("SELECT 1 AS one").first("one") == 1


async def sync(db):
    rows = db.sync.prepare("SELECT ? AS x").bind(5).all()
    assert rows.results == [{"x": 5}] and db.sync.prepare("SELECT 1").raw() == [[1]]
    assert db.prepare("SELECT 2 AS x").sync.first("x") == 2
    assert db.sync.exec("SELECT 1; SELECT 2").count == 2
    assert db.sync.prepare("INSERT INTO seen (n) VALUES (5)").run().meta.changes == 1
    try:
        db.sync.prepare("INSERT INTO pets VALUES (99)").run()
    except BindingError as error:
        assert "FOREIGN KEY" in str(error)
    else:
        raise AssertionError("no error")
    first, second = db.sync.batch([db.sync.prepare("SELECT 1 AS a"), db.prepare("SELECT 2 AS a")])
    assert first.results + second.results == [{"a": 1}, {"a": 2}]


async def sessions(db):
    session = db.withSession("first-primary")
    assert session.getBookmark() is None
    await session.prepare("INSERT INTO people (name) VALUES ('in a session')").run()
    bookmark = session.getBookmark()
    later = db.with_session(bookmark)
    assert later.get_bookmark() == bookmark
    assert await later.prepare("SELECT count(*) AS n FROM people WHERE name = 'in a session'").first("n") == 1
    await later.batch([db.prepare("SELECT 1")])
    assert later.getBookmark() >= bookmark


async def from_javascript(db):
    there = import_from_javascript("cloudflare:workers").env.DB
    got = (await there.prepare("SELECT ? AS a, ? AS b, NULL AS c, x'00ff' AS d").bind(1, "two").all()).to_py()
    assert got["success"] and [row | {"c": 0} for row in got["results"]] == [{"a": 1, "b": "two", "c": 0, "d": [0, 255]}], got
    assert await there.prepare("SELECT 7 AS n").first("n") == 7
    bytes_ = js.Uint8Array.new([1, 2])
    assert await there.prepare("SELECT hex(?) AS h").bind(bytes_).first("h") == "0102"
    assert (await there.exec("SELECT 1")).count == 1
    session = there.withSession()
    await session.prepare("SELECT 1").run()
    assert session.getBookmark()
    try:
        await there.prepare("SELECT nonsense").all()
    except Exception as error:
        assert "D1_ERROR: no such column: nonsense: SQLITE_ERROR" in str(error), error
    else:
        raise AssertionError("no error")


TESTS = named(types, statements, on_the_spot, batches, errors, sync, sessions, from_javascript)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = urlsplit(request.url).path[1:]
        if name == "count":
            count = await self.env.DB.prepare("SELECT count(*) AS n FROM people").first("n")
            return Response.json(count)
        await TESTS[name](self.env.DB)
        return Response("ok")
