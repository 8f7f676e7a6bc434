"""Iterators, generators and context managers of JavaScript in Python."""

import asyncio

from pyodide.ffi import (
    JsAsyncGenerator,
    JsAsyncIterable,
    JsAsyncIterator,
    JsException,
    JsGenerator,
    JsIterable,
    JsIterator,
    create_proxy,
)
from suite import js, jsnull, raises, same


def iterables():
    for text in ["[1, 2, 3]", "new Set([1, 2, 3])", "({*[Symbol.iterator]() { yield 1; yield 2; yield 3 }})"]:
        o = js(text)
        assert isinstance(o, JsIterable)
        assert list(o) == [1, 2, 3], text
        assert [*o] == [1, 2, 3]
        assert max(o) == 3


def iterators():
    it = js("let n = 0; ({next: () => n < 3 ? {value: n++, done: false} : {done: true}})")
    assert isinstance(it, JsIterator)
    assert iter(it) is it
    assert list(it) == [0, 1, 2]
    with raises(StopIteration):
        next(it)


def maps_and_their_views():
    m = js("new Map([['a', 1], ['b', 2]])")
    assert list(m) == ["a", "b"]
    assert [pair.to_py() for pair in js("(m) => m.entries()")(m)] == [["a", 1], ["b", 2]]


def objects_are_not_iterable():
    with raises(TypeError, "not iterable"):
        iter(js("({})"))
    with raises(TypeError, "not iterable"):
        list(js("({a: 1})"))


def iterators_that_throw():
    it = js("({*[Symbol.iterator]() { yield 1; throw new RangeError('in the middle') }})")
    with raises(JsException, "RangeError: in the middle"):
        list(it)


def iterators_that_give_nonsense():
    with raises(TypeError, "non-iterator of type 'int'"):
        list(js("({[Symbol.iterator]() { return 5 }})"))
    with raises(TypeError, "Result should have type"):
        next(js("({next() { return 2 }})"))
    with raises(TypeError, "done"):
        next(js("({next() { return {} }})"))
    with raises(TypeError, "promise"):
        next(js("({next() { return Promise.resolve({done: true}) }})"))


def iteration_of_what_changes():
    a = js("[1, 2, 3]")
    seen = []
    for x in a:
        seen.append(x)
        if len(a) < 5:
            a.push(x * 10)
    assert seen == [1, 2, 3, 10, 20]


def unpacking():
    a, (b, *rest), c = js("[1, [2, 3, 4], new Set([5])]")
    assert (a, b, rest, list(c)) == (1, 2, [3, 4], [5])
    first, *_ = js("'text'")
    assert first == "t"


def generators_are_sent_values():
    it = js("(function* () { let n = 0; for (let i = 0; i < 3; i++) n = yield n + 2; return 'end' })()")
    assert isinstance(it, JsGenerator)
    assert not isinstance(it, JsAsyncGenerator)
    assert it.send(None) == 2
    assert it.send(2) == 4
    assert it.send(3) == 5
    with raises(StopIteration) as caught:
        it.send(4)
    same(caught.error.value, "end")


def generators_are_thrown_exceptions():
    g = js("(function* () { try { yield 1 } finally { yield 2 } })()")
    assert next(g) == 1
    assert g.throw(TypeError("hi")) == 2
    with raises(TypeError, "hi"):
        next(g)


def generators_catch_exceptions():
    g = js("(function* () { for (;;) try { yield 1 } catch (e) { yield e.message } })()")
    next(g)
    assert "ValueError: no" in g.throw(ValueError("no"))


def generators_are_closed():
    log = []
    proxy = create_proxy(log)
    g = js("(function* (log) { try { yield 1; yield 2 } finally { log.append('finally') } })")(proxy)
    assert next(g) == 1
    assert g.close() is None
    proxy.destroy()
    assert log == ["finally"]


def generators_that_refuse_to_close():
    g = js("(function* () { try { yield 1 } finally { yield 2 } })()")
    next(g)
    with raises(RuntimeError, "generator ignored return"):
        g.close()


def delegation():
    def outer():
        result = yield from js("(function* () { const got = yield 1; yield got; return 9 })()")
        yield result

    g = outer()
    assert next(g) == 1
    assert g.send(5) == 5
    assert next(g) == 9


def arguments_of_generators_live_as_long_as_they():
    g = js("(function* (x) { const all = [x]; for (let i = 0; i < 3; i++) all.push(yield); return all.map(String).join() })")({1})
    g.send(None)
    g.send({2})
    g.send({3})
    with raises(StopIteration) as caught:
        g.send({4})
    same(caught.error.value, "{1},{2},{3},{4}")


async def async_iterables():
    o = js("({async *[Symbol.asyncIterator]() { yield 1; yield 2 }})")
    assert isinstance(o, JsAsyncIterable)
    assert not isinstance(o, JsIterable)
    assert [x async for x in o] == [1, 2]
    with raises(TypeError, "not iterable"):
        iter(o)


