"""Values that are nested 300,000 deep, as any client can send them: what cannot deal with them raises, what can does, and letting go of
them is nothing special."""

import copy
import functools
import gc
import json
import pickle
import xml.etree.ElementTree as ElementTree

from js import JSON, Object, structuredClone
from pyodide.code import run_js
from pyodide.ffi import JsException, create_proxy, to_js
from workers import Request, Response, WorkerEntrypoint, python_from_rpc, python_to_rpc

DEEP = 300_000

js_list = run_js("(n) => { let a = []; for (let i = 0; i < n; i++) a = [a]; return a }")
js_dict = run_js("(n) => { let a = {}; for (let i = 0; i < n; i++) a = {a}; return a }")


def nest(inner, wrap):
    for _ in range(DEEP):
        inner = wrap(inner)
    return inner


def deep_list():
    return nest([], lambda a: [a])


def deep_dict():
    return nest({}, lambda a: {"a": a})


class Node:
    def __init__(self, next):
        self.next = next


class Slots:
    __slots__ = ("next",)

    def __init__(self, next):
        self.next = next


def chain(cause):
    error = ValueError("one of many")
    error.__context__ = cause
    return error


def generator(inner):
    yield
    yield from inner


ARRAY = "[" * DEEP + "]" * DEEP
OBJECT = '{"a":' * DEEP + "1" + "}" * DEEP
XML = "<a>" * DEEP + "</a>" * DEEP

CASES = {
    # What Python lets go of.
    "release list": lambda env: deep_list() and None,
    "release tuple": lambda env: nest((), lambda a: (a,)) and None,
    "release dict": lambda env: deep_dict() and None,
    "release objects": lambda env: nest(None, Node) and None,
    "release slots": lambda env: nest(None, Slots) and None,
    "release exceptions": lambda env: nest(None, chain) and None,
    "release generators": lambda env: nest((), generator) and None,
    "release partials": lambda env: nest(print, lambda f: functools.partial([f].__len__)) and None,
    "release elements": lambda env: ElementTree.fromstring(XML).text,
    "release proxy": lambda env: create_proxy(deep_list()).destroy(),
    "collect": lambda env: (deep_list(), gc.collect()) and None,
    # What reads it.
    "json array": lambda env: json.loads(ARRAY),
    "json open array": lambda env: json.loads("[" * DEEP),
    "json object": lambda env: json.loads(OBJECT),
    "json open object": lambda env: json.loads('{"a":' * DEEP),
    "js json array": lambda env: JSON.parse(ARRAY),
    "js json object": lambda env: JSON.parse(OBJECT),
    "pickled": lambda env: pickle.loads(b"\x80\x04" + b"]" * DEEP + b"a" * (DEEP - 1) + b".") and None,
    # What goes through it.
    "repr": lambda env: repr(deep_list()),
    "repr of JavaScript's": lambda env: repr(js_list(DEEP)),
    "compare": lambda env: deep_list() == deep_list(),
    "copy": lambda env: copy.deepcopy(deep_list()),
    "pickle": lambda env: pickle.dumps(deep_list()),
    "dumps": lambda env: json.dumps(deep_dict()),
    "elements as text": lambda env: ElementTree.tostring(ElementTree.fromstring(XML)),
    "isinstance": lambda env: isinstance(1, nest((), lambda a: (a,))),
    "compile": lambda env: compile("a" + ".b" * DEEP, "x", "eval"),
    "stringify array": lambda env: JSON.stringify(js_list(DEEP)),
    "stringify object": lambda env: JSON.stringify(js_dict(DEEP)),
    "clone array": lambda env: structuredClone(js_list(DEEP)),
    "clone object": lambda env: structuredClone(js_dict(DEEP)),
    # What crosses.
    "to_js list": lambda env: to_js(deep_list()),
    "to_js tuple": lambda env: to_js(nest((), lambda a: (a,))),
    "to_js dict": lambda env: to_js(deep_dict(), dict_converter=Object.fromEntries),
    "to_py array": lambda env: js_list(DEEP).to_py(),
    "to_py object": lambda env: js_dict(DEEP).to_py(),
    "to rpc": lambda env: python_to_rpc(deep_dict()),
    "from rpc": lambda env: python_from_rpc(js_list(DEEP)),
    # What leaves.
    "queue list": lambda env: env.QUEUE.send(deep_list()),
    "queue of JavaScript's": lambda env: env.QUEUE.send(js_list(DEEP)),
    "call": lambda env: env.SELF.echo(deep_list()),
    "result": lambda env: env.SELF.deep(),
    "metadata of a key": lambda env: env.KV.put("a", "b", metadata=deep_dict()),
    "metadata of an object": lambda env: env.BUCKET.put("a", "b", custom_metadata=deep_dict()),
    "response": lambda env: Response.json(deep_list()),
    "request's json": lambda env: Request("http://x/", method="POST", body=ARRAY).json(),
    "request's json in JavaScript": lambda env: Request("http://x/", method="POST", body=OBJECT).js_object.json(),
    "response's json": lambda env: Response(OBJECT).json(),
    # What is deep, and not too deep.
    "converted": lambda env: to_js(json.loads("[" * 5000 + "]" * 5000)).length,
    "stringified": lambda env: len(JSON.stringify(js_list(5000))),
}


class Other(WorkerEntrypoint):
    async def echo(self, value):
        return value

    async def deep(self):
        return deep_list()


seen = 0


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        global seen
        seen += 1
        if request.url.endswith("/seen"):
            return Response(str(seen))
        if request.url.endswith("/uncaught"):
            return Response(json.loads(ARRAY))
        said = {}
        for name, case in CASES.items():
            try:
                result = case(self.env)
                said[name] = await result if hasattr(result, "__await__") else result
            except JsException as error:
                said[name] = error.name
            except Exception as error:
                said[name] = type(error).__name__
        return Response.json(said)
