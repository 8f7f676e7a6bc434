/**
 * Events from the host on their way to Python's handlers, and responses on their way back.
 *
 * The border to Python is the expensive part, so a request crosses it as a number, a method and a URL, and the usual
 * response crosses back as one string. `Request` and `Response` objects exist only for those who ask for them.
 */
import { blocking } from "../wasm/suspend";
import type { FieldIn, FieldOut, Host } from "../host";
import type { AbortController } from "../web/abort";
import type { PullSource } from "../web/body";
import type { Request, Response, WebInternals } from "../web/index";
import type { ReadableStream } from "../web/streams";
import { type Declared, makeBindings, setImporting } from "../bindings/index";
import { cloudflareWorkers, installModules, liveEnvironment, type Modules } from "./modules";
import { failureReport } from "./report";

/** Kinds of events; the host's numbers. */
const FETCH = 2;
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
  /** The requests that have no answer yet. */
  pendingRequests(): number[];
  /** Ends a request that waits for what can never happen: in its handler, in `waitUntil`, or in its response's body. */
  failHung(request: number): void;
}

/** A request between its event and `http.done`. */
interface Entry {
  readonly id: number;
  /** method, url, body length (null none, −1 unknown), cf as JSON or null, the connection, then headers' names and values */
  readonly fields: FieldOut[];
  request: Request | undefined;
  abort: AbortController | undefined;
  isDisconnected: boolean;
  isAnswered: boolean;
  /** The response's body is on its way. */
  isSending: boolean;
  /** Work given to `waitUntil` goes on. */
  isHeld: boolean;
  /** A body of bytes, handed over before the response that it belongs to. */
  bytes: Uint8Array | undefined;
  cancelBody: ((reason: unknown) => void) | undefined;
}

/** What Python's handlers give back: see `Response._send`, or a report as JSON, or a JavaScript Response. */
type Answer = string | Response;

interface PythonRuntime {
  freeze(): string | undefined;
  pending(): string;
  thaw(envJson: string, jsEnv: unknown): void;
  fetch: { (event: number, method: string, url: string): Answer | undefined; callPromising(...args: unknown[]): Promise<Answer | undefined>; destroy(): void };
  hung(event: number): string;
  destroy(): void;
}

