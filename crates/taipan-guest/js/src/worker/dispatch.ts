/**
 * Loads the Worker, and is JavaScript's part of its events.
 *
 * Requests go from the engine to Python and answers from Python to the host, without JavaScript. Only a handler that asks for a
 * JavaScript Request, or gives a JavaScript Response, has an entry here.
 */
import { blocking } from "../wasm/suspend";
import type { FieldIn, FieldOut, Host } from "../host";
import type { AbortController } from "../web/abort";
import type { PullSource } from "../web/body";
import type { Request, Response, WebInternals } from "../web/index";
import type { ReadableStream } from "../web/streams";
import { type Declared, makeBindings, makeRpc, setImporting } from "../bindings/index";
import { StubHandle } from "../bindings/pending";
import { type Inner, PythonTarget, innerOf } from "../bindings/stub";
import { cloudflareWorkers, installModules, liveEnvironment, type Modules } from "./modules";
import { failureReport } from "./report";

/** Kinds of events; the host's numbers. */
const DISCONNECTED = 3;

export interface LoadOptions {
  /** The main module's path below `root`. */
  main: string;
  /** The folder of the Worker's files. */
  root: string;
  /** The folder of the packages that its project has locked. */
  packages: string;
  /** Variables, as a JSON object. */
  envJson: string;
  /** Names of variables that module scope must not read. */
  withheld: string[];
  /** Whether `on_fetch` and its like are handlers. */
  globalHandlers: boolean;
  /** What `env` has beside variables. */
  bindings?: Declared[];
}

export interface WorkerRuntime {
  /** Imports our Python, which is in `folder`; what it has of sockets, if the release has any. */
  prepare(py: any, folder: string, hasSockets: boolean): void;
  /** Runs the Worker's main module. Gives null, or a report (JSON, as for `http.fail`) when it failed. */
  load(py: any, options: LoadOptions): Promise<string | null>;
  /** Lets Python find packages in the folder. */
  addPackages(folder: string): void;
  /**
   * Imports modules of the Worker's packages, whose files are below `root`, and as far as possible those that were learned from
   * how it started. Gives null, or a report as `load` does.
   */
  importPackages(root: string, names: string[], learned: string[]): string | null;
  /** Which modules loading the Worker has imported that are not its own, as JSON: names and milliseconds. */
  imported(root: string): string;
  /** Moves together the bytecode that has run. */
  compact(): void;
  /** What imported modules cost, as JSON. */
  costs(): string;
  /** Forgets the Worker, whose files are in `root`; another one can be loaded then. */
  unload(root: string): void;
  onEvent(kind: number, id: number, fields: FieldOut[]): void;
  /** The isolate becomes a snapshot next; gives a report when one of the Worker's hooks failed, throws what else stands in the way. */
  freeze(whole: boolean): string | undefined;
  /** A report of what module scope has left running, as far as Python knows. */
  pending(): string | null;
  /** The isolate was made from a snapshot; these are its variables, as a JSON object. */
  thaw(envJson: string): void;
  /** Ends a request that waits for what can never happen: in its handler, in `waitUntil`, or in its response's body. */
  failHung(request: number): void;
}

/** A request of which JavaScript has a part. */
interface Entry {
  readonly id: number;
  /** method, URL, body length (null none, −1 unknown), cf as JSON or null, headers' names and values */
  readonly fields: [string, string, number | null, string | null, string[]];
  /** The body was read by Python. */
  readonly isRead: boolean;
  request: Request | undefined;
  abort: AbortController | undefined;
  isDisconnected: boolean;
  /** The response is one of JavaScript's, whose end ends the event. */
  isAnswered: boolean;
  /** The response's body is on its way. */
  isSending: boolean;
  /** Work given to `waitUntil` goes on. */
  isHeld: boolean;
  cancelBody: ((reason: unknown) => void) | undefined;
}

interface PythonRuntime {
  is_busy(): boolean;
  freeze(): string | undefined;
  pending(): string;
  thaw(envJson: string, jsEnv: unknown): void;
  hung(event: number): void;
  destroy(): void;
}

