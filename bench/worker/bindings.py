"""Data of bindings; `bench/peer/bindings.py` has the same cases for Redis and for Python's own sqlite3.

A case that writes awaits what is on disk then.
"""

import asyncio

from workers import env

#: So many writes are under way at the same time.
AT_ONCE = 64
VALUE = "x" * 100
ROWS = 10_000
#: Messages that are sent and delivered together.
BATCH = 100


async def kv_get(n):
    kv = env.KV
    await kv.put("key", VALUE)
    for _ in range(n):
        await kv.get("key")


async def kv_put(n):
    kv, left = env.KV, iter(range(n))

    async def put():
        for i in left:
            await kv.put(f"key {i % 1000}", VALUE)

    await asyncio.gather(*(put() for _ in range(min(n, AT_ONCE))))


_made = False


async def _table():
    global _made
    if not _made:
        rows = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) SELECT i, '{VALUE}' FROM n"
        await env.DB.exec(
            "DROP TABLE IF EXISTS points; CREATE TABLE points (id INTEGER PRIMARY KEY, text TEXT); "
            f"INSERT INTO points {rows}; CREATE TABLE IF NOT EXISTS log (text TEXT)"
        )
        _made = True


async def d1_query(n):
    await _table()
    query = env.DB.prepare("SELECT text FROM points WHERE id = ?")
    for i in range(n):
        await query.bind(i % ROWS + 1).first()


async def d1_insert(n):
    await _table()
    insert = env.DB.prepare("INSERT INTO log (text) VALUES (?)")
    for _ in range(n):
        await insert.bind(VALUE).run()


#: Messages that have not been delivered.
_missing = 0


def arrived(count):
    """Messages have been delivered."""
    global _missing
    _missing -= count


async def queue(n):
    """Until the last of the messages is with its handler."""
    global _missing
    _missing = n
    left = iter([min(BATCH, n - at) for at in range(0, n, BATCH)])

    async def send():
        for count in left:
            await env.QUEUE.send_batch([{"body": VALUE, "content_type": "text"}] * count)

    await asyncio.gather(*(send() for _ in range(8)))
    # A future that only another event completes would pass for one that nothing does.
    while _missing > 0:
        await asyncio.sleep(0.0005)


CASES = {
    "kv get (Redis)": kv_get,
    "kv put, 64 at once (Redis)": kv_put,
    "queue, end to end (Redis)": queue,
    "d1 point query (sqlite3)": d1_query,
    "d1 insert, one by one (sqlite3)": d1_insert,
}
