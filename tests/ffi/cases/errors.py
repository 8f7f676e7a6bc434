"""Exceptions that cross the border, their identity and their tracebacks."""

import pickle
import traceback

import pyodide_js
from pyodide.ffi import ConversionError, InternalError, JsException, create_proxy
from suite import js, only, raises, same


def _fail(error):
    raise error


def errors_of_javascript_are_exceptions():
    for kind in ["Error", "TypeError", "RangeError", "SyntaxError", "EvalError", "URIError", "ReferenceError"]:
        with raises(JsException, f"{kind}: message") as caught:
            js(f"() => {{ throw new {kind}('message') }}")()
        same(caught.error.name, kind)
        same(caught.error.message, "message")
        assert isinstance(caught.error.stack, str)


def errors_of_the_engine():
    for text, kind in {"undefined.x": "TypeError", "missing": "ReferenceError", "new Array(-1)": "RangeError",
                       "null.f()": "TypeError", "(void 0)()": "TypeError", "BigInt(1.5)": "RangeError",
                       "1n + 1": "TypeError", "decodeURIComponent('%')": "URIError", "'x'.repeat(-1)": "RangeError",
                       "JSON.parse('{')": "SyntaxError", "new (() => {})()": "TypeError", "Symbol() + ''": "TypeError"}.items():
        with raises(JsException, kind):
            js(f"() => {text}")()


def errors_are_values_too():
    e = js("new Error('value')")
    assert isinstance(e, JsException)
    assert e.message == "value"
    with raises(JsException, "Error: value"):
        raise e
    assert js("(e) => e instanceof Error && e.message === 'value'")(e)


def errors_go_back_as_they_were():
    check = js("const original = new RangeError('same'); [() => { throw original }, (e) => e === original]")
    throw, is_same = check
    try:
        throw()
    except JsException as e:
        assert is_same(e)
    else:
        raise AssertionError


def own_classes_of_errors():
    with raises(JsException, "Custom: told") as caught:
        js("class Custom extends Error { name = 'Custom'; code = 42 }; () => { throw new Custom('told') }")()
    assert caught.error.code == 42


def causes_of_errors():
    with raises(JsException, "outer") as caught:
        js("() => { throw new Error('outer', {cause: new Error('inner')}) }")()
    assert caught.error.cause.message == "inner"
    e = js("new AggregateError([new Error('a')], 'many')")
    assert e.errors[0].message == "a"


def values_that_are_no_errors_can_be_thrown():
    for text in ["1", "'text'", "null", "undefined", "({})", "[]", "Symbol('s')", "true", "10n", "() => 1"]:
        with raises(JsException):
            js(f"() => {{ throw {text} }}")()


def python_exceptions_keep_their_identity():
    for error in [ValueError("v"), KeyError("k"), StopIteration(5), OSError(2, "no"), UnicodeDecodeError("utf-8", b"x", 0, 1, "r"),
                  ExceptionGroup("g", [ValueError()])]:
        with raises(type(error)) as caught:
            js("(f, e) => f()")(lambda error=error: _fail(error), 0)
        assert caught.error is error


def python_exceptions_in_javascript():
    catch = js("(f) => { try { f() } catch (e) { return e } }")
    e = catch(lambda: _fail(KeyError("original")))
    same(e.name, "PythonError")
    same(e.type, "KeyError")
    assert "KeyError: 'original'" in e.message
    assert "Traceback (most recent call last)" in e.message
    assert "_fail" in e.message
    assert js("(e) => e instanceof Error")(e)


def tracebacks_show_both_sides():
    def inner():
        raise ValueError("deep")

    outer = js("function outerFunction(f) { return f() }; outerFunction")
    with raises(ValueError) as caught:
        outer(inner)
    shown = "".join(traceback.format_exception(caught.error))
    assert "inner" in shown
    assert "tracebacks_show_both_sides" in shown
    assert "ValueError: deep" in shown


@only("taipan", "V8 gives no names to text that was evaluated")
def tracebacks_show_frames_of_javascript_but_not_of_the_runtime():
    with raises(LookupError) as caught:
        js("function namedCaller(f) { return f() }; namedCaller")(lambda: js("(f) => f()")(lambda: _fail(LookupError())))
    shown = "".join(traceback.format_exception(caught.error))
    assert "in namedCaller" in shown
    assert shown.count("<anonymous>") == 1
    assert "taipan:" not in shown
    assert "pyodide.asm" not in shown
    assert "wasm" not in shown


def stacks_of_javascript_are_kept():
    thrower = js("function namedThrower() { throw new Error('here') }; function namedCaller() { namedThrower() }; namedCaller")
    with raises(JsException) as caught:
        thrower()
    assert "namedThrower" in caught.error.stack
    assert "namedCaller" in caught.error.stack


def exceptions_through_many_borders():
    error = LookupError("far away")

    def down(n):
        if not n:
            raise error
        return js("(f, n) => f(n)")(down, n - 1)

    with raises(LookupError) as caught:
        down(8)
    assert caught.error is error


def finally_runs_on_the_way():
    log = create_proxy([])
    with raises(KeyError):
        js("(f, log) => { try { f() } finally { log.append(1) } }")(lambda: _fail(KeyError()), log)
    same(js("(log) => log.length")(log), 1)
    log.destroy()


def javascript_replaces_an_exception():
    with raises(JsException, "RangeError: replaced"):
        js("(f) => { try { f() } catch { throw new RangeError('replaced') } }")(lambda: _fail(KeyError()))


def javascript_swallows_an_exception():
    assert js("(f) => { try { f() } catch { return 'swallowed' } }")(lambda: _fail(KeyError())) == "swallowed"


