"""JavaScript's objects in Python: attributes, calls, classes, what they look like."""

import js as js_module
from pyodide.ffi import JsCallable, JsDoubleProxy, JsException, JsProxy, create_proxy, to_js
from suite import js, jsnull, only, raises, same


def attributes_are_properties():
    o = js("({x: 2, y: '9', typeof: 7, nested: {deep: [1]}})")
    assert [o.x, o.y, o.nested.deep[0]] == [2, "9", 1]
    # A word of our own comes before a property.
    same(o.typeof, "object")
    o.z = 5
    assert js("(o) => o.z")(o) == 5
    del o.z
    assert not hasattr(o, "z")


def missing_attributes():
    o = js("({there: undefined})")
    assert o.there is None
    with raises(AttributeError, "missing"):
        o.missing  # noqa: B018
    assert getattr(o, "missing", 3) == 3
    assert not hasattr(o, "missing")


def deleting_a_missing_attribute():
    # As in JavaScript.
    o = js("({})")
    del o.missing


def attributes_of_a_prototype():
    o = js("new (class Point { constructor() { this.x = 1 } get double() { return this.x * 2 } static s = 4 })")
    assert o.double == 2
    assert o.constructor.s == 4
    same(o.constructor.name, "Point")


def getters_that_throw():
    o = js("({get broken() { throw new RangeError('no') }})")
    with raises(JsException, "RangeError: no"):
        o.broken  # noqa: B018


def setters_that_throw():
    o = js("({set broken(x) { throw new RangeError('no ' + x) }})")
    with raises(JsException, "RangeError: no 5"):
        o.broken = 5


def frozen_objects():
    o = js("Object.freeze({a: 1})")
    with raises(JsException, "TypeError"):
        js("'use strict'; (o) => { o.a = 2 }")(o)
    same(o.a, 1)


def names_that_python_reserves():
    o = js("({async: 1, await: 2, False: 3, nonlocal: 4, yield: 5, try: 6, assert: 7, match: 8, class: 9, is: 10})")
    assert [o.async_, o.await_, o.False_, o.nonlocal_, o.yield_, o.try_, o.assert_, o.class_, o.is_] == [1, 2, 3, 4, 5, 6, 7, 9, 10]
    same(o.match, 8)
    with raises(AttributeError):
        o.match_  # noqa: B018
    assert {"async_", "class_", "match"} <= set(dir(o))
    assert not {"async", "class"} & set(dir(o))
    o.async_ = 20
    assert js("(o) => o.async")(o) == 20
    assert getattr(o, "async") == 20
    del o.async_
    assert not hasattr(o, "async_")
    assert not hasattr(o, "async")


def reserved_names_with_more_underscores():
    o = js("({async: 1, async_: 2, async__: 3})")
    assert [o.async_, o.async__, o.async___] == [1, 2, 3]
    assert {"async_", "async__", "async___"} <= set(dir(o))


def attributes_with_any_name():
    o = js("({'with space': 1, 'ä': 2, '🐍': 3, '': 4, '0': 5, 'a-b': 6})")
    assert [getattr(o, name) for name in ["with space", "ä", "🐍", "", "0", "a-b"]] == [1, 2, 3, 4, 5, 6]


def dir_lists_properties_and_methods():
    plain, function = js("({x: 2})"), js("(function () {})")
    assert {"x", "constructor", "toString", "typeof", "__class__", "__bool__"} <= set(dir(plain))
    assert not {"__call__", "new"} & set(dir(plain))
    assert {"__call__", "new"} <= set(dir(function))
    assert "x" not in dir(function)


def dir_of_an_array_leaves_out_its_elements():
    a = js("let a = [1, 2, 3]; a[27] = 0; a.word = 0; a[':'] = 0; a")
    names = set(dir(a))
    assert not {"0", "2", "27"} & names
    assert {"word", ":"} <= names


def a_proxy_trap_decides_what_exists():
    o = js("new Proxy({}, {get: (_, k) => ({a: 3, b: 7})[k], has: (_, k) => k === 'a' || k === 'c'})")
    assert o.a == 3
    assert o.b == 7
    assert o.c is None
    with raises(AttributeError):
        o.d  # noqa: B018


