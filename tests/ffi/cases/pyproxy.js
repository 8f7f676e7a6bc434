({
  "attributes and methods"({ py, is, ok, throws }) {
    const f = py("class Foo:\n  bar = 42\n  def double(self, x): return x * 2\nFoo()");
    is(f.type, "Foo");
    is(f.double(4), 8);
    is(f.bar, 42);
    ok("bar" in f);
    f.baz = 32;
    is(f.baz, 32);
    ok(Object.getOwnPropertyNames(f).includes("baz"));
    delete f.baz;
    is("baz" in f, false);
    is(f.baz, undefined);
    ok(f.toString().startsWith("<"));
    f.destroy();
    throws(() => f.bar, "Error", "Object has already been destroyed");
  },

  "names of attributes"({ py, ok, no }) {
    const f = py("class Foo:\n  def __init__(self): self.x = 1\nFoo()");
    const names = Object.getOwnPropertyNames(f);
    ok(["__class__", "__dict__", "__init__", "__repr__", "x"].every((name) => names.includes(name)));
    no(names.includes("missing"));
    f.destroy();
  },

  "dollar signs lead past our own names"({ py, is }) {
    const d = py("{'a': 1}");
    is(d.get.type, undefined);
    is(d.$get.type, "builtin_function_or_method");
    is(d.$get("a"), 1);
    d.destroy();
  },

  "text"({ py, is }) {
    for (const [code, text] of [["[1]", "[1]"], ["{'a': None}", "{'a': None}"], ["{1}", "{1}"], ["ValueError('x')", "x"]]) {
      const p = py(code);
      is(p.toString(), text);
      is(String(p), text);
      is(`${p}`, text);
      p.destroy();
    }
  },

  "text that fails"({ py, throws }) {
    const p = py("class T:\n  def __str__(self): raise ValueError('no text')\nT()");
    throws(() => p.toString(), "PythonError", "ValueError: no text");
    p.destroy();
  },

  "dicts"({ py, is, ok, no, same }) {
    const d = py("{'a': 1, 5: [2]}");
    is(d.length, 2);
    is(d.get("a"), 1);
    is(d.get("missing"), undefined);
    ok(d.has("a"));
    no(d.has("b"));
    d.set("b", 3);
    is(d.get("b"), 3);
    d.delete("b");
    no(d.has("b"));
    same([...d], ["a", 5]);
    no("name" in d);
    no("prototype" in d);
    ok("length" in d);
    d.destroy();
  },

  "deleting what is not there"({ py, throws }) {
    const d = py("{}"), l = py("[]");
    throws(() => d.delete("x"), "PythonError", "KeyError");
    throws(() => l.delete(0), "PythonError", "IndexError");
    d.destroy();
    l.destroy();
  },

  "keys of dicts as properties"({ py, is, ok, no }) {
    const d = py("{1: 'int', '1': 'string', 2: 'int', '3': 'string', 'items': 'value', '$dollar': 8, (1, 2): 12}");
    is(d[1], "string");
    is(d[2], "int");
    is(d.$dollar, 8);
    is(typeof d.items, "function");
    d[1] = 7;
    is(d.get("1"), 7);
    is(d.get(1), "int");
    ok(delete d[1]);
    no(d.has("1"));
    ok(d.has(1));
    const keys = Reflect.ownKeys(d);
    ok(keys.includes("3") && keys.includes("keys"));
    d.destroy();
  },

  "kinds of proxies"({ py, pyodide, ok, no }) {
    const f = pyodide.ffi;
    const kinds = {
      "{}": ["PyDict", "PyProxyWithLength", "PyProxyWithGet", "PyProxyWithSet", "PyProxyWithHas", "PyIterable"],
      "[]": ["PySequence", "PyMutableSequence", "PyProxyWithLength", "PyProxyWithGet", "PyProxyWithSet", "PyProxyWithHas", "PyIterable"],
      "()": ["PySequence", "PyProxyWithLength", "PyProxyWithGet", "PyIterable"],
      "{1}": ["PyProxyWithLength", "PyProxyWithHas", "PyIterable"],
      "iter([])": ["PyIterator", "PyIterable"],
      "(x for x in [])": ["PyGenerator", "PyIterator"],
      "b''": ["PyBuffer", "PySequence"],
      "len": ["PyCallable"],
    };
    for (const [code, names] of Object.entries(kinds)) {
      const p = py(code);
      ok(p instanceof f.PyProxy);
      names.forEach((name) => ok(p instanceof f[name], `${code} is no ${name}`));
      p.destroy();
    }
    const d = py("{}");
    no(d instanceof f.PyAwaitable);
    no(d instanceof f.PyCallable);
    no(d instanceof f.PyBuffer);
    d.destroy();
    no({} instanceof f.PyProxy);
    no(5 instanceof f.PyProxy);
  },

  "callables are functions"({ py, pyodide, ok, no, is }) {
    for (const code of ["lambda: 1", "print", "int", "type('C', (), {'__call__': lambda self: 1})()", "[].append"]) {
      const p = py(code);
      is(typeof p, "function");
      ok(p instanceof Function, code);
      ok("apply" in p && "bind" in p && "call" in p);
      no("caller" in p);
      no("name" in p && code !== "int" && p.name !== undefined && typeof p.name !== "string");
      p.destroy();
    }
    const d = py("{}");
    is(typeof d, "object");
    no(d instanceof Function);
    d.destroy();
  },

  "attributes with names of functions' properties"({ py, is, ok, no }) {
    const [Test, t] = py("class Test:\n  caller = 'fifty'\n  prototype = 'p'\n  name = 'me'\n  length = 7\n  def __call__(self, x): return x + 1\n[Test, Test()]").toJs();
    is(Test.prototype, "p");
    is(Test.name, "me");
    is(Test.length, 7);
    is(t.caller, "fifty");
    is(t.length, 7);
    is(t(7), 8);
    Test.destroy();
    t.destroy();
  },

  "missing properties of functions"({ py, is, ok, no }) {
    const f = py("lambda x: x");
    is(f.prototype, undefined);
    ok("prototype" in f);
    no("length" in f);
    no("name" in f);
    is(f.missing, undefined);
    f.destroy();
  },

  "length comes from len"({ py, is, ok, throws }) {
    const t = py("class T:\n  def __len__(self): return 9\nT()");
    is(t.length, 9);
    throws(() => {
      "use strict";
      t.length = 10;
    }, "TypeError");
    is(t.length, 9);
    t.destroy();
  },

  "copies"({ py, is, throws }) {
    const a = py("[1, 2]"), b = a.copy();
    a.destroy();
    is(b.length, 2);
    b.destroy();
    throws(() => b.length, "Error", "already been destroyed");
  },

  "messages of destruction"({ py, throws }) {
    const p = py("[]");
    p.destroy({ message: "My own words" });
    throws(() => p.length, "Error", "My own words");
  },

  "disposal"({ py, is, throws }) {
    const p = py("[1]");
    is(typeof p[Symbol.dispose], "function");
    p[Symbol.dispose]();
    throws(() => p.length, "Error", "already been destroyed");
  },

  "defined properties stay in JavaScript"({ py, is, throws, no }) {
    const d = py("{}");
    Object.defineProperty(d, "x", { value: 9, configurable: true, writable: true });
    is(d.x, 9);
    d.x = 10;
    is(d.x, 10);
    delete d.x;
    is(d.x, undefined);
    Object.defineProperty(d, "y", { value: 9, configurable: false, writable: false });
    throws(() => {
      "use strict";
      d.y = 1;
    }, "TypeError");
    throws(() => {
      "use strict";
      delete d.y;
    }, "TypeError");
    d.destroy();
  },

  "iteration"({ py, same, is, throws }) {
    const all = py("[[1, 2], (3, 4), {'a': 1}, range(3), 'xy', {5}.union()]");
    same([...all.get(0)], [1, 2]);
    same([...all.get(1)], [3, 4]);
    same([...all.get(2)], ["a"]);
    same([...all.get(3)], [0, 1, 2]);
    is(all.get(4), "xy");
    same([...all.get(5)], [5]);
    all.destroy();
    const t = py("class T:\n  def __iter__(self): raise ValueError('no')\nT()");
    throws(() => [...t], "PythonError", "ValueError: no");
    t.destroy();
  },

  "generators"({ py, same }) {
    const make = py("def g():\n  n = 0\n  for _ in range(3): n = yield n + 2\ng");
    const g = make();
    same([g.next(), g.next(3), g.next(4), g.next(5)], [
      { done: false, value: 2 },
      { done: false, value: 5 },
      { done: false, value: 6 },
      { done: true, value: undefined },
    ]);
    g.destroy();
    make.destroy();
  },

  "generators return"({ py, same }) {
    const run = (code, steps) => {
      const g = py(code);
      steps.forEach(([f, expected]) => same(f(g), expected));
      g.destroy();
    };
    run("def g():\n  yield 1\n  yield 2\ng()", [
      [(g) => g.next(), { done: false, value: 1 }],
      [(g) => g.return(5), { done: true, value: 5 }],
    ]);
    run("def g():\n  try:\n    yield 1\n  finally:\n    yield 3\n    return 9\ng()", [
      [(g) => g.next(), { done: false, value: 1 }],
      [(g) => g.return(5), { done: false, value: 3 }],
      [(g) => g.next(), { done: true, value: 9 }],
    ]);
  },

  "generators throw"({ py, same, throws }) {
    const g = py("def g():\n  try: yield 1\n  except BaseException as e: yield str(e)\n  yield 3\ng()");
    g.next();
    same(g.throw(new TypeError("hi")), { done: false, value: "TypeError: hi" });
    g.destroy();
    const h = py("(x for x in [1, 2])");
    h.next();
    throws(() => h.throw(new TypeError("out")), "PythonError", "JsException: TypeError: out");
    h.destroy();
  },

  async "async generators"({ py, same, rejects }) {
    const make = py("async def g():\n  n = 0\n  for _ in range(2): n = yield n + 2\ng");
    const g = make();
    same([await g.next(), await g.next(3), await g.next(4)], [
      { done: false, value: 2 },
      { done: false, value: 5 },
      { done: true, value: undefined },
    ]);
    g.destroy();
    const h = make();
    await h.next();
    same(await h.return(5), { done: true, value: 5 });
    h.destroy();
    const k = make();
    await k.next();
    await rejects(() => k.throw(new TypeError("hi")), "PythonError", "JsException: TypeError: hi");
    k.destroy();
    make.destroy();
  },

  async "async iteration"({ py, same, pyodide, ok }) {
    const t = py("class T:\n  def __init__(self): self.i = 0\n  def __aiter__(self): return self\n  async def __anext__(self):\n    self.i += 1\n    if self.i > 2: raise StopAsyncIteration\n    return self.i\nT()");
    ok(t instanceof pyodide.ffi.PyAsyncIterable);
    const all = [];
    for await (const x of t) all.push(x);
    same(all, [1, 2]);
    t.destroy();
  },

  async "coroutines are promises"({ py, is, ok, pyodide, rejects }) {
    const make = py("async def f(x):\n  if x < 0: raise ValueError('negative')\n  return x + 1\nf");
    const c = make(1);
    ok(c instanceof pyodide.ffi.PyAwaitable);
    is(await c, 2);
    c.destroy();
    is(await make(5).then((x) => x * 2), 12);
    let ended = false;
    await make(1).finally(() => (ended = true));
    ok(ended);
    await rejects(() => make(-1), "PythonError", "ValueError: negative");
    is(await make(-1).catch((e) => e.type), "ValueError");
    make.destroy();
  },

  async "coroutines run although nobody awaits them"({ py, sleep, is }) {
    const [f, l] = py("l = []\nasync def f(n): l.append(n)\n[f, l]").toJs({ depth: 1 });
    f(3);
    for (let i = 0; i < 50 && !l.length; i++) await sleep(1);
    is(l.get(0), 3);
    f.destroy();
    l.destroy();
  },

  async "futures and tasks are promises"({ py, is }) {
    const f = py("import asyncio\nf = asyncio.get_event_loop().create_future()\nf.set_result(5)\nf");
    is(await f, 5);
    f.destroy();
  },

  "calls"({ py, same, throws, is }) {
    const f = py("from pyodide.ffi import to_js\nlambda x=2, y=3: to_js([x, y])");
    same(f(), [2, 3]);
    same(f(7), [7, 3]);
    same(f(7, -1), [7, -1]);
    same(f.callKwargs({}), [2, 3]);
    same(f.callKwargs(7, { y: 4 }), [7, 4]);
    same(f.callKwargs({ y: 4, x: 9 }), [9, 4]);
    throws(() => f.callKwargs(), "TypeError", "callKwargs requires at least one argument");
    throws(() => f.callKwargs({ z: 6 }), "PythonError", "unexpected keyword argument 'z'");
    throws(() => f.callKwargs(76, { x: 6 }), "PythonError", "multiple values");
    throws(() => f(1, 2, 3), "PythonError", "positional argument");
    f.destroy();
  },

  "relaxed calls"({ py, same }) {
    const f = py("from pyodide.ffi import to_js\nlambda x=2, y=3: to_js([x, y])");
    same(f.callRelaxed(), [2, 3]);
    same(f.callRelaxed(1), [1, 3]);
    same(f.callRelaxed(1, 2, 3, 4), [1, 2]);
    f.destroy();
  },

  "calls with options"({ py, same, throws }) {
    const f = py("from pyodide.ffi import to_js\nlambda x=2, y=3: to_js([x, y])");
    same(f.callWithOptions({}, 7), [7, 3]);
    same(f.callWithOptions({ relaxed: true }, 7, 9, 10), [7, 9]);
    same(f.callWithOptions({ kwargs: true }, { x: 9 }), [9, 3]);
    same(f.callWithOptions({ kwargs: true, relaxed: true }, 7, 9, 10, {}), [7, 9]);
    throws(() => f.callWithOptions({ kwargs: true }), "TypeError", "requires at least one argument");
    throws(() => f.callWithOptions({ kwargs: true }, 7), "TypeError", "kwargs argument is not an object");
    f.destroy();
  },

  async "promising calls"({ py, is, rejects, where }) {
    // Node 20 cannot switch stacks.
    if (where !== "taipan") return;
    const f = py("lambda x: 1 / x");
    is(await f.callPromising(2), 0.5);
    await rejects(() => f.callPromising(0), "PythonError", "ZeroDivisionError");
    f.destroy();
    const g = py("from pyodide.ffi import run_sync\nimport asyncio\ndef g():\n  run_sync(asyncio.sleep(0.001))\n  return 5\ng");
    is(await g.callPromising(), 5);
    is(await g.callWithOptions({ promising: true }), 5);
    g.destroy();
  },

  "apply and call and bind"({ py, same, throws }) {
    const f = py("from pyodide.ffi import to_js\nlambda *a: to_js(a)");
    const js = (...a) => a;
    for (const list of [undefined, null, {}, { 0: 1, 1: 7, length: 2 }, [1, 7], (a, b) => a])
      same(f.apply(undefined, list), js.apply(undefined, list));
    for (const wrong of [1, "abc", true]) throws(() => f.apply(undefined, wrong), "TypeError");
    same(f.call(null, 1, 2), [1, 2]);
    const bound = f.bind({}, 1).bind({}, 2);
    same(bound(3), [1, 2, 3]);
    f.destroy();
  },

  "captured this"({ py, is, same }) {
    const f = py("lambda self, name: getattr(self, name)");
    const o = { a: 7, f: f.captureThis() };
    is(o.f("a"), 7);
    f.destroy();
    const g = py("from pyodide.ffi import to_js\nlambda *a: to_js(a)");
    same(g.captureThis().bind(1)(2, 3), [1, 2, 3]);
    same(g.captureThis().call("t", 2), ["t", 2]);
    g.destroy();
  },

  "attributes with effects"({ py, throws, is }) {
    const t = py("def te(self, *args): raise LookupError(repr(args))\nclass T:\n  __getattr__ = __setattr__ = __delattr__ = __dir__ = __call__ = __getitem__ = __setitem__ = __delitem__ = __iter__ = __len__ = __contains__ = __repr__ = te\nT()");
    const tries = [() => t.x, () => (t.x = 2), () => delete t.x, () => Object.getOwnPropertyNames(t), () => t(), () => t.get(1),
      () => t.set(1, 2), () => t.delete(1), () => t.has(1), () => t.length, () => t.toString(), () => [...t]];
    tries.forEach((f) => throws(f, "PythonError", "LookupError"));
    t.destroy();
  },

  "borrowed attributes"({ py, is, throws }) {
    const outer = py("class Inner:\n  def f(self): return 7\nclass Outer:\n  inner = Inner()\nOuter");
    const inner = outer.inner, copy = inner.copy();
    is(inner.f(), 7);
    outer.destroy();
    is(copy.f(), 7);
    throws(() => inner.f(), "Error", "automatically destroyed in the process of destroying the proxy it was borrowed from");
    copy.destroy();
  },

  "classes are constructed by calls"({ py, is }) {
    const C = py("class C:\n  def __init__(self, x): self.x = x\nC");
    const c = C(5);
    is(c.x, 5);
    c.destroy();
    C.destroy();
  },

  "conversion to JavaScript"({ py, same, is, ok, throws }) {
    const p = py("{'a': [1, (2, 3)], 'b': {'c': None}, 'd': {1, 2}, 'e': b'x'}");
    const o = p.toJs();
    same(o.a, [1, [2, 3]]);
    is(o.b.c, undefined);
    ok(o.d instanceof Set && o.d.has(2));
    ok(o.e instanceof Uint8Array);
    same(p.toJs({ depth: 1 }).a.length, 2);
    ok(p.toJs({ dict_converter: (e) => new Map(e) }) instanceof Map);
    p.destroy();
    const q = py("class T: pass\n[T(), [T()]]");
    const pyproxies = [];
    q.toJs({ pyproxies });
    is(pyproxies.length, 2);
    pyproxies.forEach((x) => x.destroy());
    throws(() => q.toJs({ create_pyproxies: false }), "PythonError", "ConversionError");
    same(q.toJs({ default_converter: (x) => x.type }), ["T", ["T"]]);
    q.destroy();
  },

  "conversion to Python"({ pyodide, is, same }) {
    is(pyodide.toPy(5), 5);
    is(pyodide.toPy("s"), "s");
    is(pyodide.toPy(null), null);
    const o = new (class T {})();
    is(pyodide.toPy(o), o);
    const p = pyodide.toPy({ a: [1, new Map([[1, 2]])] });
    is(p.toString(), "{'a': [1, {1: 2}]}");
    p.destroy();
    const q = pyodide.toPy([new Date(0)], { defaultConverter: (d) => d.getTime() });
    is(q.toString(), "[0]");
    q.destroy();
  },

  "shared parts of conversions"({ py, pyodide, is, ok }) {
    const part = { x: 1 }, p = pyodide.toPy([part, part]);
    const check = py("lambda p: p[0] is p[1]");
    ok(check(p));
    p.destroy();
    check.destroy();
    const q = py("a = []\n[a, a]"), o = q.toJs();
    is(o[0], o[1]);
    q.destroy();
  },

  "buffers"({ py, pyodide, is, same, ok }) {
    const p = py("memoryview(bytes(range(24))).cast('b', [8, 3])[::-1]");
    ok(p instanceof pyodide.ffi.PyBuffer);
    const b = p.getBuffer();
    ok(b instanceof pyodide.ffi.PyBufferView);
    for (let i = 0; i < 8; i++) for (let k = 0; k < 3; k++) is(b.data[b.offset + b.strides[0] * i + b.strides[1] * k], (7 - i) * 3 + k);
    same([...b.shape], [8, 3]);
    b.release();
    b.release();
    p.destroy();
  },

  "numbers that are keys"({ py, is }) {
    const d = py("{0: 'zero', 1.5: 'f', True: 'one'}");
    is(d.get(0), "zero");
    is(d.get(1), "one");
    is(d.get(true), "one");
    is(d.get(1.5), "f");
    d.destroy();
  },

  "assignment of JavaScript objects"({ py, is }) {
    const t = py("class T: pass\nT()"), o = { k: 1 };
    t.o = o;
    is(t.o, o);
    t.destroy();
  },

  "proxies of the same object"({ py, is, no }) {
    const f = py("x = []\nlambda: x");
    const a = f(), b = f();
    a.append(1);
    is(b.length, 1);
    no(a === b);
    a.destroy();
    is(b.length, 1);
    b.destroy();
    f.destroy();
  },

  "objects that change their length"({ py, same }) {
    const l = py("[1, 2, 3]");
    const seen = [];
    for (const x of l) {
      seen.push(x);
      if (l.length < 5) l.append(x);
    }
    same(seen, [1, 2, 3, 1, 2]);
    l.destroy();
  },

  "json of proxies"({ py, is }) {
    const l = py("[1, 2, 3]"), t = py("(1, 'a')");
    is(JSON.stringify(l), "[1,2,3]");
    is(JSON.stringify(t), '[1,"a"]');
    l.destroy();
    t.destroy();
  },

  "json adaptors"({ py, is, same }) {
    const p = py("[1, 2, {'a': 3, 'b': {'c': 4, 'd': [1, {'c': 2}]}}]"), o = p.asJsJson();
    is(o[0], 1);
    is(o[2].a, 3);
    is(o[2].b.d[1].c, 2);
    same(JSON.parse(JSON.stringify(o)), [1, 2, { a: 3, b: { c: 4, d: [1, { c: 2 }] } }]);
    p.destroy();
    const d = py("{'c': 7, '$d': 8, 'items': 9, (1, 2): 3, 1: 4}"), k = d.asJsJson();
    same(Reflect.ownKeys(k).sort(), ["$d", "1", "c", "items"]);
    is(k.items, 9);
    is(k[1], 4);
    k.new = 5;
    is(d.get("new"), 5);
    d.destroy();
  },
})
