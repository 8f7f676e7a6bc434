import asyncio
import ssl
import traceback
from urllib.parse import urlsplit

import pg8000.dbapi
import pg8000.native
import redis
import redis.asyncio
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = urlsplit(request.url).path.split("/")[1]
        try:
            result = globals()[f"case_{name}"](self.env)
            return Response.json(await result if asyncio.iscoroutine(result) else result)
        except Exception:
            return Response(traceback.format_exc(), status=500)


def connect(env, **options):
    return pg8000.native.Connection(
        "taipan", host="127.0.0.1", port=int(env.POSTGRES_PORT), database="postgres", password=env.POSTGRES_PASSWORD, **options
    )


def case_postgres(env):
    db = connect(env, timeout=20)
    db.run("CREATE TEMPORARY TABLE book (id SERIAL, title TEXT, price NUMERIC)")
    for title, price in [("Ünïcode", 1), ("The second", 2)]:
        db.run("INSERT INTO book (title, price) VALUES (:title, :price)", title=title, price=price)
    rows = db.run("SELECT id, title, price::int FROM book ORDER BY id")
    [[big]] = db.run("SELECT repeat('x', 1000000)")
    try:
        db.run("SELECT nonsense")
    except pg8000.native.DatabaseError as error:
        failed = error.args[0]["C"]
    db.close()
    try:
        pg8000.native.Connection("taipan", host="127.0.0.1", port=int(env.POSTGRES_PORT), database="postgres", password="wrong")
    except pg8000.native.DatabaseError as error:
        refused = error.args[0]["C"]
    return [rows, len(big), failed, refused]


def case_tls(env):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    db = connect(env, ssl_context=context)
    [[secure, version]] = db.run("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    db.close()
    try:
        connect(env, ssl_context=ssl.create_default_context())
    except Exception as error:
        refused = type(error).__name__
    return [secure, version, refused]


def case_redis(env):
    db = redis.Redis(port=int(env.REDIS_PORT), decode_responses=True, socket_timeout=20)
    db.set("name", "Wörker")
    pipe = db.pipeline()
    for i in range(100):
        pipe.rpush("list", i)
    pipe.execute()
    result = [db.get("name"), db.llen("list"), sum(map(int, db.lrange("list", 0, -1))), db.delete("list")]
    try:
        db.execute_command("NONSENSE")
    except redis.ResponseError:
        result.append("ResponseError")
    started = db.blpop("nothing", timeout=1)
    return [*result, started]


async def case_together(env):
    """Two connections of the asynchronous client: one waits for what the other sends."""
    port = int(env.REDIS_PORT)
    async with redis.asyncio.Redis(port=port) as one, redis.asyncio.Redis(port=port) as two:
        waiting = asyncio.create_task(one.blpop("queue", timeout=10))
        await asyncio.sleep(0.05)
        await two.rpush("queue", "message")
        key, value = await waiting
        big = "x" * 1_000_000
        await two.set("big", big)
        return [key.decode(), value.decode(), (await one.get("big")).decode() == big]