def truth():
    yes = ["{}", "{a: 1}", "[1]", "new Map([[0, 0]])", "new Set([0])", "class T {}", "new (class T {})", "() => {}",
           "new Uint8Array(1)", "new ArrayBuffer(1)", "new Date(0)", "Symbol.iterator"]
    no = ["[]", "new Map()", "new Set()", "new Uint8Array(0)", "new ArrayBuffer(0)"]
    for text in yes:
        assert bool(js(f"({text})")) is True, text
    for text in no:
        assert bool(js(f"({text})")) is False, text


def functions_are_called():
    count = js("(function () { return arguments.length })")
    assert [count(*range(n)) for n in range(12)] == list(range(12))
    assert isinstance(count, JsCallable)
    assert callable(count)


def keyword_arguments_become_a_last_object():
    f = js("({a = 1, b = 1}) => [a, b]")
    same(f(b=2, a=10).to_py(), [10, 2])
    g = js("(first, {x = 1, y = 2}) => [first, x, y]")
    same(g(5, y=7).to_py(), [5, 1, 7])


def methods_have_their_object_as_this():
    o = js("({x: 5, get() { return this.x }, me() { return this }, kw({a}) { return [this.x, a] }})")
    assert o.me() == o
    same(o.kw(a=3).to_py(), [5, 3])
    method = o.me
    assert method() == o


def functions_have_no_this():
    assert js("(function () { 'use strict'; return this === undefined })")() is True
    wrapped = js("new Proxy(() => 1, {apply: (f, self, args) => self === undefined})")
    assert wrapped() is True


def functions_as_methods_of_python_classes():
    class Box:
        value = 7
        read = js("(function (name) { return this[name] })")

    assert Box().read("value") == 7
    assert Box().read("nothing") is None


def constructors():
    Point = js("(class Point { constructor(x, y) { this.x = x; this.y = y } })")
    p = Point.new(3, 4)
    assert (p.x, p.y) == (3, 4)
    assert js("(p, P) => p instanceof P")(p, Point)
    same(js_module.Date.new(0).getTime(), 0)
    same(js_module.Array.new(1, 2).to_py(), [1, 2])
    same(js_module.Map.new([[1, 2]]).get(1), 2)


def constructors_with_keyword_arguments():
    C = js("(class { constructor(a, {b}) { this.sum = a + b } })")
    assert C.new(1, b=2).sum == 3


def classes_cannot_be_called():
    C = js("(class C {})")
    with raises(JsException, "TypeError"):
        C()


def functions_that_are_no_constructors():
    with raises(JsException, "TypeError"):
        js("(() => {})").new()


def calling_what_is_no_function():
    with raises(TypeError, "not callable"):
        js("({})")()


def subclass_of_a_built_in_class():
    stack = js("(class Stack extends Array { top() { return this.at(-1) } })").new()
    stack.push(1, 2)
    assert stack.top() == 2
    assert len(stack) == 2


def private_members_and_statics():
    C = js("(class { #secret = 5; static count = 1; get secret() { return this.#secret } })")
    assert C.new().secret == 5
    C.count += 1
    assert C.count == 2


def the_same_object_has_the_same_id():
    x, y, z = js("let o = {}; [o, o, {}]")
    assert x.js_id == y.js_id
    assert x is not y
    assert x == y
    assert x != z
    with raises(TypeError, "unhashable"):
        hash(x)


def equality_with_other_types():
    o = js("({})")
    assert o != 1
    assert o != "[object Object]"
    assert o != {}
    assert o is not None


def representation():
    same(repr(js("({})")), "[object Object]")
    same(repr(js("Object.create(null)")), "[object Object]")
    same(str(js("[1, [2, 3]]")), "1,2,3")
    same(str(js("new Map()")), "[object Map]")
    same(str(js("({toString() { return 'mine' }})")), "mine")
    same(str(js("({get toString() { throw 1 }, [Symbol.toStringTag]: 'Tag'})")), "[object Tag]")
    same(str(js("new Date(NaN)")), "Invalid Date")
    same(str(js("/a+/g")), "/a+/g")


