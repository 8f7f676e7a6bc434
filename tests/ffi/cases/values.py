"""Values without identity: they cross by being translated."""

import math
import random
import sys

from pyodide.ffi import JsProxy, to_js
from suite import JsBigInt, js, jsnull, raises, same

_identity = js("(x) => x")
_type_of = js("(x) => typeof x")


def integers_keep_their_value():
    edges = [0, 1, -1, 255, 2**30 - 1, 2**30, -(2**30), -(2**30) - 1, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53 - 1]
    for n in edges + [2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**40, -(10**40), 2**200 + 1]:
        assert _identity(n) == n
        assert _identity(-n) == -n


def integers_of_any_size_at_random():
    generator = random.Random(7)
    for bits in range(1, 300):
        n = generator.getrandbits(bits)
        assert _identity(n) == n
        assert _identity(-n) == -n
        assert js("(a, b) => String(a) === b")(n, str(n))


def integers_are_numbers_up_to_the_safe_ones():
    for n, kind in {0: "number", 2**53 - 2: "number", 2**53: "bigint", -(2**53): "bigint", 10**30: "bigint"}.items():
        same(_type_of(n), kind)


def floats_keep_their_value():
    for x in [0.5, -1.5, 1e308, 5e-324, sys.float_info.max, sys.float_info.min, math.inf, -math.inf]:
        same(_identity(x), x)
    assert math.isnan(_identity(math.nan))


def whole_floats_come_back_as_integers():
    same(_identity(2.0), 2)
    same(_identity(-0.0), 0)
    same(_identity(float(2**53)), float(2**53))
    same(js("2 ** 53"), float(2**53))
    same(js("2 ** 53 - 1"), 2**53 - 1)


def negative_zero_arrives_in_javascript():
    assert js("(x) => Object.is(x, -0)")(-0.0)


def big_integers_arrive_as_big_integers():
    value = js("5n")
    assert isinstance(value, JsBigInt)
    assert isinstance(value, int)
    assert value == 5
    same(_type_of(value), "bigint")
    same(_type_of(int(value)), "number")
    same(_type_of(value + 1), "bigint")


def big_integers_compute():
    assert js("22n ** 22n") == 22**22
    assert js("-(2n ** 64n)") == -(2**64)
    assert js("(x) => x === 2n ** 64n")(2**64)
    assert js("(x) => x === -(2n ** 64n)")(-(2**64))
    assert js("-22n < -9007199254740992") is False
    assert js("(x) => x + 1n")(JsBigInt(3)) == 4


def big_integers_fill_typed_arrays():
    array = js("new BigInt64Array(3)")
    array[0] = JsBigInt(-5)
    array[1] = 2**60
    assert array[0] == -5
    assert array[1] == 2**60
    assert js("new BigUint64Array([2n ** 63n])")[0] == 2**63


def booleans():
    assert _identity(True) is True
    assert _identity(False) is False
    assert js("(x) => x === true")(True)


def none_is_undefined():
    assert _identity(None) is None
    same(_type_of(None), "undefined")
    assert js("undefined") is None


def null_is_a_value_of_its_own():
    for value in [js("null"), js("[null]")[0], js("() => null")(), js("({a: null})").a, js("new Map([[1, null]])")[1]]:
        assert value is jsnull
    assert js("(x) => x === null")(jsnull)
    assert js("[null, null]").to_py() == [jsnull, jsnull]
    assert not jsnull
    same(repr(jsnull), "jsnull")
    same(type(jsnull).__name__, "JsNull")


def null_is_null_in_json():
    import json

    same(json.dumps([jsnull, {"a": jsnull}]), '[null, {"a": null}]')


