"""What nobody should do: each ends in an exception that says why, and the interpreter goes on."""

import gc

import pyodide_js
from pyodide.ffi import ConversionError, JsException, create_proxy, to_js
from suite import js, only, raises, same

_identity = js("(x) => x")


def proxies_used_after_their_end():
    p = create_proxy({"a": 1})
    uses = ["p.get('a')", "p.set('a', 2)", "p.has('a')", "p.delete('a')", "p.length", "[...p]", "p.toJs()", "p.type", "p.copy()",
            "p.a", "p.a = 1", "'a' in p", "Object.keys(p)", "Reflect.ownKeys(p)", "p.getBuffer?.()", "JSON.stringify(p)"]
    held = js("(p) => [p]")(p)
    p.destroy()
    for use in uses:
        message = js(f"(h) => {{ const p = h[0]; try {{ {use}; return 'nothing' }} catch (e) {{ return e.message }} }}")(held)
        assert "destroyed" in message or message == "nothing", (use, message)


def functions_used_after_their_end():
    f = create_proxy(lambda: 1)
    held = js("(f) => [f]")(f)
    f.destroy()
    for call in ("f()", "f.call()", "f.apply()", "f.bind(null)()", "f.callKwargs({})", "[1].map(f)"):
        with raises(JsException, "destroyed"):
            js(f"(h) => {{ const f = h[0]; return {call} }}")(held)


# Not here: a length and traps that throw, which end Pyodide's interpreter.
_LIARS = {
    "length": "({length: NaN, [Symbol.iterator]: 5})",
    "iterator": "({[Symbol.iterator]() { return {next() { throw 2 }} }})",
    "keys": "new Proxy(() => {}, {ownKeys() { return 5 }})",
    "then": "({then: 5})",
    "getter_of_then": "({get then() { throw new Error('then') }})",
    "getter_of_constructor": "({get constructor() { throw new Error('c') }})",
    "primitive": "({[Symbol.toPrimitive]() { throw new Error('p') }})",
    "map": "({size: 'x', has: 1, get: 2, set: 3})",
    "fixed_length": "Object.defineProperty([], 'length', {writable: false})",
    "prototype": "Object.setPrototypeOf({}, new Proxy({}, {get() { throw 3 }}))",
}


def _liar(text):
    def case():
        o = js(f"[{text}]")[0]
        for use in (len, list, dir, repr, str, bool, dict, iter, lambda x: x[0], lambda x: x.missing, lambda x: x.to_py(), hash,
                    lambda x: x(), lambda x: 5 in x, lambda x: x == x, lambda x: setattr(x, "y", 1), lambda x: reversed(x)):
            try:
                use(o)
            except Exception:  # noqa: S110 - that it is one is all that is asked
                pass
        same(_identity(1), 1)

    return case


for _name, _text in _LIARS.items():
    globals()[f"objects_that_lie_about_their_{_name}"] = _liar(_text)


def classes_of_python_that_lie_about_themselves():
    class Liar:
        def __getattribute__(self, name):
            raise RuntimeError(name)

    class Endless:
        def __iter__(self):
            return self

        def __next__(self):
            raise ValueError("endless")

        def __len__(self):
            return -1

        def __getitem__(self, i):
            raise TypeError

    for thing in (Liar(), Endless(), Liar, type("Empty", (), {"__slots__": ()})()):
        for use in ("x.y", "x.y = 1", "delete x.y", "x.length", "[...x]", "x.toString()", "x.toJs()", "Object.keys(x)", "x()", "x.get(0)",
                    "JSON.stringify(x)", "x.type", "'k' in x", "x + ''"):
            try:
                js(f"(x) => {{ {use}; return 0 }}")(thing)
            except Exception:  # noqa: S110
                pass
    same(_identity(1), 1)


