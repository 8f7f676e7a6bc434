"""Deep conversion: `to_js`, `to_py` and their options."""

import collections
import datetime
import json

from js import Array, Map, Object
from pyodide.ffi import ConversionError, JsArray, JsException, JsProxy, destroy_proxies, to_js
from suite import js, jsnull, only, raises, same

_kind = js("(x) => x?.constructor?.name")
_json = js("(x) => JSON.stringify(x)")
_is_proxy = js("(x) => x !== undefined && x !== null && typeof x.destroy === 'function' && 'type' in x")


class _Thing:
    pass


def lists_and_tuples_become_arrays():
    for source in ([1, "a", None, 2.5], (1, "a", None, 2.5)):
        a = to_js(source)
        assert isinstance(a, JsArray)
        same(_json(a), '[1,"a",null,2.5]')


def dicts_become_objects():
    o = to_js({"a": 1, 2: 3})
    same(_kind(o), "Object")
    same(_json(o), '{"2":3,"a":1}')


def sets_become_sets():
    s = to_js({1, 2})
    same(_kind(s), "Set")
    assert s.to_py() == {1, 2}


def nested_containers():
    source = {"list": [1, [2, {"three": (3,)}]], "none": None, "set": {4}}
    o = to_js(source)
    same(_json(o.list), '[1,[2,{"three":[3]}]]')
    assert o.none is None
    assert o.set.has(4)


def subclasses_of_containers():
    class L(list):
        pass

    Pair = collections.namedtuple("Pair", "a b")
    same(_json(to_js(L([1]))), "[1]")
    same(_json(to_js(Pair(1, 2))), "[1,2]")
    same(_json(to_js(collections.OrderedDict(a=1))), '{"a":1}')
    same(_json(to_js(collections.defaultdict(list, a=[1]))), '{"a":[1]}')
    same(_json(to_js(collections.Counter("aab"))), '{"a":2,"b":1}')


def what_is_no_container_becomes_a_proxy():
    for source in [_Thing(), len, datetime.date(2000, 1, 1), collections.deque([1]), range(3), (x for x in [])]:
        proxy = to_js(source)
        assert _is_proxy(proxy), source
        proxy.destroy()


def depth():
    source = [1, [2, [3, [4]]]]
    inner = js("(a, n) => { for (; n > 0; n--) a = a[1]; return [Array.isArray(a), a.type] }")
    for depth in range(4):
        r = to_js(source, depth=depth)
        same(inner(r, depth).to_py(), [False, "list"])
        if depth:
            same(inner(r, depth - 1).to_py(), [True, None])
    assert to_js(source, depth=1)[1] is source[1]
    with raises(TypeError):
        to_js(source, depth="x")


def recursion():
    a = []
    a.append(a)
    r = to_js(a)
    assert r[0] == r
    d = {}
    d["me"] = d
    r = to_js(d)
    assert r.me == r
    x, y = [], {}
    x.append(y)
    y["x"] = x
    r = to_js([x, y])
    assert r[0][0] == r[1]
    assert r[1].x == r[0]


def shared_parts_stay_shared():
    part = [1]
    r = to_js([part, part, {"k": part}])
    assert r[0] == r[1]
    assert r[2].k == r[0]


def sets_with_containers():
    with raises(ConversionError, "key for a Javascript Set"):
        to_js({(1, 2), "a"})
    same(to_js({1, "a", None}).size, 3)


def dictionaries_whose_keys_are_no_text():
    same(_json(to_js({1: "a", 2.5: "b", "c": "d"})), '{"1":"a","2.5":"b","c":"d"}')
    with raises(ConversionError):
        to_js({(1, 2): 3})
    m = to_js({1: "a", "1": "b"}, dict_converter=Map.new)
    assert m.get(1) == "a"
    assert m.get("1") == "b"


def dict_converter():
    d = {"a": 1, "b": [2]}
    same(_kind(to_js(d, dict_converter=Object.fromEntries)), "Object")
    same(_kind(to_js(d, dict_converter=Map.new)), "Map")
    same(_json(to_js(d, dict_converter=js("Array.from"))), '[["a",1],["b",[2]]]')
    same(_json(to_js([d, {"c": d}], dict_converter=Object.fromEntries)), '[{"a":1,"b":[2]},{"c":{"a":1,"b":[2]}}]')


def dict_converter_in_python():
    seen = []

    def convert(entries):
        seen.append(type(entries).__name__)
        return Object.fromEntries(entries)

    same(_json(to_js({"x": {"y": 1}}, dict_converter=convert)), '{"x":{"y":1}}')
    assert len(seen) == 2