export function installWorker(H: Host, web: WebInternals): WorkerRuntime {
  const [RESPOND, READ, WRITE, CLOSE, ABORT, FAIL, DONE] = ["respond", "read", "write", "close", "abort", "fail", "done"].map(verb =>
    H.opNumber(`http.${verb}`)
  ) as [number, number, number, number, number, number, number];

  const UPGRADE = H.opNumber("ws.upgrade");
  const GONE = H.opNumber("http.gone");
  const SAVE = H.opNumber("http.save");
  const [RECEIVE, SEND, DRAINED, CLOSE_SOCKET] = ["receive", "send", "drained", "close"].map(verb => H.opNumber(`ws.${verb}`)) as [number, number, number, number];

  // Taken before any code of the Worker can change the globals.
  const Controller: new () => AbortController = (globalThis as any).AbortController;
  const entries = new Map<number, Entry>();
  let python: PythonRuntime | undefined;
  let fetch: PythonRuntime["fetch"] | undefined;
  /** Whether Python can block (`run_sync`) only in calls made with `callPromising`. */
  let isPromising = false;
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

  function respond(entry: Entry, answer: Answer | undefined): void {
    // Partial lines wait in the terminal devices.
    for (const stream of streams) stream.stream_ops.fsync(stream);
    // A handler that was given up may still return.
    if (entry.isAnswered) return finishIfDone(entry);
    try {
      if (typeof answer !== "string") respondJs(entry, answer as Response);
      else if (answer.startsWith("{")) fail(entry, answer);
      else respondText(entry, answer);
    } catch (e) {
      entry.isSending = false;
      if (!entry.isAnswered) fail(entry, failureReport(e, "bad_return"));
    }
    finishIfDone(entry);
  }

  function respondText(entry: Entry, answer: string): void {
    const nul = answer.indexOf("\0");
    let head = answer;
    let body: ArrayBuffer | Uint8Array | null = null;
    if (nul >= 0) {
      head = answer.slice(0, nul);
      body = H.utf8Encode(answer.slice(nul + 1));
    } else if (answer.endsWith("\x01")) {
      head = answer.slice(0, -1);
      body = entry.bytes ?? null;
      entry.bytes = undefined;
    }
    const [status, statusText, ...headers] = head.split("\n");
    H.opSync(RESPOND, entry.id, Number(status), statusText, body, ...headers);
    entry.isAnswered = true;
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
    const fetched = web.releaseBody(response);
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
    try {
      const reader = stream.getReader();
      entry.cancelBody = reason => void reader.cancel(reason).catch(() => undefined);
      try {
        if (entry.isDisconnected) throw new Error("The client has disconnected");
        for (;;) {
          const { done, value } = await reader.read();
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
    const [method, url, length, cf, , ...headers] = entry.fields;
    entry.abort = new Controller();
    if (entry.isDisconnected) disconnect(entry);
    entry.request = web.makeIncomingRequest({
      method: method as string,
      url: url as string,
      headers: headers as string[],
      body: length === null ? null : bodyOf(entry.id),
      length: length === null || length === -1 ? null : (length as number),
      cf: cf ? JSON.parse(cf as string) : undefined,
      signal: entry.abort.signal,
    });
    return entry.request;
  }

  function bodyOf(id: number): PullSource {
    let isUntouched = true;
    const pull: PullSource = () => {
      isUntouched = false;
      return read(id);
    };
    pull.save = blob => {
      if (!isUntouched) return undefined;
      isUntouched = false;
      return H.opAsync(SAVE, id, blob);
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

  /** What Python calls. Strings go over the border at a fraction of an object's cost. */
  const bridge = {
    /** The answer of a handler that had to wait. */
    complete(id: number, answer: Answer) {
      const entry = entries.get(id);
      if (entry) respond(entry, answer);
    },
    headers(id: number): string | undefined {
      return entries.get(id)?.fields.slice(5).join("\n");
    },
    cf(id: number): string | undefined {
      return (entries.get(id)?.fields[3] as string | null | undefined) ?? undefined;
    },
    request(id: number): Request | undefined {
      const entry = entries.get(id);
      return entry && jsRequest(entry);
    },
    /** Reads the request's body with the method; undefined when the request is over, false when it has been read. */
    read(id: number, method: "text" | "arrayBuffer" | "blob" | "formData"): Promise<unknown> | false | undefined {
      const entry = entries.get(id);
      if (!entry) return undefined;
      const request = jsRequest(entry);
      return request.bodyUsed ? false : request[method]();
    },
    body(id: number, bytes: Uint8Array) {
      const entry = entries.get(id);
      if (entry) entry.bytes = bytes;
    },
    /** HTTP's version and the two ends of the connection. */
    connection(id: number): string | undefined {
      return (entries.get(id)?.fields[4] as string | null | undefined) ?? undefined;
    },
    /** The length of the request's body; −1 unknown, undefined none. */
    length(id: number): number | undefined {
      return (entries.get(id)?.fields[2] as number | null | undefined) ?? undefined;
    },
    /** The next chunk of the request's body; nothing at its end. Undefined when somebody has the body as a stream. */
    chunk(id: number): Promise<Uint8Array | undefined> | undefined {
      const entry = entries.get(id);
      if (!entry || entry.request?.bodyUsed) return undefined;
      return read(id).then(chunk => chunk ?? undefined);
    },
    /** Settles once the client is gone or the request is over. */
    gone: (id: number) => H.opAsync(GONE, id).then(() => undefined),
    /** Begins a response whose body Python writes; false when there is none to give any more. */
    begin(id: number, head: string): boolean {
      const entry = entries.get(id);
      if (!entry || entry.isAnswered) return false;
      const [status, statusText, ...headers] = head.split("\n");
      H.opSync(RESPOND, id, Number(status), statusText, -1, ...headers);
      entry.isAnswered = entry.isSending = true;
      return true;
    },
    /** Settles once there is room for more. */
    write: (id: number, bytes: Uint8Array) => H.opAsync(WRITE, id, bytes).then(() => undefined),
    /** Ends the body, with trailers (as headers have it), or breaks it off for a reason. */
    end(id: number, trailers: string, reason: string | undefined) {
      const entry = entries.get(id);
      if (!entry?.isSending) return;
      if (reason === undefined) H.opSync(CLOSE, id, ...(trailers ? trailers.split("\n") : []));
      else H.opSync(ABORT, id, reason);
      entry.isSending = false;
      for (const stream of streams) stream.stream_ops.fsync(stream);
      finishIfDone(entry);
    },
    /** Answers the request with a WebSocket, and gives its number. */
    upgrade(id: number, headers: string): number | undefined {
      const entry = entries.get(id);
      if (!entry || entry.isAnswered) return undefined;
      const socket = H.opSync(UPGRADE, id, ...(headers ? headers.split("\n") : []))[0] as number;
      entry.isAnswered = true;
      return socket;
    },
    /** The next message: a string, bytes, or how the connection ended: [code, reason]. */
    async receive(socket: number): Promise<unknown> {
      const [first, reason] = await H.opAsync(RECEIVE, socket);
      if (typeof first === "number") return `${first} ${reason as string}`;
      return typeof first === "string" ? ` ${first}` : new Uint8Array(first as ArrayBuffer);
    },
    /** How many bytes wait for the peer; undefined when the socket is closed. */
    send: (socket: number, data: string | Uint8Array) => H.opSync(SEND, socket, data)[0] as number | undefined,
    drained: (socket: number) => H.opAsync(DRAINED, socket).then(() => undefined),
    closeSocket(socket: number, code: number, reason: string) {
      H.opSync(CLOSE_SOCKET, socket, code, reason);
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

  function onFetch(id: number, fields: FieldOut[]): void {
    const entry: Entry = {
      id,
      fields,
      request: undefined,
      abort: undefined,
      isDisconnected: false,
      isAnswered: false,
      isSending: false,
      isHeld: false,
      bytes: undefined,
      cancelBody: undefined,
    };
    entries.set(id, entry);
    const [method, url] = fields as [string, string];
    try {
      if (!fetch) throw new Error("The Worker is not loaded");
      if (isPromising) {
        fetch.callPromising(id, method, url).then(
          answer => answer !== undefined && respond(entry, answer),
          e => respond(entry, failureReport(e, "exception"))
        );
      } else {
        const answer = fetch(id, method, url);
        if (answer !== undefined) respond(entry, answer);
      }
    } catch (e) {
      respond(entry, failureReport(e, "exception"));
    }
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
      if (hasSockets) {
        const network = py.pyimport("_taipan_network");
        network.install();
        network.destroy();
      }
      // What runs from now on is what isolates run.
      module.compact();
      module.costs.watch();
      blocking.enter = module.enter_blocking;
      blocking.leave = module.leave_blocking;
    },
    async load(py, { main, root, packages, envJson, withheld, globalHandlers, bindings }) {
      isPromising = Boolean(py._module.jspiSupported) && !module.can_block();
      streams = [1, 2].map(fd => py.FS.getStream(fd)).filter(stream => stream?.stream_ops?.fsync);
      const made = makeBindings(H, web, bindings ?? []);
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
      fetch = loaded.fetch;
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
      fetch?.destroy();
      python?.destroy();
      fetch = python = undefined;
      bound = {};
      module.unload(root);
    },
    onEvent(kind, id, fields) {
      if (kind === FETCH) return onFetch(id, fields);
      if (kind === DISCONNECTED) {
        const entry = entries.get(id);
        if (entry) disconnect(entry);
        return;
      }
      throw new Error(`unknown kind of event: ${kind}`);
    },
    freeze(whole) {
      if (entries.size) throw new Error("a request is being handled");
      const report = python?.freeze();
      for (const stream of streams) stream.stream_ops.fsync(stream);
      if (!report) module.settle(H.immortalize, whole);
      return report;
    },
    pending: () => (entries.size ? null : (python?.pending() ?? null)),
    thaw(envJson) {
      if (python) python.thaw(envJson, (variables = { ...JSON.parse(envJson), ...bound }));
      else module?.refresh();
    },
    pendingRequests: () => [...entries.values()].filter(entry => !entry.isAnswered).map(entry => entry.id),
    failHung(id) {
      const entry = entries.get(id);
      if (!entry || !python) return;
      if (!entry.isAnswered) fail(entry, python.hung(id));
      else if (entry.isHeld) console.error("Work given to waitUntil waits for something that can never happen");
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