def wrong_arguments_of_the_glue():
    for use in ["p.toPy()", "p.toPy({}, {depth: 'x'})", "p.toPy({}, 5)", "p.runPython()", "p.runPython(5)", "p.runPython('1', {globals: 5})",
                "p.runPython('1', {globals: {}})", "p.pyimport()", "p.pyimport('no.such.module')", "p.globals.get()", "p.globals.set()",
                "p.FS.readFile('/no/such/file')", "p.unpackArchive(5, 'zip')", "p.registerJsModule()", "p.unregisterJsModule('x')",
                "p.ffi.PyProxy()", "new p.ffi.PyProxy()", "new p.ffi.PyDict()", "new p.ffi.PythonError()"]:
        try:
            js(f"(p) => {{ {use}; return 0 }}")(pyodide_js)
        except Exception:  # noqa: S110
            pass
    same(pyodide_js.runPython("2"), 2)


def wrong_arguments_of_conversions():
    for options in [{"depth": -2}, {"depth": 2**40}, {"pyproxies": 5}, {"dict_converter": 5}, {"default_converter": 5},
                    {"create_pyproxies": "x"}, {"eager_converter": 5}]:
        try:
            to_js([{}, object()], **options)
        except Exception:  # noqa: S110
            pass
    for depth in ("x", None, 2**40, -(2**40)):
        try:
            js("[[1]]").to_py(depth=depth)
        except Exception:  # noqa: S110
            pass
    same(to_js([1]).to_py(), [1])


def very_long_strings():
    with raises((JsException, MemoryError), "length|memory|Invalid"):
        js("'x'.repeat(2 ** 30)")
    text = "é" * (1 << 20)
    same(len(_identity(text)), 1 << 20)
    same(len(_identity(text + "🐍")), (1 << 20) + 1)


def very_many_arguments():
    same(js("(...a) => a.length")(*range(3000)), 3000)
    same(js("(f) => f(...Array(3000).fill(1))")(lambda *a: len(a)), 3000)


def very_many_keyword_arguments():
    same(js("(o) => Object.keys(o).length")(**{f"k{i}": i for i in range(1000)}), 1000)


def very_large_numbers():
    n = 7**30000
    assert _identity(n) == n
    assert js("(n) => n % 7n")(n) == 0
    with raises(JsException, "RangeError"):
        js("2n ** (2n ** 40n)")


def very_deep_json():
    try:
        js("JSON.parse('['.repeat(5000) + ']'.repeat(5000))").to_py()
    except (JsException, RecursionError, ConversionError):
        pass


def lone_surrogates_in_names():
    o = js(r"({'\ud800': 1, 'a\udc00': 2})")
    same(o.to_py(), {"\ud800": 1, "a\udc00": 2})
    try:
        dir(o)
    except UnicodeError:
        pass
    m = js("new Map()")
    m["\udfff"] = 1
    same(m["\udfff"], 1)


def nul_in_names():
    o = js(r"({'a\0b': 1})")
    same(o.to_py(), {"a\0b": 1})
    with raises((AttributeError, ValueError)):
        getattr(o, "a")  # noqa: B009


def symbols_where_strings_belong():
    symbol = js("Symbol('s')")
    for use in (lambda: getattr(symbol, "x"), lambda: str(symbol), lambda: symbol(), lambda: list(symbol), lambda: symbol.to_py()):
        try:
            use()
        except Exception:  # noqa: S110
            pass
    with raises(JsException, "TypeError"):
        js("(s) => s + ''")(symbol)


def detached_buffers():
    held = js("const gone = new Uint8Array(8); structuredClone(gone.buffer, {transfer: [gone.buffer]}); [gone, gone.buffer]")
    for buffer in held:
        for use in (lambda b: b.to_py(), lambda b: b.to_bytes(), lambda b: b.to_string(), lambda b: b.assign(b""), len,
                    lambda b: b.to_memoryview(), lambda b: b[0], lambda b: b.assign_to(bytearray(8))):
            try:
                use(buffer)
            except Exception:  # noqa: S110
                pass