def strings_of_every_width():
    for text in ["", "a", "ascii", "pyodidé", "\xff" * 9, "ιωδιούχο", "碘化物", "🐍", "a🐍b", "\0inside\0", "\x7f\x80\xff\u0100"]:
        same(_identity(text), text)
        same(_identity(text * 1000), text * 1000)
        assert js("(text, n) => text.length === n")(text, len(text.encode("utf-16-le")) // 2)


def strings_at_random():
    generator = random.Random(3)
    ranges = [(0, 0x7F), (0, 0xFF), (0, 0xD7FF), (0x10000, 0x10FFFF)]
    for _ in range(300):
        low, high = generator.choice(ranges)
        text = "".join(chr(generator.randint(low, high)) for _ in range(generator.randint(0, 40)))
        same(_identity(text), text)
        same(js("(text) => Array.from(text, (c) => c.codePointAt(0))")(text).to_py(), [ord(c) for c in text])


def lone_surrogates_survive():
    for text in ["\ud800", "\udc00", "a\ud83d", "\udc0d\ud83d", "x\udfffy"]:
        same(_identity(text), text)
    same(js(r"'\ud800'"), "\ud800")
    same(js(r"'a\udc00b'"), "a\udc00b")


def surrogates_side_by_side_become_one_character():
    same(_identity("\ud83d\udc0d"), "🐍")


def strings_put_together_in_javascript():
    # QuickJS has ropes and slices, which must not show.
    same(js("let s = ''; for (let i = 0; i < 3000; i++) s += String.fromCharCode(97 + i % 26); s")[:3], "abc")
    same(js("'x'.repeat(100000) + 'é' + 'y'.repeat(100000)"), "x" * 100000 + "é" + "y" * 100000)
    same(js("('abc' + 'def'.repeat(2000)).slice(2, 5)"), "cde")
    same(js("('a'.repeat(9000) + '🐍').slice(-3)"), "a🐍")


def long_strings():
    text = "0123456789" * 300_000
    same(js("(s) => s.length")(text), 3_000_000)
    same(_identity(text), text)


def strings_and_numbers_are_not_wrapped_by_to_js():
    text = "not interned %d" % 5
    assert to_js(text) is text
    assert to_js(55) == 55
    assert to_js(None) is None
    assert to_js(True) is True


def symbols_are_proxies():
    symbol = js("Symbol.iterator")
    assert isinstance(symbol, JsProxy)
    same(symbol.typeof, "symbol")
    assert _identity(symbol) == symbol
    assert js("(s) => s === Symbol.iterator")(symbol)
    same(js("Symbol('text')").description, "text")
    same(str(js("Symbol.for('text')").toString()), "Symbol(text)")


def symbols_as_keys():
    key = js("Symbol('key')")
    o = js("({})")
    js("(o, k) => { o[k] = 7 }")(o, key)
    same(js("(o, k) => o[k]")(o, key), 7)
    m = js("new Map()")
    m[key] = 1
    assert m[key] == 1


def booleans_are_not_integers_in_collections():
    assert js("(x) => x === true")(to_js([True])[0])
    assert to_js([1, True]).to_py() == [1, True]
    assert [type(x) for x in to_js([1, True, 1.5]).to_py()] == [int, bool, float]


def subclasses_of_immutable_types():
    class Text(str):
        pass

    class Number(int):
        pass

    class Real(float):
        pass

    same(_identity(Text("x")), "x")
    same(_identity(Number(5)), 5)
    same(_identity(Real(1.5)), 1.5)
    same(_type_of(Number(2**60)), "bigint")


def enumerations():
    import enum

    class Colour(enum.IntEnum):
        RED = 3

    class Word(enum.StrEnum):
        HI = "hi"

    same(_identity(Colour.RED), 3)
    same(_identity(Word.HI), "hi")


def bytes_are_proxies():
    same(js("(b) => b.type")(b"abc"), "bytes")
    data = b"abc"
    assert _identity(data) is data


def complex_numbers_are_proxies():
    value = 1 + 2j
    assert _identity(value) is value
    same(js("(c) => c.type")(value), "complex")


def dates_are_proxies():
    date = js("new Date(86400000)")
    same(date.getTime(), 86400000)
    same(date.toISOString(), "1970-01-02T00:00:00.000Z")


def too_large_for_a_float():
    assert js("Number(2n ** 2000n)") == math.inf
    with raises(OverflowError):
        float(js("2n ** 2000n"))


def integers_hash_as_integers():
    assert {js("1"): "a"}[1] == "a"
    assert {js("1n"): "a"}[1] == "a"
    assert {js("'k'"): "a"}["k"] == "a"
