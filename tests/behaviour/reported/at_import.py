"""What programs have at the top of their modules, which no snapshot may mind."""

import asyncio
import collections
import contextvars
import dataclasses
import datetime
import decimal
import enum
import functools
import hashlib
import io
import itertools
import logging
import os
import queue
import random
import re
import secrets
import string
import tempfile
import threading
import time
import types
import uuid
import weakref
from concurrent.futures import ThreadPoolExecutor

try:
    import sqlite3
except ModuleNotFoundError:
    # On Python 3.12 and 3.13 it is a package of its own.
    sqlite3 = None

import js
from pyodide.code import run_js
from pyodide.ffi import create_proxy, to_js

started, moment = time.monotonic(), datetime.datetime.now(datetime.UTC)
chance = [random.random(), uuid.uuid4(), secrets.token_hex(8), os.urandom(8), random.Random(7).random()]
lock, reentrant, condition, semaphore = threading.Lock(), threading.RLock(), threading.Condition(), threading.BoundedSemaphore(2)
event, items, local = threading.Event(), queue.Queue(), threading.local()
local.value = 1
task_event, task_items, task_lock = asyncio.Event(), asyncio.Queue(), asyncio.Lock()
variable = contextvars.ContextVar("variable", default=0)
pool = ThreadPoolExecutor(2)
pool.submit(int, "1").result()
digest, pattern, template = hashlib.sha256(b"a"), re.compile(r"(\d+)"), string.Template("$a")
folder = tempfile.mkdtemp()
file = open(f"{folder}/file", "w+")
file.write("before")
memory = io.BytesIO(b"bytes")
numbers = (i for i in itertools.count())
next(numbers)
if sqlite3 is not None:
    database = sqlite3.connect(":memory:")
    database.execute("create table t (x)")
    database.execute("insert into t values (1)")
money = decimal.Context(prec=5)
logger = logging.getLogger("reported")
Colour = enum.Enum("Colour", "RED BLUE")
Point = collections.namedtuple("Point", "x y")
Made = dataclasses.make_dataclass("Made", [("x", int)], slots=True)
partial = functools.partial(int, base=2)
module = types.ModuleType("made")
exec("def f(): return 5", module.__dict__)
js_object, js_function, js_array = js.Object.new(), run_js("(x) => x + 1"), to_js([1, [2]])
js_object.name = "kept"
proxy = create_proxy(lambda x: x * 2)
promise = run_js("Promise.resolve(6)")


class Thing:
    pass


thing = Thing()
reference = weakref.ref(thing)
loop = asyncio.new_event_loop()
future = asyncio.get_event_loop_policy().get_event_loop().create_future()


@functools.lru_cache
def cached(x):
    return object()


kept = cached(1)


async def use():
    """All of it, in an isolate that was made from a snapshot."""
    assert time.monotonic() >= started and datetime.datetime.now(datetime.UTC) >= moment
    assert random.random() != chance[0] and uuid.uuid4() != chance[1] and secrets.token_hex(8) != chance[2] and os.urandom(8) != chance[3]
    for held in (lock, reentrant, condition, semaphore, task_lock):
        if held is task_lock:
            async with held:
                pass
        else:
            with held:
                pass
    pool.submit(event.set).result()
    assert event.wait(1)
    event.clear()
    pool.submit(items.put, 1)
    assert items.get(timeout=1) == 1
    asyncio.get_running_loop().call_soon(task_event.set)
    await task_event.wait()
    await task_items.put(2)
    assert await task_items.get() == 2
    assert variable.get() == 0 and list(pool.map(abs, [-1])) == [1]
    assert hashlib.sha256(b"ab").digest() == (lambda d: (d.update(b"b"), d.digest())[1])(digest.copy())
    assert pattern.findall("1 22") == ["1", "22"] and template.substitute(a=1) == "1"
    file.seek(0)
    assert file.read() == "before" and os.listdir(folder) == ["file"]
    memory.seek(0)
    assert memory.read() == b"bytes" and next(numbers) >= 1
    assert sqlite3 is None or database.execute("select x from t").fetchall() == [(1,)]
    assert money.divide(1, 3) == decimal.Decimal("0.33333") and Colour.RED is Colour["RED"] and Point(1, 2).y == 2 and Made(1).x == 1
    assert partial("101") == 5 and module.f() == 5 and cached(1) is kept and reference() is thing
    assert js_object.name == "kept" and js_function(1) == 2 and js_array[1][0] == 2
    assert run_js("(f) => f(4)")(proxy) == 8 and await promise == 6
    if not future.done():
        asyncio.get_running_loop().call_soon(future.set_result, 3)
    assert await future == 3
    logger.warning("logged by a logger of module scope")
    return "all of it"
