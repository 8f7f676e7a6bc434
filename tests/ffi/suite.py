"""Collects the cases of `cases/` and runs them: in a Worker (`entry.py`) and in Pyodide on Node (`pyodide.mjs`).

In a Python file every function without an underscore in front is a case. A JavaScript file is an expression: an object whose
methods are cases; `tools` below is what they are given. A case fails by raising.
"""

import importlib
import inspect
import re
import traceback
from pathlib import Path

import pyodide_js
from pyodide import ffi
from pyodide.code import run_js as js

#: What releases before 0.28 and 314 have: JavaScript's null is None there, and a BigInt an int.
jsnull = getattr(ffi, "jsnull", None)
JsBigInt = getattr(ffi, "JsBigInt", int)

FOLDER = Path(__file__).parent / "cases"
#: Where the cases run: "taipan" or "node".
where = ""
_cases = {}


def only(place, why):
    """Marks a case that means something in one place only."""

    def mark(case):
        case.only = place, why
        return case

    return mark


class raises:  # noqa: N801
    """`with raises(KeyError, "pattern") as caught:` fails unless that is raised; afterwards it is `caught.error`."""

    def __init__(self, kind, pattern=""):
        self.kind, self.pattern, self.error = kind, pattern, None
        self.name = getattr(kind, "__name__", kind)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None:
            raise AssertionError(f"{self.name} was not raised")
        if not isinstance(error, self.kind):
            return False
        try:
            text = f"{type(error).__name__}: {error}"
        except Exception:
            text = type(error).__name__
        if not re.search(self.pattern, text):
            raise AssertionError(f"{text!r} does not match {self.pattern!r}")
        self.error = error
        return True


def same(actual, expected):
    """Fails unless both are equal, and of the same type."""
    assert type(actual) is type(expected), f"{actual!r} is a {type(actual).__name__}, not {expected!r}"
    assert actual == expected, f"{actual!r} is not {expected!r}"


_TOOLS = """
(pyodide, where) => {
  const show = (x) => {
    try {
      return typeof x === "bigint" ? `${x}n` : typeof x === "string" ? JSON.stringify(x) : JSON.stringify(x) ?? String(x);
    } catch {
      return String(x);
    }
  };
  const fail = (why) => {
    throw new Error(why);
  };
  const check = (e, name, pattern) => {
    const text = `${e?.name}: ${e?.message}`;
    if (e?.name !== name || !new RegExp(pattern ?? "").test(e.message)) fail(`threw ${text}, not ${name}: ${pattern ?? ""}`);
    return e;
  };
  return {
    pyodide,
    where,
    py: (code) => {
      const globals = pyodide.toPy({});
      try {
        return pyodide.runPython(code, { globals });
      } finally {
        globals.destroy();
      }
    },
    is: (a, b) => Object.is(a, b) || fail(`${show(a)} is not ${show(b)}`),
    same: (a, b) => show(a) === show(b) || fail(`${show(a)} is not ${show(b)}`),
    ok: (a, why) => a || fail(why ?? `${show(a)} is not truthy`),
    no: (a, why) => a && fail(why ?? `${show(a)} is not falsy`),
    throws: (f, name, pattern) => {
      let r;
      try {
        r = f();
      } catch (e) {
        return check(e, name, pattern);
      }
      fail(`gave ${show(r)} instead of throwing ${name}`);
    },
    rejects: async (f, name, pattern) => {
      let r;
      try {
        r = await f();
      } catch (e) {
        return check(e, name, pattern);
      }
      fail(`gave ${show(r)} instead of rejecting with ${name}`);
    },
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    destroy: (...proxies) => proxies.forEach((p) => p.destroy()),
  };
}
"""


def _python(path):
    module = importlib.import_module(f"cases.{path.stem}")
    for name, case in vars(module).items():
        if not name.startswith("_") and inspect.isfunction(case) and case.__module__ == module.__name__:
            yield name, case


def _javascript(path):
    cases = js(path.read_text())
    for name in cases.object_keys():
        yield re.sub(r"\W+", "_", name), js("(o, name, tools) => () => o[name](tools)")(cases, name, _tools)


def load(place):
    global where, _tools
    where = place
    _tools = js(_TOOLS)(pyodide_js, where)
    for path in sorted(FOLDER.iterdir()):
        found = {".py": _python, ".js": _javascript}.get(path.suffix)
        for name, case in found(path) if found else ():
            place, _ = getattr(case, "only", (where, ""))
            if place == where:
                _cases[f"{path.stem}::{name}"] = case


def names():
    return list(_cases)


async def run(name):
    """Gives what went wrong, or None."""
    try:
        result = _cases[name]()
        if inspect.isawaitable(result):
            await result
    except BaseException:
        return traceback.format_exc()
    return None
