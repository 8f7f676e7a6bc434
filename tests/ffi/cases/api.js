({
  "modules are imported"({ pyodide, is, throws }) {
    const math = pyodide.pyimport("math");
    is(math.floor(2.5), 2);
    math.destroy();
    is(pyodide.pyimport("math.pi"), Math.PI);
    throws(() => pyodide.pyimport("no_such_module"), "PythonError", "ModuleNotFoundError");
  },

  "modules are registered"({ pyodide, is, throws }) {
    pyodide.registerJsModule("from_api", { double: (x) => x * 2, list: [1, 2] });
    is(pyodide.runPython("import from_api; from_api.double(4) + from_api.list.length"), 10);
    pyodide.unregisterJsModule("from_api");
    pyodide.runPython("import sys; sys.modules.pop('from_api')");
    throws(() => pyodide.runPython("import from_api"), "PythonError", "ModuleNotFoundError");
  },

  "globals"({ pyodide, is }) {
    pyodide.globals.set("of_api", 7);
    is(pyodide.globals.get("of_api"), 7);
    is(pyodide.runPython("of_api * 2"), 14);
    is(pyodide.globals.delete("of_api"), undefined);
    is(pyodide.globals.has("of_api"), false);
  },

  "code with names of its own"({ pyodide, is, throws }) {
    const names = pyodide.toPy({ x: 3 });
    is(pyodide.runPython("x + 1", { globals: names }), 4);
    pyodide.runPython("y = x", { globals: names });
    is(names.get("y"), 3);
    names.destroy();
    is(pyodide.runPython("z = 1"), undefined);
    pyodide.runPython("del z");
    throws(() => pyodide.runPython("1 +"), "PythonError", "SyntaxError");
  },

  async "code that awaits"({ pyodide, is, rejects }) {
    is(await pyodide.runPythonAsync("import asyncio\nawait asyncio.sleep(0.001)\n5"), 5);
    await rejects(() => pyodide.runPythonAsync("raise KeyError(1)"), "PythonError", "KeyError: 1");
    const f = pyodide.runPython("async def f(x): return x + 1\nf");
    is(await f(2), 3);
    f.destroy();
  },

  "values to Python"({ pyodide, is, same }) {
    const p = pyodide.toPy({ a: [1, { b: 2 }], c: new Map([["d", null]]), e: new Set([1]) });
    is(p.type, "dict");
    is(p.toString().startsWith("{'a': [1, {'b': 2}], 'c': {'d': "), true);
    p.destroy();
    same(pyodide.toPy(5), 5);
    const shallow = pyodide.toPy([[1]], { depth: 1 });
    is(shallow.get(0)[0], 1);
    shallow.destroy();
    class Pair { constructor(a, b) { this.a = a; this.b = b; } }
    const converted = pyodide.toPy([new Pair(1, 2)], {
      defaultConverter: (obj, convert, cache) => {
        const list = pyodide.toPy([]);
        cache(obj, list);
        list.append(convert(obj.a));
        list.append(convert(obj.b));
        return list;
      },
    });
    is(converted.toString(), "[[1, 2]]");
    converted.destroy();
  },

  "values from Python"({ pyodide, py, same, is, ok }) {
    const p = py("{'a': [1, (2, 3)], 'b': {'c': b'xy'}}");
    const js = p.toJs({ dict_converter: Object.fromEntries });
    same(js.a, [1, [2, 3]]);
    ok(js.b.c instanceof Uint8Array);
    p.destroy();
    const proxies = pyodide.toPy([]);
    proxies.destroy();
    const list = py("[object(), object()]");
    const pyproxies = [];
    list.toJs({ pyproxies });
    is(pyproxies.length, 2);
    pyproxies.forEach((proxy) => proxy.destroy());
    list.destroy();
  },

  "kinds of proxies are classes"({ pyodide, py, ok, no }) {
    const { PyProxy, PyDict, PyCallable, PyIterable, PySequence, PyMutableSequence, PyBuffer, PyAwaitable, PyGenerator, PyIterator, PyAsyncIterator, PyProxyWithLength, PyProxyWithGet, PyProxyWithSet, PyProxyWithHas, PythonError } = pyodide.ffi;
    const is = (code, yes, not) => {
      const p = py(code);
      for (const kind of yes) ok(p instanceof kind, `${code} is no ${kind.name}`);
      for (const kind of not) no(p instanceof kind, `${code} is a ${kind.name}`);
      p.destroy();
    };
    is("{}", [PyProxy, PyDict, PyIterable, PyProxyWithLength, PyProxyWithGet, PyProxyWithSet, PyProxyWithHas], [PyCallable, PySequence]);
    is("[]", [PyProxy, PySequence, PyMutableSequence, PyIterable], [PyDict, PyCallable, PyBuffer]);
    is("(1,)", [PyProxy, PySequence], [PyDict]);
    is("b'x'", [PyProxy, PyBuffer], [PyDict]);
    is("len", [PyProxy, PyCallable], [PyDict]);
    is("(x for x in ())", [PyProxy, PyGenerator, PyIterator], [PyAsyncIterator]);
    is("import asyncio\nasyncio.get_event_loop().create_future()", [PyProxy, PyAwaitable], [PyDict]);
    ok(new PythonError("ValueError", "text", 0) instanceof Error || PythonError.name === "PythonError");
  },

  "files"({ pyodide, is, same, throws }) {
    const { FS, PATH } = pyodide;
    FS.mkdirTree("/tmp/api/deep");
    FS.writeFile("/tmp/api/deep/a.txt", "text");
    is(pyodide.runPython("open('/tmp/api/deep/a.txt').read()"), "text");
    same(FS.readdir("/tmp/api").filter((name) => !name.startsWith(".")), ["deep"]);
    is(FS.analyzePath("/tmp/api/deep/a.txt").exists, true);
    is(FS.stat("/tmp/api/deep/a.txt").size, 4);
    FS.rename("/tmp/api/deep/a.txt", "/tmp/api/b.txt");
    FS.symlink("/tmp/api/b.txt", "/tmp/api/link");
    is(FS.readFile("/tmp/api/link", { encoding: "utf8" }), "text");
    is(PATH.join("/tmp", "api"), "/tmp/api");
    try {
      FS.readFile("/tmp/api/none");
      throw new Error("it was read");
    } catch (e) {
      is(e.errno, pyodide.ERRNO_CODES.ENOENT);
    }
    FS.unlink("/tmp/api/link");
    FS.unlink("/tmp/api/b.txt");
    FS.rmdir("/tmp/api/deep");
    FS.rmdir("/tmp/api");
    throws(() => pyodide.runPython("open('/tmp/api/b.txt')"), "PythonError", "FileNotFoundError");
  },

  "archives are unpacked"({ pyodide, is }) {
    const bytes = pyodide.runPython(`
      import io, tarfile
      data = io.BytesIO()
      with tarfile.open(fileobj=data, mode="w:gz") as tar:
          info = tarfile.TarInfo("packed.txt")
          info.size = 3
          tar.addfile(info, io.BytesIO(b"tar"))
      data.getvalue()
    `);
    pyodide.unpackArchive(bytes.toJs(), "gztar", { extractDir: "/tmp/api-unpacked" });
    bytes.destroy();
    is(pyodide.FS.readFile("/tmp/api-unpacked/packed.txt", { encoding: "utf8" }), "tar");
  },

  "interrupts"({ pyodide, throws, is }) {
    const buffer = new Uint8Array(1);
    pyodide.setInterruptBuffer(buffer);
    try {
      buffer[0] = 2;
      throws(() => pyodide.runPython("for i in range(10_000_000): pass"), "PythonError", "KeyboardInterrupt");
      is(buffer[0], 0);
      buffer[0] = 2;
      throws(() => pyodide.checkInterrupt(), "PythonError", "KeyboardInterrupt");
      pyodide.checkInterrupt();
    } finally {
      pyodide.setInterruptBuffer(undefined);
    }
    is(pyodide.runPython("1 + 1"), 2);
  },

  "what is known of itself"({ pyodide, ok, is }) {
    ok(/^\d+\.\d+\.\d+/.test(pyodide.version));
    is(pyodide.version, pyodide.pyodide_py.__version__);
    is(typeof pyodide.loadedPackages, "object");
    is(pyodide.setDebug(true), false);
    is(pyodide.setDebug(false), true);
  },

  "errors have the type of the exception"({ pyodide, is, ok }) {
    try {
      pyodide.runPython("class Mine(Exception): pass\nraise Mine('text')");
    } catch (e) {
      ok(e instanceof pyodide.ffi.PythonError);
      is(e.type, "Mine");
      ok(e.message.includes("Mine: text"));
      is(e.message.split("\n")[0], "Traceback (most recent call last):");
      return;
    }
    ok(false, "nothing was thrown");
  },

  "calls with options"({ py, is, same }) {
    const f = py("def f(a, /, b=2, *, c=3): return [a, b, c]\nf");
    const g = py("lambda *a, **k: (len(a), sorted(k))");
    const show = (list) => {
      const made = list.toJs();
      list.destroy();
      return made;
    };
    same(show(f.callKwargs(1, { c: 5 })), [1, 2, 5]);
    same(show(f.callRelaxed(1, 7, 8, 9)), [1, 7, 3]);
    same(show(f.callKwargsRelaxed(1, 7, 8, { c: 4, d: 5 })), [1, 7, 4]);
    same(show(f.callWithOptions({ relaxed: true, kwargs: true }, 1, { c: 6, z: 7 })), [1, 2, 6]);
    same(show(g.apply(null, [1, 2])), [2, []]);
    f.destroy();
    g.destroy();
  },
})
