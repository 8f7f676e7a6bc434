"""JavaScript's Maps, and objects as maps, in Python: mappings."""

import json

from pyodide.ffi import JsException, JsMap, JsMutableMap, JsArray, JsProxy
from suite import js, raises, same


def maps_are_mappings():
    m = js("new Map([['x', 42], ['y', 43]])")
    assert isinstance(m, JsMutableMap)
    assert m["x"] == 42
    assert "y" in m
    assert len(m) == 2
    m["z"] = 1
    del m["y"]
    assert dict(m) == {"x": 42, "z": 1}
    with raises(KeyError, "y"):
        del m["y"]
    with raises(KeyError, "y"):
        m["y"]


def keys_values_and_items_are_views():
    m = js("new Map([[1, 2], [3, 4]])")
    assert set(m) == {1, 3}
    assert 1 in m.keys()
    assert m.keys() | {2} == {1, 2, 3}
    assert 2 in m.values()
    assert (1, 2) in m.items()
    assert set(m.items()) == {(1, 2), (3, 4)}


def methods_of_dicts():
    m = js("new Map([[1, 2], [3, 4]])")
    assert m.get(1, 7) == 2
    assert m.get(2, 7) == 7
    assert m.get(2) is None
    assert m.pop(1) == 2
    assert m.pop(1, 7) == 7
    with raises(KeyError):
        m.pop(1)
    assert m.setdefault(1, 8) == 8
    assert m.setdefault(3, 8) == 4
    assert m.setdefault(5) is None
    m.update({6: 7}, a=10)
    assert dict(m) == {1: 8, 3: 4, 5: None, 6: 7, "a": 10}
    assert m.popitem() in {(1, 8), (3, 4), (5, None), (6, 7), ("a", 10)}
    assert len(m) == 4
    m.clear()
    assert dict(m) == {}
    with raises(KeyError):
        m.popitem()


def keys_are_compared_as_javascript_does():
    m = js("new Map([[1, 'a'], ['1', 'b'], [undefined, 'c']])")
    assert m[1] == "a"
    assert m["1"] == "b"
    assert m[None] == "c"
    assert m[1.0] == "a"


def what_has_the_methods_is_a_mapping():
    o = js("({get: (k) => k === 'a' ? 1 : undefined, has: (k) => k === 'a', set() {}, delete() { return false }})")
    assert o["a"] == 1
    with raises(KeyError):
        o["b"]
    with raises(KeyError):
        del o["b"]
    assert "a" in o


def partial_protocols():
    assert js("({has: (x) => x === 1})").__contains__(1)
    assert 1 in js("({includes: (x) => x === 1})")
    assert len(js("({size: 10, length: 7})")) == 10
    assert js("({get: (x) => x})")[11] == 11
    with raises(TypeError, "not subscriptable"):
        js("({has() {}})")[1]
    with raises(TypeError, "item assignment"):
        js("({get() {}})")[1] = 2


def methods_that_go_away():
    o = js("({next() {}, length: 1, get() {}, set() {}, has() {}})")
    js("(o) => { for (const k in o) delete o[k] }")(o)
    for use in (lambda: next(o), lambda: o[0], lambda: o.__setitem__(0, 7), lambda: o.__delitem__(0)):
        with raises(JsException, "TypeError"):
            use()
    with raises(TypeError, "valid length"):
        len(o)


def objects_as_maps():
    o = js("({a: 2, b: 3, 1: 9})")
    with raises(TypeError, "not subscriptable"):
        o["a"]
    m = o.as_object_map()
    assert isinstance(m, JsMutableMap)
    assert not isinstance(o, JsMutableMap)
    assert set(m) == {"a", "b", "1"}
    assert m["a"] == 2
    assert 1 not in m
    assert "constructor" not in m
    del m["a"]
    assert not hasattr(o, "a")
    m["d"] = 36
    assert m.to_py() == {"b": 3, "d": 36, "1": 9}
    with raises(TypeError, "string"):
        m[1] = 2
    with raises(KeyError):
        del m[1]


def methods_of_objects_as_maps():
    m = js("({1: 2, 3: 4})").as_object_map()
    assert isinstance(m, JsMap)
    assert m.keys() | {"2"} == {"1", "2", "3"}
    assert m.get("2", 7) == 7
    assert m.pop("1") == 2
    assert m.setdefault("3", 8) == 4
    m.update({"6": 7})
    assert dict(m) == {"3": 4, "6": 7}
    m.clear()
    assert len(m) == 0


def hereditary_maps():
    o = js("({1: {2: 9, 3: 77}})")
    heirs, none = o.as_object_map(hereditary=True), o.as_object_map()
    assert heirs["1"]["3"] == 77
    assert [x["2"] for x in heirs.values()] == [9]
    with raises(TypeError):
        none["1"]["3"]


def json_adaptors():
    o = js("({a: [1, 2, {b: 7}], f: null})").as_py_json()
    assert isinstance(o, JsMap)
    assert o["a"][-1]["b"] == 7
    assert list(o.keys()) == ["a", "f"]
    assert [e["b"] for e in js("[{b: 1}, {b: 3}]").as_py_json()] == [1, 3]

    def plain(x):
        if isinstance(x, JsArray):
            return list(x)
        if isinstance(x, JsMap):
            return dict(x)
        raise TypeError

    same(json.dumps(o, default=plain), '{"a": [1, 2, {"b": 7}], "f": null}')


def what_can_be_a_map():
    for text in ["({[Symbol.iterator]() {}})", "({get() {}})", "({set() {}})", "({})"]:
        assert hasattr(js(text), "as_object_map"), text
        assert hasattr(js(text), "as_py_json"), text
    for text in ["({next() {}})", "new Uint8Array()", "new ArrayBuffer()", "new Error()", "() => {}"]:
        assert not hasattr(js(text), "as_object_map"), text
        assert not hasattr(js(text), "as_py_json"), text


def pattern_matching():
    match js("new Map([[1, 2], [3, 4]])"):
        case {1: x, 3: y}:
            assert (x, y) == (2, 4)
        case _:
            raise AssertionError("no match")
    match js("({a: 2})").as_object_map():
        case {"a": _, "d": _}:
            raise AssertionError("matches what is not there")
        case {"a": x}:
            assert x == 2


def maps_with_objects_as_keys():
    m, key = js("const key = {}; [new Map([[key, 1]]), key]")
    assert m[key] == 1
    assert js("({})") not in m
    assert isinstance(next(iter(m)), JsProxy)


def maps_with_python_objects_as_keys():
    key = object()
    from pyodide.ffi import create_proxy

    proxy = create_proxy(key)
    m = js("new Map()")
    m.set(proxy, 5)
    assert js("(m, p) => m.get(p)")(m, proxy) == 5
    proxy.destroy()


def weak_maps():
    w, key = js("const key2 = {}; [new WeakMap([[key2, 3]]), key2]")
    assert w[key] == 3
    assert key in w