def representation_that_fails():
    with raises(JsException, "no text"):
        str(js("({toString() { throw new Error('no text') }})"))
    with raises(JsException, "no tag"):
        str(js("({get [Symbol.toStringTag]() { throw new Error('no tag') }})"))


def types():
    same(js("(class {})").typeof, "function")
    same(js("({})").typeof, "object")
    assert issubclass(type(js("[]")), JsProxy)
    assert isinstance(js("({})"), JsProxy)
    assert not isinstance(js("5"), JsProxy)
    with raises(TypeError, "JsProxy"):
        JsProxy()


def entries_keys_values():
    o = js("({a: 2, b: 3, 1: 4})")
    same(o.object_entries().to_py(), [["1", 4], ["a", 2], ["b", 3]])
    same(o.object_keys().to_py(), ["1", "a", "b"])
    same(o.object_values().to_py(), [4, 2, 3])


def revoked_proxies_do_no_harm():
    p = js("{ const r = Proxy.revocable({}, {}); r.revoke(); r.proxy }")
    js("(x) => 1")(p)
    with raises(JsException, "TypeError"):
        str(p)
    with raises(JsException, "TypeError"):
        p.x  # noqa: B018


def a_proxy_of_an_array_is_an_array():
    p = js("new Proxy([1, 2, 3], {})")
    assert list(p) == [1, 2, 3]
    assert len(p) == 3
    assert p[1] == 2


def a_proxy_of_a_function_is_callable():
    assert js("new Proxy((x) => x + 1, {})")(1) == 2


def python_objects_come_back_themselves():
    class Thing:
        pass

    identity = js("(x) => x")
    for thing in [Thing(), [], {}, set(), Thing, len, (1, 2), b"", lambda: 1, object(), range(3), Exception("x")]:
        assert identity(thing) is thing


def double_proxies():
    p = create_proxy([1], roundtrip=True)
    assert isinstance(p, JsDoubleProxy)
    assert js("(x) => x")(p) == p
    same(p.unwrap(), [1])
    p.destroy()
    q = create_proxy([1], roundtrip=True)
    assert isinstance(js("(x) => x")(q), JsDoubleProxy)
    q.destroy()


def attributes_of_functions():
    f = js("function f(a, b) {}; f.extra = 3; f")
    assert [f.extra, f.length, f.name] == [3, 2, "f"]
    f.more = 4
    assert js("(f) => f.more")(f) == 4


def bound_and_applied_functions():
    f = js("(function (...a) { return [this?.x, ...a] })")
    o = js("({x: 1})")
    same(f.bind(o, 2)(3).to_py(), [1, 2, 3])
    same(f.call(o, 5).to_py(), [1, 5])
    same(f.apply(o, to_js([6, 7])).to_py(), [1, 6, 7])


def comparison_of_null_properties():
    o = js("({a: null})")
    assert o.a is jsnull
    assert not o.a


def attributes_take_python_objects():
    thing = {"k": [1]}
    o = js("({})")
    o.thing = thing
    assert o.thing is thing
    js("(o) => { o.thing.destroy(); delete o.thing }")(o)


def global_functions():
    same(js_module.parseInt("42px"), 42)
    same(js_module.isNaN(float("nan")), True)
    same(js_module.encodeURIComponent("a b&c"), "a%20b%26c")
    same(js_module.JSON.stringify(to_js([1, {"a": None}])), '[1,{}]')
    same(js_module.JSON.parse('{"a": [1, null]}').to_py(), {"a": [1, jsnull]})
    same(js_module.Math.max(1, 5, 3), 5)


@only("taipan", "Node has modules of its own")
def the_global_object_is_itself():
    assert js_module.globalThis == js_module.self
    assert js_module.self.self.Array == js_module.Array
    assert js_module.Array != js_module.self


def regular_expressions_cross():
    m = js("/(?<word>b+)c/")
    found = m.exec("abbc")
    assert found.groups.word == "bb"
    assert js('(m) => m.index')(found) == 1
    assert m.exec("x") is jsnull


def template_and_tagged_calls():
    same(js("((s, ...v) => s.raw.join('|') + v)`a${1}b\\n`"), "a|b\\n1")
