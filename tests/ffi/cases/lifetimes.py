"""How long proxies live, and what they say afterwards."""

import asyncio
import gc
import sys
import weakref

from pyodide.ffi import JsException, create_once_callable, create_proxy, destroy_proxies, to_js
from suite import js, only, raises, same

_keep = js("(() => { let kept; return (x) => { const old = kept; kept = x; return typeof old } })()")
_type = js("(x) => x.type")


class _Thing:
    def method(self):
        return 7


def arguments_are_borrowed():
    store = js("(o, x) => { o.x = x }")
    o = js("({})")
    store(o, [1])
    with raises(JsException, "borrowed proxy was automatically destroyed at the end of a function call"):
        js("(o) => o.x.length")(o)


def copies_of_arguments_live_on():
    o = js("({})")
    thing = [1]
    js("(o, x) => { o.x = x.copy() }")(o, thing)
    assert o.x is thing
    js("(o) => o.x.destroy()")(o)


async def arguments_live_until_the_promise_settles():
    later = js("async (x) => { await new Promise((r) => setTimeout(r, 2)); return x.length }")
    assert await later([1, 2, 3]) == 3
    keep = js("async (o, x) => { await 0; o.x = x }")
    o = js("({})")
    await keep(o, [1])
    with raises(JsException, "borrowed proxy"):
        js("(o) => o.x.length")(o)


def created_proxies_live_until_destroyed():
    p = create_proxy([1, 2])
    o = js("({})")
    o.p = p
    assert js("(o) => o.p.length")(o) == 2
    p.destroy()
    with raises(JsException, "Object has already been destroyed"):
        js("(o) => o.p.length")(o)


def destroying_twice():
    p = create_proxy([])
    p.destroy()
    p.destroy()


def references_are_given_back():
    thing = _Thing()
    count = sys.getrefcount(thing)
    call = js("(x) => x.type")
    for _ in range(10):
        call(thing)
    assert sys.getrefcount(thing) == count
    p = create_proxy(thing)
    assert sys.getrefcount(thing) == count + 1
    p.destroy()
    assert sys.getrefcount(thing) == count
    o = to_js([thing, thing])
    js("(o) => { new Set(o).forEach((p) => p.destroy()) }")(o)
    assert sys.getrefcount(thing) == count


def results_are_given_away():
    made = js("(f) => f()")
    r = made(lambda: [1])
    assert sys.getrefcount(r) <= 2


def exceptions_do_not_keep_arguments():
    thing = _Thing()
    count = sys.getrefcount(thing)
    fail = js("(x) => { throw new Error('e') }")
    for _ in range(5):
        try:
            fail(thing)
        except JsException:
            pass
    assert sys.getrefcount(thing) == count


def attributes_are_cached_and_destroyed_with_their_object():
    class Outer:
        inner = _Thing()

    outer = Outer()
    inner = Outer.inner
    count = sys.getrefcount(inner)
    proxy = create_proxy(outer)
    assert js("(p) => p.inner === p.inner && p.inner.method() === 7")(proxy)
    assert sys.getrefcount(inner) > count
    proxy.destroy()
    assert sys.getrefcount(inner) == count


def attributes_of_destroyed_objects():
    class Outer:
        inner = _Thing()

    inner = js("(o) => { const p = o.copy(); const i = p.inner; p.destroy(); return () => i.method() }")(Outer())
    with raises(JsException, "destroyed in the process of destroying the proxy it was borrowed from"):
        inner()


def once_callables():
    calls = []
    f = create_once_callable(lambda x: calls.append(x) or 5)
    assert js("(f) => f(1)")(f) == 5
    with raises(JsException, "can only be called once"):
        js("(f) => f(2)")(f)
    assert calls == [1]


def once_callables_that_are_not_called():
    thing = _Thing()
    count = sys.getrefcount(thing)

    def f():
        return thing

    once = create_once_callable(f)
    once.destroy()
    del once, f
    assert sys.getrefcount(thing) == count


def once_callables_give_their_function_back():
    def f():
        pass

    reference = weakref.ref(f)
    once = create_once_callable(f)
    del f
    assert reference() is not None
    js("(f) => f()")(once)
    del once
    gc.collect()
    assert reference() is None


