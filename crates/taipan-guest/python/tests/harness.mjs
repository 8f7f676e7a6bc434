// Runs Workers in Node's Pyodide, with a host that records what it is told. TAIPAN_TEST_PYODIDE names the folder of
// an unpacked npm package `pyodide`; without it the tests are skipped.
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const guest = join(here, "..", "..");
const ROOT = "/session/metadata";

export const pyodideFolder = process.env.TAIPAN_TEST_PYODIDE;
export const skip = pyodideFolder ? false : "TAIPAN_TEST_PYODIDE names no folder with Pyodide";

async function dispatcher() {
  const { build } = await import(pathToFileURL(join(guest, "js/node_modules/esbuild/lib/main.js")).href);
  const folder = await mkdtemp(join(tmpdir(), "taipan-sdk-"));
  const outfile = join(folder, "dispatch.mjs");
  await build({ entryPoints: [join(guest, "js/src/worker/dispatch.ts")], outfile, bundle: true, format: "esm", logLevel: "warning" });
  const module = await import(pathToFileURL(outfile).href);
  await rm(folder, { recursive: true });
  return module;
}

/** Puts our own classes in the place of Node's, as they are in the sandbox; timers and the console stay Node's. */
async function platform() {
  const { internals, web } = await import(pathToFileURL(join(guest, "js/test/support/platform.js")).href);
  for (const name of Object.keys(Object.getOwnPropertyDescriptors(web))) {
    if (!/^[A-Z]/.test(name) || /^(Crypto|Performance|URL|Event|Text.*coder|Message.*)$/.test(name)) continue;
    Object.defineProperty(globalThis, name, { value: web[name], writable: true, configurable: true });
  }
  return internals;
}

const OPS = ["respond", "read", "write", "close", "abort", "fail", "done", "gone"].map(verb => `http.${verb}`);

/** The engine's module `_taipan`, on top of a host that is JavaScript. */
const ENGINE = `
import sys, types
from pyodide.ffi import create_proxy, to_js

def engine(host, after):
    module = types.ModuleType("_taipan")
    state = types.SimpleNamespace(cause=0, timer=0, run=None, settle=None)

    def field(value):
        return to_js(bytes(value)) if isinstance(value, (bytes, bytearray, memoryview)) else value

    def answer(fields):
        return tuple(f.to_bytes() if hasattr(f, "to_bytes") and not isinstance(f, int) else f for f in fields)

    def op(number, *fields):
        return answer(host.opSync(number, *map(field, fields)))

    def start(number, *fields):
        future = state.future()
        # The promise is JavaScript's, and so are the callbacks.
        def done(fields):
            destroy()
            state.settle(future, answer(fields), False)
        def failed(name, message):
            destroy()
            state.settle(future, state.error((name, message)), True)
        def destroy():
            loop.call_soon(lambda: [proxy.destroy() for proxy in proxies])
        loop = future.get_loop()
        proxies = [create_proxy(done), create_proxy(failed)]
        promise = host.opAsync(number, *map(field, fields))
        host.settle(promise, *proxies)
        return future

    def connect(run, future, settle, error, on_event):
        state.run, state.future, state.settle, state.error = run, future, settle, error
        module.on_event = lambda id, fields: on_event(2, id, tuple(fields))

    def wake():
        after(0, state.run_proxy)

    def wake_in(milliseconds):
        if milliseconds >= 0:
            after(milliseconds, state.run_proxy)

    state.run_proxy = create_proxy(lambda: state.run())
    module.op, module.start, module.connect, module.wake, module.wake_in = op, start, connect, wake, wake_in
    module.start_typed = start
    module.op_number = lambda name: host.opNumber(name)
    module.log = lambda level, line: host.log(level, line)
    module.cause, module.set_cause = lambda: state.cause, lambda cause: setattr(state, "cause", cause)
    module.in_thread = lambda function: function()
    sys.modules["_taipan"] = module
    return module

engine
`;

/** A host that answers like the real one, for as many requests as come. */
class Host {
  requests = new Map();
  onModule = () => {};
  startPython = () => {};
  opNumber = name => OPS.indexOf(name);
  settle = (promise, done, failed) => void promise.then(done, e => failed(e.name ?? "Error", e.message ?? String(e)));
  startPython = () => {
    const after = (ms, run) => void setTimeout(() => run(), ms);
    this.engine = pyodide.py.runPython(ENGINE)(this, after);
  };
  log = (level, line) => (level === 1 ? current.output : current.errors).push(line);
  utf8Encode = text => new TextEncoder().encode(text).buffer;
  of(id) {
    let request = this.requests.get(id);
    if (!request) {
      request = { chunks: [], body: [], ended: false, failure: null, aborted: null };
      request.done = new Promise(resolve => (request.resolve = resolve));
      this.requests.set(id, request);
    }
    return request;
  }
  opSync = (op, id, ...fields) => {
    const request = this.of(id);
    if (request.ended) throw new Error(`${OPS[op]} after http.done`);
    switch (OPS[op]) {
      case "http.respond": {
        const [status, statusText, body, ...headers] = fields;
        if (request.status) throw new TypeError("the request has been answered already");
        Object.assign(request, { status, statusText, isStream: body === -1, headers: [] });
        for (let i = 0; i < headers.length; i += 2) request.headers.push([headers[i], headers[i + 1]]);
        if (body !== null && body !== undefined && body !== -1) request.chunks.push(Buffer.from(body.buffer ? body.slice() : body.slice(0)));
        break;
      }
      case "http.close":
        request.closed = true;
        break;
      case "http.abort":
        request.aborted = fields[0];
        break;
      case "http.fail":
        request.failure = JSON.parse(fields[0]);
        break;
      case "http.done":
        request.ended = true;
        request.resolve(request);
        break;
    }
    return [];
  };
  opAsync = async (op, id, ...fields) => {
    const request = this.of(id);
    // A macrotask, as with a real host: an endless stream must not starve the timers.
    await new Promise(setImmediate);
    if (OPS[op] === "http.read") {
      const chunk = request.body.shift();
      return chunk === undefined ? [] : [new Uint8Array(chunk).buffer];
    }
    if (request.refuse) throw new Error("the client has gone");
    request.chunks.push(Buffer.from(fields[0]));
    return [];
  };
}