def buffers_that_shrink_while_they_are_used():
    a, b = js("const sh = new ArrayBuffer(64, {maxByteLength: 128}); [new Uint8Array(sh), sh]")
    b.resize(4)
    try:
        a.assign(bytes(64))
    except (ValueError, JsException):
        pass
    b.resize(128)
    same(len(a), 128)


def objects_changed_while_they_are_converted():
    assert js("const ch = [1, {get x() { ch.length = 0; return 2 }}, 3, 4]; ch").to_py()[0] == 1
    grown = js("const gr = [{get x() { if (gr.length < 50) gr.push(1); return 2 }}, 3]; gr")
    try:
        same(grown.to_py()[0], {"x": 2})
    except IndexError:
        pass


def lists_changed_while_they_are_converted():
    source = []

    class Sneaky:
        pass

    def convert(thing, convert, cache):
        source.clear()
        gc.collect()
        return 5

    source += [Sneaky(), *[Sneaky() for _ in range(10)]]
    try:
        to_js(source, default_converter=convert)
    except (ConversionError, RuntimeError, SystemError):
        pass


def dicts_changed_while_they_are_converted():
    source = {}

    def convert(thing, convert, cache):
        source.update({f"k{i}": i for i in range(100)})
        return 5

    source["a"] = object()
    try:
        to_js(source, default_converter=convert)
    except (ConversionError, RuntimeError):
        pass


def exceptions_in_finalizers():
    class Bad:
        def __del__(self):
            js("() => { throw new Error('in a finalizer') }")()

    Bad()
    js("(x) => { const c = x.copy(); c.destroy() }")(Bad())
    same(_identity(1), 1)


def exceptions_that_cannot_be_shown():
    class Worst(Exception):
        def __str__(self):
            raise self

        __repr__ = __str__

    def fail():
        raise Worst

    with raises((Worst, JsException, RuntimeError, SystemError)):
        js("(f) => f()")(fail)


def throwing_from_everywhere_at_once():
    def level(n):
        try:
            js("(f, n) => { try { f(n - 1) } finally { if (n % 3 === 0) throw new Error('f' + n) } }")(level, n) if n else 1 / 0
        except JsException:
            raise KeyError(n) from None

    with raises((KeyError, ZeroDivisionError, JsException)):
        level(20)


@only("taipan", "Pyodide does not recover")
def recursion_through_calls_of_objects():
    class Deep:
        def __call__(self):
            return js("(x) => x()")(self)

    with raises((RecursionError, JsException)):
        js("(x) => x()")(Deep())
    same(_identity(1), 1)


@only("taipan", "Pyodide does not recover")
def recursion_through_lengths_of_objects():
    class Deep:
        def __len__(self):
            return js("(x) => x.length")(self)

    with raises((RecursionError, JsException)):
        js("(x) => x.length")(Deep())
    same(_identity(1), 1)


def proxies_of_proxies():
    p = create_proxy(create_proxy([1]))
    same(js("(p) => p.length")(p), 1)
    p.destroy()


def prototypes_that_are_changed():
    js("Array.prototype.extra = 5; Object.prototype.more = 6; 0")
    try:
        same(to_js([1, {"a": 2}]).to_py(), [1, {"a": 2}])
        same(js("({a: 1})").to_py(), {"a": 1})
        same(js("(f) => f(1)")(lambda x: x), 1)
    finally:
        js("delete Array.prototype.extra; delete Object.prototype.more; 0")


@only("taipan", "it ends Pyodide")
def globals_that_are_replaced():
    js("globalThis.savedMap = Map; globalThis.Map = class Fake {}; 0")
    try:
        same(to_js({"a": {"b": 1}}).to_py(), {"a": {"b": 1}})
    finally:
        js("globalThis.Map = savedMap; delete globalThis.savedMap; 0")
    js("Array.prototype.savedPush = Array.prototype.push; Array.prototype.push = () => { throw new Error('push') }; 0")
    try:
        js("(x) => x")(1)
    finally:
        js("Array.prototype.push = Array.prototype.savedPush; delete Array.prototype.savedPush; 0")