def dict_converter_that_fails():
    def fail(entries):
        raise LookupError("converter")

    with raises(ConversionError) as caught:
        to_js({"a": 1}, dict_converter=fail)
    assert isinstance(caught.error.__cause__, LookupError)
    with raises(ConversionError) as caught:
        to_js({"a": 1}, dict_converter=js("() => { throw new RangeError('js') }"))
    assert isinstance(caught.error.__cause__, JsException)


def default_converter():
    def convert(thing, convert, cache):
        result = Object.new()
        cache(thing, result)
        result.inner = convert(thing.inner)
        return result

    thing = _Thing()
    thing.inner = [1, {"a": 2}]
    same(_json(to_js([thing], default_converter=convert)), '[{"inner":[1,{"a":2}]}]')


def default_converter_with_cycles():
    def convert(thing, convert, cache):
        result = Array.new()
        cache(thing, result)
        result.push(convert(thing.first))
        return result

    thing = _Thing()
    thing.first = thing
    r = to_js(thing, default_converter=convert)
    assert r[0] == r


def default_converter_in_javascript():
    date = datetime.datetime(2020, 1, 2)
    convert = js("(thing, convert, cache) => 'js:' + thing.type")
    same(_json(to_js([date], default_converter=convert)), '["js:datetime.datetime"]')


def default_converter_that_fails():
    def fail(thing, convert, cache):
        raise LookupError("default")

    with raises(ConversionError) as caught:
        to_js([_Thing()], default_converter=fail)
    assert isinstance(caught.error.__cause__, LookupError)


def eager_converter():
    def convert(thing, convert, cache):
        if isinstance(thing, tuple):
            return "tuple"
        return convert(thing)

    same(_json(to_js([(1,), [(2,)]], eager_converter=convert)), '["tuple",["tuple"]]')


def proxies_are_collected():
    proxies = Array.new()
    r = to_js([_Thing(), [_Thing(), {"a": _Thing()}]], pyproxies=proxies)
    same(len(proxies), 3)
    destroy_proxies(proxies)
    with raises(JsException, "Object has already been destroyed"):
        js("(r) => r[1][1].a.type")(r)


def proxies_that_are_not_wanted():
    for source in [_Thing(), [_Thing()], {"a": _Thing()}, [[[len]]]]:
        with raises(ConversionError):
            to_js(source, create_pyproxies=False)
    same(_json(to_js([1, {"a": None}], create_pyproxies=False)), '[1,{}]')


def lists_of_proxies_must_be_arrays():
    with raises(TypeError):
        to_js([], pyproxies=[])
    with raises(TypeError):
        to_js([], pyproxies=Object.new())


def javascript_objects_in_python_containers():
    o = js("({})")
    r = to_js([o, {"o": o}])
    assert r[0] == o
    assert r[1].o == o


def arrays_become_lists():
    r = js("[1, 'a', [2, [3]], undefined, true, 2.5]").to_py()
    assert r == [1, "a", [2, [3]], None, True, 2.5]
    assert type(r) is list


def objects_become_dicts():
    assert js("({a: 1, b: {c: [2]}, d: undefined, 5: 6})").to_py() == {"5": 6, "a": 1, "b": {"c": [2]}, "d": None}
    assert list(js("({z: 1, a: 2})").to_py()) == ["z", "a"]


def maps_and_sets_become_dicts_and_sets():
    assert js("new Map([[1, [2]], ['k', new Map()]])").to_py() == {1: [2], "k": {}}
    assert js("new Set([1, 'a'])").to_py() == {1, "a"}


def what_else_stays():
    for text in ["new Date(0)", "/x/", "new (class A {})", "() => 1", "new Error('x')", "new WeakMap()", "Symbol.iterator", "new URL('http://a.b')"]:
        o = js(f"({text})")
        assert isinstance(o.to_py(), JsProxy | JsException), text
        assert o.to_py() == o, text


def objects_without_a_prototype():
    o = js("Object.assign(Object.create(null), {a: 1})")
    assert o.to_py() == o or o.to_py() == {"a": 1}


def objects_with_a_class_or_a_tag_stay():
    assert isinstance(js("new (class A { x = 1 })").to_py(), JsProxy)
    assert isinstance(js("({[Symbol.toStringTag]: 'T', x: 1})").to_py(), JsProxy | dict)


def depth_to_python():
    r = js("[1, [2, [3]]]").to_py(depth=1)
    assert r[0] == 1
    assert isinstance(r[1], JsArray)
    r = js("({a: {b: {}}})").to_py(depth=2)
    assert isinstance(r["a"]["b"], JsProxy)
    assert isinstance(js("[1]").to_py(depth=0), JsProxy)


