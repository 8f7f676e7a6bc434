"""JavaScript's arrays in Python: sequences."""

import random

from pyodide.ffi import JsArray, JsException, create_proxy, to_js
from suite import js, only, raises, same


def arrays_are_arrays():
    a = js("[1, 2, 3]")
    assert isinstance(a, JsArray)
    assert len(a) == 3
    assert a[0] == 1
    assert a[-1] == 3
    assert 2 in a
    assert 5 not in a


def indices_out_of_range():
    a = js("[1, 2]")
    for i in [2, -3, 100, 2**31 - 1]:
        with raises(IndexError):
            a[i]
    with raises(IndexError):
        del a[2]
    with raises(IndexError):
        js("[]").pop()


def indices_that_are_none():
    a = js("[1, 2]")
    for i in ["0", 1.5, None]:
        with raises(TypeError):
            a[i]
    assert a[True] == 2


def holes():
    a = js("[1,,2]")
    with raises(IndexError):
        a[1]
    assert a.to_py() == [1, None, 2]
    del a[1]
    assert a.to_py() == [1, 2]


def assignment_and_deletion():
    a = js("[1, 2, 3, 4]")
    a[1] = "x"
    a[-1] = None
    del a[0]
    assert a.to_py() == ["x", 3, None]


def methods_of_lists():
    a, b = js("[5, 7, 9, -1, 3, 5]"), [5, 7, 9, -1, 3, 5]
    for x in (a, b):
        x.append(4)
        x.insert(3, 66)
        x.insert(-1, 97)
        x.remove(5)
        x.extend([1, 2])
        x.extend(n for n in (8, 9))
        x.reverse()
        x.pop(2)
        x += [3]
    assert a.to_py() == b
    assert a.count(3) == b.count(3)
    assert a.index(66) == b.index(66)
    assert a.pop() == b.pop()


def index_and_its_errors():
    a = js("[5, 7, 9, -1, 3, 5]")
    assert a.index(5) == 0
    assert a.index(5, 1) == 5
    with raises(ValueError, "5 is not in list"):
        a.index(5, 1, -1)
    with raises(ValueError):
        a.remove(78)


def elements_are_compared_as_python_does():
    a = js("[]")
    lists = [create_proxy(x) for x in ([], [1], [])]
    for x in lists:
        a.push(x)
    assert a.count([]) == 2
    assert a.count([1]) == 1
    assert a.index([1]) == 1
    for x in lists:
        x.destroy()


def slices_of_every_kind():
    generator = random.Random(5)
    some = [None, 0, 1, 2, 5, 9, 10, 11, -1, -2, -9, -11]
    for _ in range(400):
        n = generator.randint(0, 10)
        part = slice(generator.choice(some), generator.choice(some), generator.choice([None, 1, 2, 3, -1, -2, -3]))
        expected, actual = list(range(n)), to_js(list(range(n)))
        assert actual[part].to_py() == expected[part], (n, part)
        del expected[part]
        del actual[part]
        assert actual.to_py() == expected, (n, part)


def assignment_to_slices():
    generator = random.Random(6)
    for _ in range(400):
        n = generator.randint(0, 9)
        start, stop = sorted((generator.randint(0, n), generator.randint(0, n)))
        part, values = slice(start, stop), [generator.random() for _ in range(generator.randint(0, 4))]
        expected, actual = list(range(n)), to_js(list(range(n)))
        expected[part] = values
        actual[part] = values
        assert actual.to_py() == expected, (n, part, values)


def assignment_to_slices_with_steps():
    for part in [slice(0, 4, 2), slice(None, None, -1), slice(8, 2, -3)]:
        expected, actual = list(range(10)), to_js(list(range(10)))
        values = list(range(100, 100 + len(expected[part])))
        expected[part] = values
        actual[part] = values
        assert actual.to_py() == expected


def assignment_to_slices_that_fails():
    messages = []
    for a in (list(range(10)), to_js(list(range(10)))):
        for values in ([1, 2, 3, 4], [], 1):
            try:
                a[0:4:2] = values
            except (ValueError, TypeError) as error:
                messages.append(str(error))
    assert len(messages) == 6
    assert messages[:2] == messages[3:5]


def concatenation_and_repetition():
    a, b = js("[77, 65, 23]"), [77, 65, 23]
    assert (a + [4]).to_py() == [*b, 4]
    assert (a + to_js([4])).to_py() == [*b, 4]
    for n in (-1, 0, 1, 2):
        assert (a * n).to_py() == b * n
    a *= 2
    assert list(a) == b * 2