async def async_iterators():
    it = js("(async function* () { yield 2; yield 3; return 7 })()")
    assert isinstance(it, JsAsyncIterator)
    assert isinstance(it, JsAsyncGenerator)
    assert not isinstance(it, JsIterator)
    assert await anext(it) == 2
    assert await anext(it) == 3
    with raises(StopAsyncIteration):
        await anext(it)
    assert await anext(it, "default") == "default"


async def async_iterators_wait():
    it = js("(async function* () { for (let i = 0; i < 3; i++) { await new Promise((r) => setTimeout(r, 1)); yield i } })()")
    assert [x async for x in it] == [0, 1, 2]


async def async_generators_are_sent_values():
    it = js("(async function* () { let n = 0; for (let i = 0; i < 3; i++) n = yield n + 2 })()")
    assert [await it.asend(None), await it.asend(2), await it.asend(3)] == [2, 4, 5]
    with raises(StopAsyncIteration):
        await it.asend(4)


async def async_generators_are_thrown_exceptions():
    g = js("(async function* () { try { yield 1 } catch (e) { yield e.message } })()")
    await anext(g)
    assert "KeyError" in await g.athrow(KeyError("k"))


async def async_generators_are_closed():
    log = []
    proxy = create_proxy(log)
    g = js("(async function* (log) { try { yield 1 } finally { log.append('finally') } })")(proxy)
    await anext(g)
    assert await g.aclose() is None
    assert await g.aclose() is None
    proxy.destroy()
    assert log == ["finally"]


async def async_iterators_that_reject():
    with raises(JsException, "Error: no more"):
        async for _ in js("(async function* () { yield 1; throw new Error('no more') })()"):
            pass


def python_iterators_in_javascript():
    spread = js("(x) => [...x]")
    same(spread(x * x for x in range(4)).to_py(), [0, 1, 4, 9])
    same(spread(range(3)).to_py(), [0, 1, 2])
    same(spread({"a": 1, "b": 2}).to_py(), ["a", "b"])
    same(spread(zip("ab", [1, 2], strict=True))[1], ("b", 2))
    same(sorted(spread({3, 1, 2})), [1, 2, 3])


def python_iterators_that_fail_in_javascript():
    def broken():
        yield 1
        raise LookupError("broken")

    with raises(LookupError, "broken"):
        js("(x) => [...x]")(broken())
    assert js("(x) => { try { [...x] } catch (e) { return e.type } }")(broken()) == "LookupError"


def loops_left_early_close_python_generators():
    log = []

    def numbers():
        try:
            yield 1
            yield 2
        finally:
            log.append("closed")

    js("(x) => { for (const _ of x) break }")(numbers())
    assert log == ["closed"]


def destructuring_python_objects():
    same(js("([a, [b], ...rest]) => [a, b, rest.length]")([1, [2], 3, 4]).to_py(), [1, 2, 2])
    same(js("({a, b = 5}) => [a, b]")(type("T", (), {"a": 1})).to_py(), [1, 5])


async def python_async_generators_in_javascript():
    async def numbers():
        for i in range(3):
            await asyncio.sleep(0)
            yield i

    collect = js("async (x) => { const all = []; for await (const v of x) all.push(v); return all }")
    same((await collect(numbers())).to_py(), [0, 1, 2])


def context_managers():
    opened = js("() => ({x: 9, closed: false, [Symbol.dispose]() { this.closed = true }})")
    with opened() as o:
        assert o.x == 9
        assert not o.closed
    assert o.closed
    with raises(ValueError, "inside"), opened() as o:
        raise ValueError("inside")
    assert o.closed


def context_managers_that_throw():
    with raises(JsException, "cannot close"):
        with js("({[Symbol.dispose]() { throw new Error('cannot close') }})"):
            pass


async def async_context_managers():
    opened = js(
        "() => ({closed: false, async [Symbol.asyncDispose]() {"
        " await new Promise((r) => setTimeout(r, 2)); this.closed = true }})"
    )
    async with opened() as o:
        assert not o.closed
    assert o.closed
    with raises(ValueError):
        async with opened() as o:
            raise ValueError
    assert o.closed


async def async_context_managers_that_do_not_wait():
    async with js("({closed: false, [Symbol.asyncDispose]() { this.closed = true }})") as o:
        assert not o.closed
    assert o.closed


def objects_without_dispose_are_no_context_managers():
    with raises(TypeError, "context manager"):
        with js("({})"):
            pass


def iterator_results_of_null():
    assert list(js("[null, undefined]")) == [jsnull, None]


def iterators_of_javascript_helpers():
    same([x.to_py() for x in js("Object.entries({a: 1})")], [["a", 1]])
    same(list(js("[1, 2, 3].values()")), [1, 2, 3])
    same(list(js("'a🐍'[Symbol.iterator]()")), ["a", "🐍"])
    same(list(js("new Map([[1, 2]]).keys()")), [1])
