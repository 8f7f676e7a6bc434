"""Calls and values that cross between Python and JavaScript."""

import time

from pyodide.code import run_js
from pyodide.ffi import create_proxy, to_js

noop = run_js("() => {}")
add = run_js("(a, b) => a + b")
thing = run_js("({ x: 1, echo(s) { return s; } })")
resolved = run_js("Promise.resolve(1)")
call_often = run_js("(f, n) => { for (let i = 0; i < n; i++) f(); }")
call_often_with_numbers = run_js("(f, n) => { for (let i = 0; i < n; i++) f(i, 1); }")

py_noop = create_proxy(lambda: None)
py_add = create_proxy(lambda a, b: a + b)
numbers = list(range(10))


def python_to_js(n):
    for _ in range(n):
        noop()


def python_to_js_add(n):
    for i in range(n):
        add(i, 1)


def getattr_(n):
    for _ in range(n):
        thing.x


def method_with_string(n):
    for _ in range(n):
        thing.echo("hello, world")


def list_round_trip(n):
    for _ in range(n):
        to_js(numbers).to_py()


def clock(n):
    for _ in range(n):
        time.monotonic()


async def await_resolved(n):
    for _ in range(n):
        await resolved


CASES = {
    "JS calls Python": lambda n: call_often(py_noop, n),
    "JS calls Python, add": lambda n: call_often_with_numbers(py_add, n),
    "Python calls JS": python_to_js,
    "Python calls JS, add": python_to_js_add,
    "getattr": getattr_,
    "method with a string": method_with_string,
    "list of 10 there and back": list_round_trip,
    "await a resolved promise": await_resolved,
    "time.monotonic": clock,
}