def reversal():
    assert list(reversed(js("[1, 2, 3]"))) == [3, 2, 1]
    assert list(reversed(js("new Int8Array([1, 2, 3])"))) == [3, 2, 1]


def pattern_matching():
    match js("[1, 2, [3, 4]]"):
        case [1, x, [y, *rest]]:
            assert (x, y, rest) == (2, 3, [4])
        case _:
            raise AssertionError("no match")
    match js("new Uint8Array([7, 3, 9])"):
        case [7, *rest]:
            assert rest == [3, 9]
        case _:
            raise AssertionError("no match")


def typed_arrays_are_sequences():
    a = js("new Int16Array([1, 2, 3])")
    assert a[0] == 1
    assert a[-1] == 3
    a[-1] = -7
    assert list(a) == [1, 2, -7]
    assert a.count(-7) == 1
    assert len(a) == 3
    with raises(IndexError):
        a[3]
    with raises(TypeError, "deletion"):
        del a[0]
    with raises(NotImplementedError, "Slice"):
        a[:]
    with raises(TypeError):
        a + [1]
    assert not hasattr(a, "extend")


def array_likes_are_read_only_sequences():
    a = js("({[Symbol.iterator]: Array.prototype[Symbol.iterator], length: 3, 0: 'a', 1: 'b', 2: 'c'})")
    assert list(a) == ["a", "b", "c"]
    assert a[1] == "b"
    assert a[-1] == "c"
    assert list(a[1:]) == ["b", "c"]
    with raises(TypeError, "assignment"):
        a[0] = 1


def lengths_that_are_impossible():
    for n in [2**31, 2**32, 2**53]:
        with raises(OverflowError):
            len(js(f"({{length: {n}}})"))
        with raises(OverflowError):
            js(f"({{[Symbol.iterator]() {{}}, length: {n}}})")[-1]
    for n in [-1, -100, -(2**40)]:
        with raises(ValueError, "negative"):
            len(js(f"({{length: {n}}})"))
    with raises(TypeError):
        len(js("({length: 'x'})"))
    with raises(TypeError, "has no len"):
        len(js("({})"))


def sparse_and_large_arrays():
    a = js("let a = []; a[100000] = 1; a")
    assert len(a) == 100001
    assert a[100000] == 1
    assert a.to_py()[99999] is None


def arrays_of_arrays_stay_the_same():
    a = js("const inner = [1]; [inner, inner]")
    assert a[0] == a[1]
    a[0].push(2)
    assert a[1].to_py() == [1, 2]


def javascript_methods():
    a = js("[3, 1, 2]")
    assert a.map(lambda x, *_: x * 2).to_py() == [6, 2, 4]
    assert a.filter(lambda x, *_: x > 1).to_py() == [3, 2]
    assert a.reduce(lambda x, y, *_: x + y) == 6
    assert a.sort(lambda x, y: y - x).to_py() == [3, 2, 1]
    assert a.find(lambda x, *_: x < 3) == 2
    assert a.some(lambda x, *_: x == 1) is True
    assert a.join("-") == "3-2-1"
    seen = []
    a.forEach(lambda x, i, _: seen.append((i, x)))
    assert seen == [(0, 3), (1, 2), (2, 1)]
    assert a.flat().at(-1) == 1
    assert js("Array.from")({"length": 0}).to_py() == ["length"]


def python_errors_in_callbacks_of_methods():
    def fail(*_):
        raise LookupError("in the callback")

    with raises(LookupError, "in the callback"):
        js("[1, 2]").map(fail)
    with raises(LookupError, "in the callback"):
        js("[2, 1]").sort(fail)


def frozen_arrays():
    a = js("Object.freeze([1, 2])")
    with raises(JsException, "TypeError"):
        a.push(3)
    assert a.to_py() == [1, 2]


@only("taipan", "this ends Pyodide")
def appending_to_frozen_arrays():
    a = js("Object.freeze([1, 2])")
    with raises((JsException, SystemError)):
        a.append(3)
    assert a.to_py() == [1, 2]


def growing_while_python_holds_it():
    a = js("[]")
    for i in range(5000):
        a.append(i)
    assert len(a) == 5000
    assert sum(a) == sum(range(5000))
    while len(a) > 10:
        a.pop()
    assert a.to_py() == list(range(10))


def sets_are_collections():
    s = js("new Set([1, 2])")
    assert 1 in s
    assert 3 not in s
    assert len(s) == 2
    s.add(3)
    assert s.to_py() == {1, 2, 3}
    same(sorted(s), [1, 2, 3])
