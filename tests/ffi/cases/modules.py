"""`import js`, `pyodide_js`, modules that JavaScript registers, and running code from the other side."""

import sys

import pyodide_js
from pyodide.code import CodeRunner, eval_code, eval_code_async, find_imports, relaxed_call, relaxed_wrap, run_js, should_quiet
from pyodide.ffi import JsException, register_js_module, unregister_js_module
from suite import js, raises, same


def names_of_the_global_object():
    from js import JSON, Array, Object

    assert Array.isArray(js("[]"))
    same(JSON.stringify(Object.fromEntries(js("[['a', 1]]"))), '{"a":1}')


def names_that_are_not_there():
    with raises(ImportError, "nothing_of_this_name"):
        from js import nothing_of_this_name  # noqa: F401
    import js as module

    with raises(AttributeError):
        module.nothing_of_this_name  # noqa: B018


def nested_names():
    js("globalThis.outer = {inner: {leaf: 2}}; 0")
    from js.outer.inner import leaf

    same(leaf, 2)
    js("delete globalThis.outer; 0")
    for name in ("js.outer", "js.outer.inner"):
        sys.modules.pop(name, None)


def new_globals():
    import js as module

    module.fresh = [1]
    assert js("fresh.length") == 1
    js("fresh.destroy(); 0")
    del module.fresh
    assert js("typeof fresh") == "undefined"


def pyodide_itself():
    assert pyodide_js.runPython("1 + 1") == 2
    assert pyodide_js.version
    assert pyodide_js.globals.get("__name__") == "__main__"
    same(pyodide_js.toPy(js("({a: [1]})")), {"a": [1]})
    assert js("(p) => p.pyimport('math').floor(1.5)")(pyodide_js) == 1


def run_python_with_globals():
    g = {"x": 5}
    same(js("(p, g) => p.runPython('y = x + 1; y', {globals: g})")(pyodide_js, g), 6)
    same(g["y"], 6)
    same(js("(p, g, l) => p.runPython('z = x; z', {globals: g, locals: l})")(pyodide_js, g, {"x": 7}), 7)
    assert "z" not in g


def run_python_with_a_file_name():
    message = js("(p) => { try { p.runPython('1/0', {filename: 'mine.py'}) } catch (e) { return e.message } }")(pyodide_js)
    assert 'File "mine.py", line 1' in message


def registered_modules():
    register_js_module("registered", js("({f: (x) => x * 2, value: 3, sub: {h: () => 'sub'}})"))
    try:
        import registered
        from registered import f
        from registered.sub import h

        same([registered.value, f(2), h()], [3, 4, "sub"])
        names = {}
        exec("from registered import *", names)
        assert {"f", "value", "sub"} <= set(names)
    finally:
        unregister_js_module("registered")
    for name in ("registered", "registered.sub"):
        sys.modules.pop(name, None)
    with raises(ImportError):
        import registered  # noqa: F811


def names_of_registered_modules_can_be_chosen():
    register_js_module("chosen", js("(p) => ({a: 2, b: 7, __all__: p.toPy(['a'])})")(pyodide_js))
    names = {}
    try:
        exec("from chosen import *", names)
    finally:
        unregister_js_module("chosen")
        sys.modules.pop("chosen", None)
    assert "a" in names
    assert "b" not in names


def frozen_modules():
    register_js_module("frozen_one", js("Object.freeze({aaa: 2})"))
    names = {}
    try:
        exec("from frozen_one import *", names)
    finally:
        unregister_js_module("frozen_one")
        sys.modules.pop("frozen_one", None)
    same(names["aaa"], 2)


def modules_that_were_never_registered():
    with raises(ValueError, "no Javascript module with that name"):
        unregister_js_module("never_registered")
    with raises(TypeError, "must be a str"):
        register_js_module(5, js("({})"))


def run_js_gives_the_last_value():
    same(run_js("1; 2"), 2)
    assert run_js("let a = 1;") is None
    with raises(TypeError, "string"):
        run_js(5)


def eval_code_gives_the_last_value():
    same(eval_code("x = 1\nx + 1"), 2)
    assert eval_code("x = 1") is None
    assert eval_code("x = 5; x;") is None
    same(eval_code("x = 5", return_mode="last_expr_or_assign"), 5)
    assert eval_code("5", return_mode="none") is None
    assert eval_code("") is None
    g = {}
    eval_code("y = 3", g)
    same(g["y"], 3)
    with raises(SyntaxError):
        eval_code("1 +")