def recursion_to_python():
    a = js("const ra = []; ra.push(ra, {ra}); ra").to_py()
    assert a[0] is a
    assert a[1]["ra"] is a
    o = js("const ro = {}; ro.me = ro; ro.map = new Map([['m', ro]]); ro").to_py()
    assert o["me"] is o
    assert o["map"]["m"] is o


def shared_parts_stay_shared_in_python():
    r = js("const sp = {}; [sp, sp, [sp]]").to_py()
    assert r[0] is r[1]
    assert r[2][0] is r[0]


def getters_run_in_conversions():
    assert js("({get a() { return [1] }})").to_py() == {"a": [1]}
    with raises(JsException, "Error: getter"):
        js("({a: 1, get b() { throw new Error('getter') }})").to_py()


def hidden_properties_and_symbols_are_left_out():
    assert js("Object.defineProperty({a: 1, [Symbol('s')]: 2}, 'h', {value: 3, enumerable: false})").to_py() == {"a": 1}


def keys_of_maps_that_cannot_be_keys():
    with raises(JsException, "Cannot use key of type Array|element of type Array|Array"):
        js("new Map([[[1], 2]])").to_py()
    with raises(JsException, "Cannot use key of type Array|element of type Array|Array"):
        js("new Set([[1]])").to_py()


def keys_of_maps_that_would_be_the_same():
    with raises(JsException, "both 0 and false"):
        js("new Map([[0, 1], [false, 2]])").to_py()


def default_converter_to_python():
    def convert(value, convert, cache):
        if value.constructor.name == "Pair":
            result = []
            cache(value, result)
            result += [convert(value.first), convert(value.second)]
            return result
        return value

    pair = js("class Pair { constructor(a, b) { this.first = a; this.second = b } }; const pp = new Pair(1, [2]); pp.first = pp; pp")
    r = pair.to_py(default_converter=convert)
    assert r[0] is r
    assert r[1] == [2]
    date = js("({at: new Date(86400000)})")
    assert date.to_py(default_converter=lambda d, *_: d.getTime()) == {"at": 86400000}


def default_converter_to_python_that_fails():
    def fail(value, convert, cache):
        raise LookupError("no")

    with raises(LookupError, "no"):
        js("[new Date()]").to_py(default_converter=fail)


def python_objects_in_javascript_containers():
    thing = _Thing()
    a = js("(x) => [x]")(thing)
    # A borrowed proxy ends with the call.
    with raises(JsException, "destroyed"):
        js("(a) => a[0].type")(a)
    b = js("(x) => [x.copy()]")(thing)
    assert b.to_py() == [thing]
    assert b.to_py()[0] is thing
    js("(b) => b[0].destroy()")(b)


def buffers_in_containers():
    r = js("({bytes: new Uint8Array([1, 2])})").to_py()
    assert r["bytes"].tolist() == [1, 2]
    same(_kind(to_js([b"ab"])[0]), "Uint8Array")


def deep_structures():
    deep = []
    for _ in range(150):
        deep = [deep]
    r = to_js(deep).to_py()
    for _ in range(150):
        (r,) = r
    assert r == []


@only("taipan", "this ends Pyodide")
def too_deep_structures():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    try:
        to_js(deep)
    except (RecursionError, JsException, ConversionError):
        pass
    while deep:
        deep = deep.pop()


def too_deep_structures_to_python():
    deep = js("let deep = []; for (let i = 0; i < 100000; i++) deep = [deep]; deep")
    with raises((RecursionError, JsException, ConversionError)):
        deep.to_py()


def json_there_and_back():
    source = {"a": [1, 2.5, "x", True, None, {"b": []}], "ü": "🐍", "": 0}
    same(json.loads(_json(to_js(source))), source)
    assert js("(t) => JSON.parse(t)")(json.dumps(source)).to_py() == {**source, "a": [1, 2.5, "x", True, jsnull, {"b": []}]}


def many_elements():
    numbers = list(range(50_000))
    assert to_js(numbers).to_py() == numbers
    words = {f"key {i}": str(i) for i in range(5_000)}
    assert to_js(words).to_py() == words


def numbers_of_every_kind_in_containers():
    source = [0, -1, 2**31, 2**53 + 1, -(2**70), 0.5, float("inf")]
    assert to_js(source).to_py() == source


def exceptions_in_containers():
    error = ValueError("v")
    r = to_js([error])
    assert r[0] is error or isinstance(r[0], JsProxy)
    js("(r) => r[0].destroy?.()")(r)


def names_for_annotations():
    """What says which converters and responses there are."""
    from pyodide.ffi import JsFetchResponse, ToJsConverter

    assert isinstance(JsFetchResponse, type)
    assert ToJsConverter
