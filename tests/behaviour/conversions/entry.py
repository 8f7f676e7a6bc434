import math

from js import Map, Object
from pyodide.code import run_js
from pyodide.ffi import JsProxy, to_js
from workers import Response, WorkerEntrypoint

identity = run_js("(x) => x")
type_of = run_js("(x) => typeof x")


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def scalars():
    values = [0, 1, -1, 2**31, -(2**31), 2**53 - 1, -(2**53), 2**53, 2**63, -(2**63), 2**64, 10**40, -(10**40)]
    values += [0.5, -1.5, 1e308, 5e-324, True, False, None, "", "text", "äöü 🐍 \0 end", "\ud800".encode("utf-16", "surrogatepass").hex()]
    for value in values:
        back = identity(value)
        check(back == value and isinstance(back, type(value)), f"{value!r} came back as {back!r}")
    check(math.isnan(identity(math.nan)), "nan")
    check(identity(math.inf) == math.inf, "inf")
    kinds = {5: "number", 2**53: "bigint", 10**40: "bigint", 1.5: "number", "s": "string", True: "boolean"}
    for value, kind in kinds.items():
        check(type_of(value) == kind, f"{value!r} is a {type_of(value)}")
    check(run_js("22n ** 22n") == 22**22, "bigint arithmetic")
    check(run_js("-22n < -9007199254740992n") is False, "bigint comparison")


def data():
    payload = bytes(range(256)) * 1000
    buffer = to_js(payload)
    check(buffer.length == len(payload), "length of the buffer")
    check(buffer.to_py().tobytes() == payload, "bytes")
    check(run_js("new Uint8Array([1, 2, 255])").to_bytes() == b"\x01\x02\xff", "to_bytes")
    view = run_js("new Float64Array([1.5, -2])").to_py()
    check(list(view) == [1.5, -2.0] and view.format == "d", "typed array")
    sliced = run_js("new Int16Array([1, 2, 3, 4]).subarray(1, 3)").to_py()
    check(list(sliced) == [2, 3], "subarray")


def containers():
    nested = {"list": [1, [2, {"three": 3}]], "none": None, "text": "t"}
    js_nested = to_js(nested, dict_converter=Object.fromEntries)
    check(js_nested.list[1][1].three == 3, "nested attribute")
    check(js_nested.to_py()["list"] == nested["list"], "nested round trip")
    check(to_js({1: 2}, dict_converter=Map.new).to_py() == {1: 2}, "map")
    check(to_js({1, 2}).to_py() == {1, 2}, "set")
    proxy = identity(nested)
    check(proxy is nested, "an object proxied and back is the same")
    array = run_js("[3, 1, 2]")
    check(isinstance(array, JsProxy), "an array is a proxy")
    check(sorted(array) == [1, 2, 3] and list(reversed(array)) == [2, 1, 3] and array[-1] == 2, "array")
    map_ = run_js("new Map([['a', 1]])")
    check(dict(map_) == {"a": 1} and "a" in map_ and map_["a"] == 1, "map proxy")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        scalars()
        data()
        containers()
        return Response("all values crossed")