async def eval_code_async_awaits():
    same(await eval_code_async("import asyncio\nawait asyncio.sleep(0)\n7"), 7)
    same(await eval_code_async("2 + 3"), 5)
    with raises(ZeroDivisionError):
        await eval_code_async("1 / 0")


def code_runners():
    runner = CodeRunner("a + 1", filename="mine.py")
    with raises(RuntimeError, "Not yet compiled"):
        runner.run({})
    runner.compile()
    same(runner.run({"a": 2}), 3)
    same(CodeRunner("a = 5").compile().run({}), None)
    with raises(RuntimeError, "Already compiled"):
        runner.compile()


def imports_are_found():
    same(sorted(find_imports("import a.b, c\nfrom d.e import f\nfrom . import g\nif 1:\n  import h")), ["a", "a.b", "c", "d", "d.e", "h"])
    same(find_imports("import"), [])


def quiet_code():
    assert should_quiet("1;")
    assert not should_quiet("1")
    assert not should_quiet("1 # ;")


def relaxed_calls():
    def f(a, b=2, *, c=3):
        return a, b, c

    same(relaxed_call(f, 1, 5, 6, c=7, d=8), (1, 5, 7))
    same(relaxed_wrap(f)(1, 5, 6), (1, 5, 3))


def globals_of_python_in_javascript():
    js("(p) => p.globals.set('from_js', 9)")(pyodide_js)
    same(pyodide_js.runPython("from_js"), 9)
    js("(p) => p.globals.delete('from_js')")(pyodide_js)
    assert js("(p) => p.globals.has('open')")(pyodide_js)
    assert not js("(p) => p.globals.has('from_js')")(pyodide_js)


def files_of_python_in_javascript():
    js("(p) => p.FS.writeFile('/tmp/from-js', 'text')")(pyodide_js)
    with open("/tmp/from-js") as file:
        same(file.read(), "text")
    with open("/tmp/from-python", "w") as file:
        file.write("ä")
    same(js("(p) => p.FS.readFile('/tmp/from-python', {encoding: 'utf8'})")(pyodide_js), "ä")


def unpacked_archives():
    import io
    import zipfile

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("inner.txt", "zip")
    js("(p, b) => p.unpackArchive(b.getBuffer().data, 'zip', {extractDir: '/tmp/unpacked'})")(pyodide_js, data.getvalue())
    with open("/tmp/unpacked/inner.txt") as file:
        same(file.read(), "zip")


def errors_of_run_python_have_types():
    assert js("(p) => { try { p.runPython('{}[1]') } catch (e) { return [e instanceof p.ffi.PythonError, e.type] } }")(pyodide_js).to_py() == [True, "KeyError"]
    with raises(KeyError):
        js("(p) => p.runPython('{}[1]')")(pyodide_js)


def the_javascript_of_strings_is_sloppy():
    assert js("(function () { return this !== undefined })()")
    with raises(JsException, "SyntaxError"):
        js("with ({}")


def text_of_response_objects():
    from pyodide.http import FetchResponse

    response = FetchResponse("http://x/", js("new Response('body', {status: 201, headers: {a: 'b'}})"))
    same([response.status, response.ok, response.headers["a"]], [201, True, "b"])


async def bodies_of_response_objects():
    from pyodide.http import BodyUsedError, FetchResponse, HttpStatusError

    make = js("(b, s) => new Response(b, {status: s})")
    same(await FetchResponse("http://x/", make("text", 200)).text(), "text")
    same(await FetchResponse("http://x/", make("text", 200)).bytes(), b"text")
    same(await FetchResponse("http://x/", make('{"a": [1]}', 200)).json(), {"a": [1]})
    same((await FetchResponse("http://x/", make("ab", 200)).memoryview()).tobytes(), b"ab")
    used = FetchResponse("http://x/", make("ab", 200))
    copy = used.clone()
    await used.text()
    with raises(BodyUsedError):
        await used.text()
    same(await copy.text(), "ab")
    with raises(HttpStatusError, "404"):
        FetchResponse("http://x/", make("", 404)).raise_for_status()
