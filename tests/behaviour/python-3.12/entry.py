"""What a Worker meets of JavaScript, asyncio and snapshots, on a Python that an older date selects."""

import asyncio
import ctypes
import json
import random
import sys
from random import Random

import js
import pyodide
from js import Array, Map, Object, Promise, Uint8Array
from pyodide.code import run_js
from pyodide.ffi import JsException, create_proxy, run_sync, to_js
from workers import Response, WorkerEntrypoint, after_restore


async def later(value):
    await asyncio.sleep(0.01)
    return value


at_import = run_sync(later(5))
drawn = random.random()
restored = []


@after_restore
def note():
    restored.append(random.random())


def conversions():
    nested = js.JSON.parse('{"list": [1, 2.5, "ä\U0001F600", true], "inner": {"x": [{}]}, "none": null}')
    python = nested.to_py()
    # Before 0.28, JavaScript's null is None.
    none = python.pop("none")
    assert (none is None) == (sys.version_info < (3, 13)), none
    assert python == {"list": [1, 2.5, "ä\U0001F600", True], "inner": {"x": [{}]}}, python
    assert js.JSON.stringify(to_js({"a": [1, {"b": None}]}, dict_converter=Object.fromEntries)) in (
        '{"a":[1,{}]}',
        '{"a":[1,{"b":null}]}',
    )
    assert Map.new([["k", 7]]).get("k") == 7 and Map.new().get("missing") is None
    assert bytes(Uint8Array.new([1, 2, 3]).to_py()) == b"\x01\x02\x03"
    assert list(Array.of(1, "b", None))[:2] == [1, "b"]
    assert js.BigInt("123456789012345678901234567890") == 123456789012345678901234567890
    assert run_js("x => x === null ? 'null' : typeof x")(None) == "undefined"
    assert run_js("[1, null]").length == 2
    assert run_js("() => null")() is run_js("() => null")()
    proxy = run_js("({f(a, b = 2) { return a * b }, get length() { return 3 }, then: undefined})")
    assert proxy.f(4) == 8 and len(proxy) == 3 and not hasattr(proxy, "missing")


def callbacks():
    seen = []
    callback = create_proxy(lambda *args: seen.append(args) or len(seen))
    assert run_js("(f) => f(1, 'two') + f()")(callback) == 3
    assert seen == [(1, "two"), ()], seen
    callback.destroy()
    assert run_js("f => f({a: [1]}).toString()")(lambda it: it.a[0] * 2) == "2"
    sort = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: x * 3)
    assert sort(14) == 42


def exceptions():
    try:
        run_js("() => { throw new RangeError('far') }")()
        raise AssertionError("not raised")
    except JsException as error:
        assert error.name == "RangeError" and "far" in str(error), error

    def fail():
        # What frees the function that has raised must not need this cache to keep the exception.
        sys._clear_type_cache()
        raise KeyError("inner")

    try:
        run_js("f => { try { f() } finally { globalThis.passed = true } }")(fail)
        raise AssertionError("not raised")
    except KeyError as error:
        assert error.args == ("inner",) and js.passed
    caught = run_js("f => { try { f() } catch (e) { return e.constructor.name + e.type } }")(fail)
    assert caught == "PythonErrorKeyError", caught
    for code in (lambda: [].pop(), lambda: int("x"), lambda: {}["k"], lambda: None.x):
        try:
            code()
            raise AssertionError("not raised")
        except (IndexError, ValueError, KeyError, AttributeError):
            pass


async def waiting():
    assert await Promise.resolve(4) == 4
    assert await asyncio.gather(later(1), later(2), asyncio.create_task(later(3))) == [1, 2, 3]
    try:
        await Promise.reject(js.Error.new("no"))
        raise AssertionError("not raised")
    except JsException as error:
        assert "no" in str(error)
    try:
        async with asyncio.timeout(0.01):
            await asyncio.Future()
        raise AssertionError("not raised")
    except TimeoutError:
        pass
    assert await run_js("async f => await f(20) + 1")(later) == 21
    assert run_sync(later(7)) == 7
    beside = asyncio.create_task(later(8))
    assert run_sync(later(9)) + await beside == 17
    try:
        run_sync(asyncio.Future())
        raise AssertionError("not raised")
    except (JsException, RuntimeError) as error:
        assert "can never happen" in str(error), error


def snapshots():
    # Module scope ran before the snapshot; generators were seeded anew after it.
    assert at_import == 5 and len(restored) == 1
    assert restored[0] != drawn and Random(1).random() == 0.13436424411240122
    text = json.dumps({"deep": [[i, str(i), {"k": i / 4}] for i in range(300)]})
    assert json.loads(text)["deep"][299] == [299, "299", {"k": 74.75}]
    # What is in the snapshot never dies; what is made now does.
    made = [object() for _ in range(1000)]
    assert sys.getrefcount(made[0]) < 10 and sys.getrefcount(json) > 1000


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.rsplit("/", 1)[1]
        if name == "version":
            return Response("{}.{} {}".format(*sys.version_info[:2], pyodide.__version__))
        if name == "fail":
            return Response(1 / 0)
        if name == "loop":
            while True:
                pass
        if name == "memory":
            return Response(str(len(bytearray(1 << 30))))
        if name == "echo":
            return Response(await request.text(), headers={"x-method": request.method})
        for check in (conversions, callbacks, exceptions, snapshots):
            check()
        await waiting()
        return Response("fine")
