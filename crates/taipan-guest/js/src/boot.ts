/**
 * Starts Python: the unmodified Pyodide glue, then our Python.
 *
 * The glue chooses its ways of reading files by looking at global names. It is shown a "shell" (`read`, `readbuffer`,
 * `load`), which needs neither URLs nor `fetch`; the names are gone before any code of the Worker runs.
 */
import type { Declared } from "./bindings/index";
import type { Host } from "./host";
import { findLibraries, repaired } from "./libraries";
import { installNetwork } from "./network";
import { WORKER_ROOT } from "./paths";
import { enableNatives } from "./wasm/natives";
import { installSuspending } from "./wasm/suspend";
import { Response } from "./web/response";

export interface BootOptions {
  version: string;
  /** The file with Pyodide's JavaScript: a module, or before 314 a script. */
  glue: string;
  /** Whether its Python has `ssl`, and sockets that the host can be behind. */
  hasSockets: boolean;
  /** Whether its loader looks for the libraries that a native module needs. */
  findsLibraries: boolean;
  /** Paths of our Python files. */
  python: string[];
}

export interface WorkerOptions {
  /** Path of the main module within the Worker's files. */
  main: string;
  sources: string[];
  envJson: string;
  /** Names in `env` that module scope must not read. */
  withheld: string[];
  globalHandlers: boolean;
  /** What `env` has beside variables. */
  bindings: Declared[];
  /** What the host has of the Worker's as volumes. */
  volumes: Volumes;
  /** The most bytes that files in memory may take. */
  memoryFiles: number;
}

export interface Volumes {
  /** Packages that the Worker's project has locked: volume 0. */
  packages: boolean;
  /** The Worker's own files: volume 1. Otherwise they are those that the options name. */
  sources: boolean;
}

export interface PackageOptions {
  sources: string[];
  volumes: Volumes;
  memoryFiles: number;
  /** Modules, by their full names. */
  imports: string[];
  /** Modules that these import when they are used. */
  learned: string[];
}

const RUNTIME = "/pyodide/";
/** What Pyodide's script defines. */
const SCRIPT = "_createPyodideModule";
export const PYTHON = "/taipan/python/";
/** Where the host has the Worker's files. */
const SOURCES = "/worker/";
/** Where Python sees the packages that the Worker's project has locked. */
export const PACKAGES_ROOT = "/session/packages";
/** And those that were vendored with it. */
const VENDORED = `${WORKER_ROOT}/python_modules`;

function readOrThrow(H: Host, path: string): Uint8Array {
  const bytes = H.readFile(path);
  if (bytes === undefined) throw new Error(`the host has no file ${path}`);
  return new Uint8Array(bytes);
}

function copyIn(H: Host, fs: any, from: string, names: string[], to: string): void {
  for (const name of names) {
    const path = `${to}/${name}`;
    fs.mkdirTree(path.slice(0, path.lastIndexOf("/")));
    fs.writeFile(path, readOrThrow(H, from + name), { canOwn: true });
  }
}

/**
 * What a script sees beside that: a worker of the kind that loads scripts. Before 0.28, Pyodide knows no shell, and fetches its
 * files.
 */
function classicWorker(H: Host): Record<string, unknown> {
  const location = { href: RUNTIME };
  return {
    location,
    self: { location },
    // The platform's needs the host, which is not there yet.
    URL: class URL {
      constructor(readonly href: string) {}
      toString() { return this.href; }
    },
    importScripts: () => {
      throw new Error("scripts cannot be loaded");
    },
    fetch: async (path: unknown) => new Response(readOrThrow(H, `${path}`)),
  };
}

/** Gives Python the Worker's files. */
export function placeSources(H: Host, py: any, sources: string[]): void {
  py.FS.mkdirTree(WORKER_ROOT);
  copyIn(H, py.FS, SOURCES, sources, WORKER_ROOT);
}

/** Returns Pyodide's API, with our Python in place. */
export async function bootPython(H: Host, options: BootOptions): Promise<any> {
  const scope = globalThis as any;
  const isScript = options.glue.endsWith(".js");
  const disguise: Record<string, unknown> = {
    read: (path: string) => H.utf8Decode(readOrThrow(H, path)),
    readbuffer: (path: string) => readOrThrow(H, path).buffer,
    load: () => {
      throw new Error("scripts cannot be loaded");
    },
    WorkerGlobalScope: class WorkerGlobalScope {},
    ...(isScript && classicWorker(H)),
  };
  const visible = new Map(Object.keys(disguise).map(name => [name, Object.getOwnPropertyDescriptor(scope, name)]));
  Object.assign(scope, disguise);
  let glue: any;
  installSuspending(H, () => glue);
  // The paths are variables so that the bundler leaves these imports to the engine.
  const loader = `${RUNTIME}pyodide.mjs`, module = RUNTIME + options.glue;
  const { loadPyodide } = await import(loader);
  const { default: create = scope[SCRIPT] } = await import(module);
  const createPyodideModule = (settings: any) => {
    glue = settings;
    // Otherwise the glue ends in a trap, which says nothing.
    settings.onAbort = (what: unknown) => H.exit(1, `aborted ${what ?? ""}`.trim());
    const instantiate = settings.instantiateWasm;
    settings.instantiateWasm = (imports: any, receive: unknown) => {
      imports.env._dlopen_js = repaired(imports.env._dlopen_js, () => glue);
      return instantiate(imports, receive);
    };
    // What does not have its memory itself takes it from here.
    if (isScript) settings.wasmMemory = new (globalThis as any).WebAssembly.Memory();
    return create(settings);
  };
  if (isScript) scope[SCRIPT] = createPyodideModule;
  const py = await loadPyodide({
    indexURL: RUNTIME,
    createPyodideModule,
    jsglobals: scope,
    env: { HOME: "/home/pyodide", PYTHONSAFEPATH: "1" },
    stdin: () => null,
    stdout: (line: string) => H.log(1, line),
    stderr: (line: string) => H.log(4, line),
  });
  glue = py._module;
  delete scope[SCRIPT];
  for (const [name, before] of visible) {
    delete scope[name];
    if (before) Object.defineProperty(scope, name, before);
  }
  py._api.on_fatal = (e: unknown) => H.exit(1, String((e as Error)?.message ?? e));
  copyIn(H, py.FS, PYTHON, options.python, PYTHON.slice(0, -1));
  enableNatives(H, py);
  installNetwork(py);
  if (!options.findsLibraries) findLibraries(py, [PACKAGES_ROOT, VENDORED]);
  return py;
}