/** Undoes what a Worker's start does, so that the tests share one boot of Pyodide. */
const RESET = `
import linecache, logging, sys

def reset():
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(("/taipan/", "${ROOT}/")):
            del sys.modules[name]
    sys.path[:] = [path for path in sys.path if not path.startswith(("/taipan/", "${ROOT}"))]
    sys.path_importer_cache.clear()
    linecache.clearcache()
    logging.getLogger().handlers.clear()

reset
`;

let base;
let web;
let pyodide;
let current;
let next = 1;

async function boot() {
  const { loadPyodide } = await import(pathToFileURL(join(pyodideFolder, "pyodide.mjs")).href);
  const py = await loadPyodide({
    indexURL: pyodideFolder,
    stdout: line => current.output.push(line),
    stderr: line => current.errors.push(line),
    env: { HOME: "/home/pyodide", PYTHONDONTWRITEBYTECODE: "1" },
  });
  const copy = async (from, to) => {
    py.FS.mkdirTree(to);
    for (const entry of await readdir(from, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name === "workers") await copy(join(from, entry.name), `${to}/${entry.name}`);
      else if (entry.isFile()) py.FS.writeFile(`${to}/${entry.name}`, await readFile(join(from, entry.name)));
    }
  };
  await copy(join(guest, "python"), "/taipan/python");
  // What the engine makes in its place has thread states, which nothing here asks for.
  py.runPython("import sys, types; sys.modules['_taipan'] = types.SimpleNamespace(in_thread=lambda run: run())");
  // Sockets are the host's, and nothing here opens one.
  py.registerJsModule("_taipan_host", {});
  return { py, reset: py.runPython(RESET) };
}

function removeTree(FS, path) {
  for (const name of FS.readdir(path)) {
    if (name === "." || name === "..") continue;
    const child = `${path}/${name}`;
    if (FS.isDir(FS.stat(child).mode)) removeTree(FS, child);
    else FS.unlink(child);
  }
  FS.rmdir(path);
}

export class Worker {
  output = [];
  errors = [];

  /** Starts a Worker. `files` are its files; the first is the main module unless `main` says otherwise. */
  static async start(files, { main, env = {}, globalHandlers = false } = {}) {
    base ??= await dispatcher();
    pyodide ??= await boot();
    web ??= await platform();
    const worker = (current = new Worker());
    const { py, reset } = pyodide;
    worker.py = py;
    reset();
    if (py.FS.analyzePath(ROOT).exists) removeTree(py.FS, ROOT);
    for (const [name, text] of Object.entries(files)) {
      const path = `${ROOT}/${name}`;
      py.FS.mkdirTree(dirname(path));
      py.FS.writeFile(path, text);
    }
    py.runPython("import importlib; importlib.invalidate_caches()");
    worker.host = new Host();
    worker.runtime = base.installWorker(worker.host, web);
    worker.runtime.prepare(py, "/taipan/python");
    const report = await worker.runtime.load(py, {
      main: main ?? Object.keys(files)[0],
      root: ROOT,
      packages: "/session/packages",
      withheld: [],
      envJson: JSON.stringify(env),
      globalHandlers,
    });
    worker.failure = report && JSON.parse(report);
    return worker;
  }

  /** Sends a request; gives its number. */
  send(path = "/", { method = "GET", headers = {}, body, cf = null } = {}) {
    const id = next++;
    const request = this.host.of(id);
    if (body !== undefined) request.body = (Array.isArray(body) ? body : [body]).map(part => Buffer.from(part));
    const flat = Object.entries(headers).flat();
    const fields = [method, `http://localhost${path}`, body === undefined ? undefined : -1, cf ? JSON.stringify(cf) : undefined, "1.1 192.0.2.7 4711 127.0.0.1 80", ...flat];
    this.host.engine.on_event(id, fields);
    return id;
  }

  /** The requests that have no answer yet. */
  pending() {
    return [...this.py.runPython("from pyodide.ffi import to_js; import workers; to_js([id for id, event in workers._context.events.items() if not event._is_answered])")];
  }

  /** Sends a request and waits until it is done. */
  async fetch(path, options) {
    const id = this.send(path, options);
    return this.finished(id);
  }

  async finished(id) {
    const request = await this.host.of(id).done;
    this.host.requests.delete(id);
    const bytes = Buffer.concat(request.chunks);
    return { ...request, bytes, text: bytes.toString(), headers: Object.fromEntries(request.headers ?? []), pairs: request.headers };
  }
}