def python_causes_are_kept():
    def chained():
        try:
            raise KeyError("first")
        except KeyError as e:
            raise ValueError("second") from e

    message = js("(f) => { try { f() } catch (e) { return e.message } }")(chained)
    assert "KeyError: 'first'" in message
    assert "direct cause" in message
    with raises(ValueError) as caught:
        js("(f) => f()")(chained)
    assert isinstance(caught.error.__cause__, KeyError)


def contexts_are_set():
    with raises(JsException) as caught:
        try:
            raise KeyError("context")
        except KeyError:
            js("() => { throw new Error('during') }")()
    assert isinstance(caught.error.__context__, KeyError)


def exceptions_without_a_constructor():
    class Odd(Exception):
        def __init__(self):
            super().__init__()

        def __str__(self):
            raise RuntimeError("no text")

    with raises((Odd, RuntimeError)):
        js("(f) => f()")(lambda: _fail(Odd()))


def base_exceptions_cross():
    for kind in (GeneratorExit, KeyboardInterrupt):
        try:
            js("(f) => f()")(lambda kind=kind: _fail(kind()))
        except kind:
            pass
        else:
            raise AssertionError(kind)


async def rejections_are_raised():
    with raises(JsException, "Error: rejected"):
        await js("async () => { throw new Error('rejected') }")()
    with raises(JsException, "TypeError"):
        await js("Promise.reject(new TypeError('t'))")


@only("taipan", "Pyodide waits for ever")
async def rejections_with_what_is_no_error():
    for text in ["5", "'text'", "null", "undefined", "({a: 1})", "[1]", "Symbol('s')"]:
        with raises(JsException, "rejected with something that is no error"):
            await js(f"Promise.reject({text})")


async def rejections_show_where_they_are_from():
    with raises(JsException) as caught:
        await js("async function rejecter() { await 0; throw new Error('later') }; rejecter")()
    shown = "".join(traceback.format_exception(caught.error))
    assert "rejections_show_where_they_are_from" in shown
    assert "Error: later" in shown


async def python_exceptions_reject():
    error = KeyError("asynchronous")

    async def fail():
        raise error

    with raises(JsException, "KeyError: 'asynchronous'"):
        await js("async (f) => await f()")(fail)
    assert await js("async (f) => { try { await f() } catch (e) { return e.type } }")(fail) == "KeyError"


def wrong_numbers_of_arguments():
    with raises(TypeError, "positional argument"):
        js("(f) => f(1, 2)")(lambda x: x)
    with raises(TypeError, "missing"):
        js("(f) => f()")(lambda x: x)


def attribute_errors_in_javascript():
    assert js("(o) => o.missing")(object()) is None
    assert js("(o) => 'missing' in o")(object()) is False


def properties_that_raise():
    class T:
        @property
        def broken(self):
            raise ValueError("property")

    with raises(ValueError, "property"):
        js("(t) => t.broken")(T())


def exceptions_can_be_pickled():
    e = js("new RangeError('pickle')")
    back = pickle.loads(pickle.dumps(e))
    same(type(back), type(e))
    same(back.message, "pickle")
    assert isinstance(pickle.loads(pickle.dumps(InternalError("x"))), InternalError)


def syntax_errors_of_javascript():
    with raises(JsException, "SyntaxError"):
        js("let let = 1 +")
    with raises(JsException, "SyntaxError"):
        js("return 5")


def syntax_errors_of_python():
    with raises(SyntaxError):
        js("(py) => py.runPython('1 +')")(pyodide_js)


def run_python_shows_lines():
    message = js("(py) => { try { py.runPython('x = 1\\nx.missing') } catch (e) { return e.message } }")(pyodide_js)
    assert "AttributeError: 'int' object has no attribute 'missing'" in message
    assert 'File "<exec>", line 2' in message


def stack_overflows_in_javascript():
    with raises(JsException, "RangeError|InternalError"):
        js("function f() { return f() }; f()")


@only("taipan", "Pyodide does not recover")
def stack_overflows_in_python():
    def f():
        return f()

    with raises(RecursionError):
        js("(f) => f()")(f)


@only("taipan", "Pyodide does not recover")
def the_stack_is_usable_after_overflows():
    for _ in range(5):
        stack_overflows_in_javascript()
        stack_overflows_in_python()
    assert js("1 + 1") == 2


@only("taipan", "Pyodide does not recover")
def recursion_through_the_border():
    def f():
        return g(f)

    g = js("(f) => f()")
    with raises((RecursionError, JsException)):
        f()
    assert js("(x) => x + 1")(1) == 2


@only("taipan", "Pyodide does not recover")
def recursion_through_attributes():
    class Deep:
        def __getattr__(self, name):
            return js("(x, n) => x[n]")(self, name + "x")

    with raises((RecursionError, JsException)):
        js("(x) => x.start")(Deep())


@only("taipan", "Pyodide does not recover")
def recursion_through_conversion():
    def convert(thing, convert, cache):
        return convert(thing)

    from pyodide.ffi import to_js

    with raises(ConversionError):
        to_js(object(), default_converter=convert)


def notes_are_kept():
    error = ValueError("noted")
    error.add_note("a note")
    message = js("(f) => { try { f() } catch (e) { return e.message } }")(lambda: _fail(error))
    assert "a note" in message


def uncaught_python_errors_set_last_exc():
    import sys

    js("(py) => { try { py.runPython('1 / 0') } catch {} }")(pyodide_js)
    assert isinstance(sys.last_exc, ZeroDivisionError)
    sys.last_exc = None
