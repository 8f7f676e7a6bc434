// The value is a function that runs one file of the Web Platform Tests under their own testharness.js, and gives what came of
// it as JSON: [[name, passed, message], …].
(() => {
  const names = new Set(Reflect.ownKeys(globalThis));
  const real = { fetch, addEventListener };
  let listeners = [];

  /** Makes the global object what it was: files ask what is defined. */
  function clean() {
    Object.assign(globalThis, real);
    for (const name of Reflect.ownKeys(globalThis)) if (!names.has(name)) delete globalThis[name];
    for (const [type, listener, options] of listeners) removeEventListener(type, listener, options);
    listeners = [];
    performance.clearMarks();
    performance.clearMeasures();
  }

  // Workers have none, but tests of blobs read them by it.
  class FileReader extends EventTarget {
    #read(promise) {
      promise.then(result => {
        Object.assign(this, { result, readyState: 2, error: null });
        for (const type of ["load", "loadend"]) {
          const event = new Event(type);
          this.dispatchEvent(event);
          this[`on${type}`]?.(event);
        }
      });
    }
    readAsText(blob) {
      this.#read(blob.text());
    }
    readAsArrayBuffer(blob) {
      this.#read(blob.arrayBuffer());
    }
  }

  return async (path, search, readFile) => {
    // What a file that hung has left is there, too.
    clean();
    const read = async at => {
      // The name by which tests ask for it; there, a server makes that of this file.
      const text = await readFile(at === "/resources/WebIDLParser.js" ? "/resources/webidl2/lib/webidl2.js" : at);
      if (text === undefined || text === null) throw new Error(`There is no such file: ${at}`);
      return text;
    };
    const location = new URL(path + search, "https://web-platform.test/");
    const test = await read(path);
    const scripts = [];
    for (const [, script] of test.matchAll(/^\/\/ META: script=(.*)$/gm)) {
      scripts.push(await read(new URL(script, location).pathname));
    }
    const harness = await read("/resources/testharness.js");

    const results = await new Promise((resolve, reject) => {
      Object.assign(globalThis, {
        FileReader,
        GLOBAL: { isWindow: () => false, isWorker: () => true, isShadowRealm: () => false },
        location,
        // Files of the tests are the only thing that they fetch.
        fetch: async (input, init) => {
          const { pathname } = new URL(typeof input === "string" ? input : input.url, location);
          if (pathname.endsWith("/echo-content.py")) return new Response(await new Request(location, init).arrayBuffer());
          const text = await readFile(pathname);
          return new Response(text ?? "", { status: text === undefined ? 404 : 200 });
        },
        addEventListener: (...args) => {
          listeners.push(args);
          real.addEventListener.apply(globalThis, args);
        },
      });
      // testharness.js knows service workers, which wait for what only a browser does. Without their scope it takes this for a shell.
      const scope = new Proxy(globalThis, { has: (target, name) => !/GlobalScope$/.test(String(name)) && name in target });
      try {
        Function("self", harness)(scope);
        globalThis.addEventListener = real.addEventListener;
        add_completion_callback((tests, status) => {
          const rows = tests.map(({ name, status, message }) => [name, status === 0, message ?? ""]);
          if (status.status !== 0) rows.push(["(the file)", false, status.message ?? `status ${status.status}`]);
          resolve(rows);
        });
        // One program, so that what one declares with `const` is known to the next.
        (0, eval)([...scripts, test].join("\n;\n"));
      } catch (e) {
        reject(e);
      }
    }).catch(e => [["(the file)", false, `${e?.name}: ${e?.message}`]]);
    return JSON.stringify(results.map(row => row.map(each => (typeof each === "string" ? each.toWellFormed() : each))));
  };
})()
