import asyncio
import sys
import weakref

import pyodide_js
from pyodide.code import run_js
from pyodide.ffi import JsException, create_once_callable, create_proxy, to_js
from workers import Response, WorkerEntrypoint

COUNT = 8_000
#: Tracebacks are made of errors.
FEW = 500
#: What only a collector frees, in its own time.
CYCLES = ("errors of Python", "once")
identity = run_js("(x) => x")
call = run_js("(f) => f(1, 'text')")
spread = run_js("(x) => [...x].length")
use = run_js("(x) => { const c = x.copy(); const n = c.length; c.destroy(); return n }")
throw = run_js("(x) => { throw new Error('e') }")
catch = run_js("(f) => { try { f() } catch { return 1 } }")
get = run_js("(o) => o.attribute.length")
lose = run_js("(x) => { x.copy(); x.copy().attribute }")
target = run_js("({a: {b: [1, 2, 3]}, f(x) { return x }})")
thing = [1, 2, 3]


class Box:
    attribute = thing


box = Box()


def fail():
    raise ValueError


def throws():
    try:
        throw(thing)
    except JsException:
        pass


def once():
    call(create_once_callable(lambda *_: None))


def proxied():
    create_proxy(thing).destroy()


def converted():
    to_js({"a": [1, "b", {"c": None}]}).to_py()


KINDS = {
    "there and back": lambda: identity(thing),
    "strings": lambda: identity("text é 🐍"),
    "big integers": lambda: identity(2**70),
    "calls": lambda: call(lambda *_: None),
    "methods": lambda: target.f(5),
    "attributes": lambda: target.a.b[1],
    "iteration": lambda: spread(thing),
    "copies": lambda: use(thing),
    "attributes of Python": lambda: get(box),
    "errors": throws,
    "errors of Python": lambda: catch(fail),
    "created and destroyed": proxied,
    "once": once,
    "conversions": converted,
    "bytes": lambda: to_js(b"some bytes").to_bytes(),
}


def grown(name, operation):
    """Runs the operation many times, and says what there is more of than before, on either side."""
    count = FEW if name.startswith("errors") else COUNT
    for _ in range(count // 4):
        operation()
    before = sys.getallocatedblocks(), sys.getrefcount(thing), heap()
    for _ in range(count):
        operation()
    after = sys.getallocatedblocks(), sys.getrefcount(thing), heap()
    blocks, references, size = [y - x for x, y in zip(before, after, strict=True)]
    if blocks > 200 or references > 10 or (size > 512 << 10 and name not in CYCLES):
        return f"{name}: {blocks} blocks, {references} references, {size} bytes"
    return "flat"


heap = run_js("(m) => { const at = m._malloc(64); return () => { m._mallinfo(at); return m.HEAPU32[(at >> 2) + 7] } }")(pyodide_js._module)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "lost":
                for _ in range(200):
                    lost = Box()
                    alive.add(lost)
                    lost.content = bytearray(50_000)
                    lose(lost)
            case "alive":
                return Response("few" if len(alive) < 2500 else f"{len(alive)} are alive")
            case number:
                return Response(grown(*list(KINDS.items())[int(number)]))
        await asyncio.sleep(0)
        return Response("ok")


alive = weakref.WeakSet()