def destroy_proxies_takes_many():
    proxies = js("[]")
    for x in ([], {}, set()):
        proxies.push(create_proxy(x))
    destroy_proxies(proxies)
    for i in range(3):
        with raises(JsException, "already been destroyed"):
            js("(a, i) => a[i].type")(proxies, i)


def double_proxies_can_be_destroyed_by_javascript():
    p = create_proxy([1])
    js("(p) => p.destroy()")(p)
    with raises(JsException, "already been destroyed"):
        js("(p) => p.length")(p)


def roundtrips_leave_proxies_alone():
    p = create_proxy({1: 2}, roundtrip=True)
    js("(p) => p.destroy({destroyRoundtrip: false})")(p)
    assert js("(p) => p.get(1)")(p) == 2
    js("(p) => p.destroy({destroyRoundtrip: true})")(p)
    with raises(JsException, "already been destroyed"):
        js("(p) => p.get(1)")(p)


def returning_what_was_destroyed():
    p = create_proxy([])
    f = js("(p) => () => p")(p)
    js("(p) => p.destroy()")(p)
    with raises(JsException, "destroyed"):
        f()


def functions_as_event_handlers():
    hits = []
    handler = create_proxy(hits.append)
    target = js("new EventTarget()")
    target.addEventListener("x", handler)
    js("(t) => t.dispatchEvent(new Event('x'))")(target)
    target.removeEventListener("x", handler)
    js("(t) => t.dispatchEvent(new Event('x'))")(target)
    handler.destroy()
    assert len(hits) == 1


def what_debugging_adds():
    import pyodide_js

    old = pyodide_js.setDebug(True)
    try:
        o = js("({})")
        js("(o, x) => { o.x = x }")(o, [1])
        with raises(JsException, r'The object was of type "list" and had repr "\[1\]"'):
            js("(o) => o.x.length")(o)
    finally:
        pyodide_js.setDebug(old)


def objects_go_when_javascript_lets_go():
    class Gone:
        pass

    gone = Gone()
    reference = weakref.ref(gone)
    p = create_proxy(gone)
    del gone
    assert reference() is not None
    p.destroy()
    assert reference() is None


def captured_this():
    p = create_proxy(lambda self, x: (self.k, x), capture_this=True)
    o = js("({k: 1})")
    o.f = p
    assert js("(o) => o.f(2)")(o) == (1, 2)
    p.destroy()


@only("taipan", "V8 collects when it likes")
async def registries_tell_of_the_end_of_their_tokens():
    count = js("""
      (() => {
        let n = 0;
        const registry = new FinalizationRegistry((x) => (n += x));
        for (let i = 0; i < 10; i++) {
          const own = {}, other = {}, token = {}, kept = {};
          registry.register(own, 1, own);
          registry.register(other, 100, token);
          registry.register({}, 10000);
          registry.register(kept, 1000000, kept);
          registry.register(kept, 1000000, kept);
          if (!registry.unregister(kept) || registry.unregister(kept)) throw new Error("unregister");
          if (i % 2) registry.unregister(token);
        }
        return () => [n, registry][0];
      })()
    """)
    await asyncio.sleep(0.001)
    same(count(), 100510)


def using_declares_lifetimes():
    thing = _Thing()
    count = sys.getrefcount(thing)
    js("(x) => { const p = x.copy(); p[Symbol.dispose]() }")(thing)
    assert sys.getrefcount(thing) == count


def proxies_in_timers():
    import js as g

    p = create_proxy(lambda: None)
    timer = g.setTimeout(p, 100000)
    g.clearTimeout(timer)
    p.destroy()


def weak_references():
    from pyodide.ffi import JsWeakRef

    target = js("({a: 1})")
    weak = target.to_weakref()
    assert isinstance(weak, JsWeakRef)
    same(weak.deref().a, 1)
    assert weak.deref().js_id == target.js_id


def kinds_of_created_proxies():
    from pyodide.ffi import JsCallableDoubleProxy, JsDoubleProxy, JsOnceCallable

    def function():
        return 5

    double, once, plain = create_proxy(function), create_once_callable(function), create_proxy({})
    assert isinstance(double, JsCallableDoubleProxy)
    assert isinstance(once, JsOnceCallable)
    assert isinstance(plain, JsDoubleProxy)
    assert double.unwrap() is function
    for proxy in (double, plain):
        proxy.destroy()
    once.destroy()