export function installWorker(H: Host, web: WebInternals): WorkerRuntime {
  const [RESPOND, READ, WRITE, CLOSE, ABORT, FAIL, DONE] = ["respond", "read", "write", "close", "abort", "fail", "done"].map(verb =>
    H.opNumber(`http.${verb}`)
  ) as [number, number, number, number, number, number, number];

  const UPGRADE = H.opNumber("ws.upgrade");
  const GONE = H.opNumber("http.gone");
  const SAVE = H.opNumber("http.save");
  const PASS = H.opNumber("http.pass");

  const rpc = makeRpc(H);
  // Taken before any code of the Worker can change the globals.
  const Controller: new () => AbortController = (globalThis as any).AbortController;
  const entries = new Map<number, Entry>();
  let python: PythonRuntime | undefined;
  /** Our Python module. */
  let module: any;
  let modules: Modules | undefined;
  let variables: object = {};
  let streams: any[] = [];
  /** What the JavaScript `env` has beside variables. */
  let bound: Record<string, object> = {};

  function finishIfDone(entry: Entry): void {
    if (!entry.isAnswered || entry.isSending || entry.isHeld) return;
    if (!entries.delete(entry.id)) return;
    H.opSync(DONE, entry.id);
  }

  function fail(entry: Entry, report: string): void {
    entry.isAnswered = true;
    H.opSync(FAIL, entry.id, report);
  }

  function respond(entry: Entry, response: Response): void {
    // Partial lines wait in the terminal devices.
    for (const stream of streams) stream.stream_ops.fsync(stream);
    try {
      respondJs(entry, response);
    } catch (e) {
      entry.isSending = false;
      if (!entry.isAnswered) fail(entry, failureReport(e, "bad_return"));
    }
    finishIfDone(entry);
  }

  function respondJs(entry: Entry, response: Response): void {
    const headers = web.flattenHeaders(response.headers);
    if (response.webSocket) {
      web.socketAccess.bind(response.webSocket, () => H.opSync(UPGRADE, entry.id, ...headers)[0] as number);
      entry.isAnswered = true;
      return;
    }
    // Not a header: no header has such a name. See `taipan-server/src/encoding.rs`.
    if (web.isEncodedResponse(response)) headers.push(":encode-body", "manual");
    const { status, statusText } = response;
    // The answer to a request of the Worker's: the host passes it on, and nothing of it comes in here.
    const isPlain = web.isPlainBody(response);
    const fetched = web.releaseBody(response);
    // What was encoded elsewhere is sent as it is.
    if (fetched !== undefined && isPlain) headers.push(":encode-body", "automatic");
    if (fetched !== undefined) {
      H.opSync(RESPOND, entry.id, status, statusText, fetched, ...headers);
      entry.isAnswered = true;
      return;
    }
    const body = web.takeBody(response);
    const send = (bytes: FieldIn) => {
      H.opSync(RESPOND, entry.id, status, statusText, bytes, ...headers);
      entry.isAnswered = true;
    };
    if (typeof body === "string") return send(H.utf8Encode(body));
    if (body === null || body instanceof Uint8Array) return send(body);
    send(-1);
    void pump(entry, body);
  }

  /** Sends a streamed body; the host's answer to a write is what holds a fast producer back. */
  async function pump(entry: Entry, stream: ReadableStream<unknown>): Promise<void> {
    entry.isSending = true;
    // What the body waits for may come with another request: while somebody listens, there is an operation, so it does not count as hung.
    H.opAsync(GONE, entry.id).catch(() => undefined);
    try {
      const reader = stream.getReader();
      let broken: { reason: unknown } | undefined;
      entry.cancelBody = reason => {
        broken = { reason };
        reader.cancel(reason).catch(() => undefined);
      };
      try {
        if (entry.isDisconnected) throw new Error("The client has disconnected");
        for (;;) {
          const { done, value } = await reader.read();
          // To whoever reads, a stream that was cancelled has ended.
          if (broken) throw (broken as { reason: unknown }).reason;
          if (done) break;
          const bytes = chunkBytes(H, value);
          if (bytes.byteLength) await H.opAsync(WRITE, entry.id, bytes);
        }
        H.opSync(CLOSE, entry.id);
      } catch (e) {
        entry.cancelBody(e);
        throw e;
      }
    } catch (e) {
      if (!entry.isDisconnected) console.error("The response's body broke off:", e);
      H.opSync(ABORT, entry.id, errorMessage(e));
    } finally {
      entry.cancelBody = undefined;
      entry.isSending = false;
      finishIfDone(entry);
    }
  }

  function jsRequest(entry: Entry): Request {
    if (entry.request) return entry.request;
    const [method, url, length, cf, headers] = entry.fields;
    entry.abort = new Controller();
    if (entry.isDisconnected) disconnect(entry);
    entry.request = web.makeIncomingRequest({
      method,
      url,
      headers,
      body: length === null ? null : entry.isRead ? () => Promise.resolve(null) : bodyOf(entry.id),
      length: length === null || length === -1 ? null : length,
      cf: cf ? JSON.parse(cf) : undefined,
      signal: entry.abort.signal,
    });
    // What Python has read cannot be read again.
    if (entry.isRead && length !== null) void entry.request.arrayBuffer().catch(() => undefined);
    return entry.request;
  }

  function bodyOf(id: number): PullSource {
    let isUntouched = true;
    const pull: PullSource = () => {
      isUntouched = false;
      return read(id);
    };
    pull.isPlain = true;
    pull.save = blob => {
      if (!isUntouched) return undefined;
      isUntouched = false;
      return H.opAsync(SAVE, id, blob);
    };
    pull.release = () => {
      if (!isUntouched) return undefined;
      isUntouched = false;
      return H.opSync(PASS, id)[0] as number;
    };
    return pull;
  }

  async function read(id: number): Promise<Uint8Array | null> {
    const [chunk] = await H.opAsync(READ, id);
    return chunk === undefined || chunk === null ? null : new Uint8Array(chunk as ArrayBuffer);
  }

  function disconnect(entry: Entry): void {
    const reason = new DOMException("The client has disconnected", "AbortError");
    entry.isDisconnected = true;
    entry.abort?.abort(reason);
    entry.cancelBody?.(reason);
  }

  /** What Python calls. */
  const bridge = {
    /** JavaScript takes part in the request from now on; headers' names and values are lines. */
    open(id: number, method: string, url: string, length: number | undefined, cf: string | undefined, headers: string, isRead: boolean, isDisconnected: boolean) {
      const fields: Entry["fields"] = [method, url, length ?? null, cf ?? null, headers ? headers.split("\n") : []];
      const entry: Entry = {
        id,
        fields,
        isRead,
        request: undefined,
        abort: undefined,
        isDisconnected,
        isAnswered: false,
        isSending: false,
        isHeld: false,
        cancelBody: undefined,
      };
      entries.set(id, entry);
    },
    request(id: number): Request | undefined {
      const entry = entries.get(id);
      return entry && jsRequest(entry);
    },
    /** Sends a response, and ends the event when that is done and nobody holds it. */
    complete(id: number, response: Response) {
      const entry = entries.get(id);
      if (entry) respond(entry, response);
    },
    /** A function of Python's that gives whether it succeeded, and its result or error, as a function that throws. */
    callback(proxy: { (...args: unknown[]): Promise<[boolean, unknown]>; destroy(): void }): object {
      const called = async (...args: unknown[]) => {
        const [succeeded, value] = await proxy(...args);
        if (!succeeded) throw value;
        return value;
      };
      return Object.assign(called, { destroy: () => proxy.destroy() });
    },
    /** An object of Python's that is passed by reference; `called` is as for `callback`. */
    target(called: { (...args: unknown[]): Promise<[boolean, unknown]>; destroy(): void }, destroyed: { (): void; destroy(): void }): object {
      const use = async (...args: unknown[]) => {
        const [succeeded, value] = await called(...args);
        if (!succeeded) throw value;
        return value;
      };
      return new PythonTarget(use, () => {
        destroyed();
        called.destroy();
        destroyed.destroy();
      });
    },
    /** Ways to what another Worker has. */
    stub: (stub: object): object => new StubHandle(innerOf(stub) as Inner),
    /** What a method is called with: a list, and an object. */
    arguments: (bytes: Uint8Array): unknown => rpc.arguments(bytes),
    /** What the method that a request calls returns, or the error. */
    returns(request: number, succeeded: boolean, value: unknown): Uint8Array {
      const outcome = succeeded ? { ok: value } : { error: value };
      const { bytes } = rpc.write(outcome);
      rpc.claim(request, outcome);
      return bytes;
    },
    /** The body of a message of the content type v8. */
    message: (bytes: Uint8Array): unknown => web.deserialize(bytes),
    /** Shows lines that have not ended. */
    flush() {
      for (const stream of streams) stream.stream_ops.fsync(stream);
    },
    /** Python ends the event. */
    forget(id: number) {
      entries.delete(id);
    },
    hold(id: number) {
      const entry = entries.get(id);
      if (entry) entry.isHeld = true;
    },
    env: liveEnvironment(() => variables),
    importModule: (name: string) => modules?.importModule(name),
    release(id: number) {
      const entry = entries.get(id);
      if (!entry) return;
      entry.isHeld = false;
      for (const stream of streams) stream.stream_ops.fsync(stream);
      finishIfDone(entry);
    },
  };

  /** Makes the Worker's JavaScript modules known. */
  function addModules(py: any, worker: string, packages: string): void {
    modules ??= installModules(H, py.FS, { worker, packages });
    modules.define("cloudflare:workers", cloudflareWorkers(bridge.env, promise => module.wait_until(promise)));
  }

  function isBusy(): boolean {
    return entries.size > 0 || Boolean(python?.is_busy());
  }

  function compact(): void {
    H.plugHeap();
    module.compact();
  }

  return {
    prepare(py, folder, hasSockets) {
      const sys = py.pyimport("sys");
      sys.path.insert(0, folder);
      sys.destroy();
      H.startPython();
      module = py.pyimport("_taipan_worker");
      const network = py.pyimport(hasSockets ? "_taipan_network" : "_taipan_no_network");
      network.install();
      network.destroy();
      // What runs from now on is what isolates run.
      module.compact();
      module.costs.watch();
      blocking.enter = module.enter_blocking;
      blocking.leave = module.leave_blocking;
    },
    async load(py, { main, root, packages, envJson, withheld, globalHandlers, bindings }) {
      streams = [1, 2].map(fd => py.FS.getStream(fd)).filter(stream => stream?.stream_ops?.fsync);
      const made = makeBindings(H, web, rpc, bindings ?? []);
      bound = made.objects;
      const jsEnv = { ...JSON.parse(envJson), ...bound };
      const early = withhold(jsEnv, withheld);
      variables = early;
      addModules(py, root, packages);
      const names = JSON.stringify(withheld);
      setImporting(true);
      let loaded;
      try {
        loaded = module.load(main, root, globalHandlers, envJson, names, early, jsEnv, bridge, made.python);
      } finally {
        setImporting(false);
      }
      for (const stream of streams) stream.stream_ops.fsync(stream);
      if (typeof loaded === "string") return loaded;
      variables = jsEnv;
      python = loaded;
      return null;
    },
    importPackages(root, names, learned) {
      const report = module.import_packages(root, JSON.stringify(names), JSON.stringify(learned));
      if (!report) compact();
      return report ?? null;
    },
    imported: root => module.imported(root),
    compact,
    costs: () => module.costs.report(),
    addPackages: folder => module.add_packages(folder),
    unload(root) {
      python?.destroy();
      python = undefined;
      bound = {};
      module.unload(root);
    },
    onEvent(kind, id, _fields) {
      if (kind === DISCONNECTED) {
        const entry = entries.get(id);
        if (entry) disconnect(entry);
        return;
      }
      throw new Error(`unknown kind of event: ${kind}`);
    },
    freeze(whole) {
      if (isBusy()) throw new Error("a request is being handled");
      const report = python?.freeze();
      for (const stream of streams) stream.stream_ops.fsync(stream);
      if (!report) module.settle(H.immortalize, whole);
      return report;
    },
    pending: () => (isBusy() ? null : (python?.pending() ?? null)),
    thaw(envJson) {
      if (python) python.thaw(envJson, (variables = { ...JSON.parse(envJson), ...bound }));
      else module?.refresh();
    },
    failHung(id) {
      python?.hung(id);
      const entry = entries.get(id);
      if (!entry) return;
      if (entry.isHeld) console.error("Work given to waitUntil waits for something that can never happen");
      entry.isHeld = false;
      entry.cancelBody?.(new Error("The response's body never ends"));
      finishIfDone(entry);
    },
  };
}

/** The environment for module scope: the secrets in it are there, but cannot be read. */
function withhold(env: Record<string, unknown>, names: string[]): Record<string, unknown> {
  const early = { ...env };
  for (const name of names) {
    const get = () => {
      throw new Error(`env.${name} is a secret, which module scope cannot read: read it in the handler`);
    };
    Object.defineProperty(early, name, { get, enumerable: true, configurable: true });
  }
  return early;
}

function chunkBytes(H: Host, chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  if (typeof chunk === "string") return new Uint8Array(H.utf8Encode(chunk));
  throw new TypeError(`The response's body gave something that is neither bytes nor a string: ${typeof chunk}`);
}

function errorMessage(e: unknown): string {
  return e instanceof Error ? `${e.name}: ${e.message}` : String(e);
}
