/**
 * Starts Python: the unmodified Pyodide glue, then our Python.
 *
 * The glue chooses its ways of reading files by looking at global names. It is shown a "shell" (`read`, `readbuffer`,
 * `load`), which needs neither URLs nor `fetch`; the names are gone before any code of the Worker runs.
 */
import type { Declared } from "./bindings/index";
import type { Host } from "./host";
import { enableNatives } from "./wasm/natives";
import { installSuspending } from "./wasm/suspend";

export interface BootOptions {
  version: string;
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
  /** Whether the host has packages. */
  hasPackages: boolean;
  /** What `env` has beside variables. */
  bindings: Declared[];
}

export interface PackageOptions {
  sources: string[];
  hasPackages: boolean;
  /** Modules, by their full names. */
  imports: string[];
  /** Modules that these import when they are used. */
  learned: string[];
}

const RUNTIME = "/pyodide/";
export const PYTHON = "/taipan/python/";
/** Where the host has the Worker's files, and where Python sees them. */
const SOURCES = "/worker/";
export const WORKER_ROOT = "/session/metadata";
/** Where Python sees the packages that the Worker's project has locked: the host's volume 0. */
export const PACKAGES_ROOT = "/session/packages";

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

/** Gives Python the Worker's files. */
export function placeSources(H: Host, py: any, sources: string[]): void {
  py.FS.mkdirTree(WORKER_ROOT);
  copyIn(H, py.FS, SOURCES, sources, WORKER_ROOT);
}

/** Returns Pyodide's API, with our Python in place. */
export async function bootPython(H: Host, options: BootOptions): Promise<any> {
  const scope = globalThis as any;
  const disguise: Record<string, unknown> = {
    read: (path: string) => H.utf8Decode(readOrThrow(H, path)),
    readbuffer: (path: string) => readOrThrow(H, path).buffer,
    load: () => {
      throw new Error("scripts cannot be loaded");
    },
    WorkerGlobalScope: class WorkerGlobalScope {},
  };
  Object.assign(scope, disguise);
  let glue: any;
  installSuspending(H, () => glue);
  // The paths are variables so that the bundler leaves these imports to the engine.
  const loader = `${RUNTIME}pyodide.mjs`, module = `${RUNTIME}pyodide.asm.mjs`;
  const { loadPyodide } = await import(loader);
  const { default: createPyodideModule } = await import(module);
  const py = await loadPyodide({
    indexURL: RUNTIME,
    createPyodideModule: (settings: any) => {
      glue = settings;
      // Otherwise the glue ends in a trap, which says nothing.
      settings.onAbort = (what: unknown) => H.exit(1, `aborted ${what ?? ""}`.trim());
      return createPyodideModule(settings);
    },
    jsglobals: scope,
    env: { HOME: "/home/pyodide", PYTHONSAFEPATH: "1" },
    stdin: () => null,
    stdout: (line: string) => H.log(1, line),
    stderr: (line: string) => H.log(4, line),
  });
  glue = py._module;
  for (const name of Object.keys(disguise)) delete scope[name];
  py._api.on_fatal = (e: unknown) => H.exit(1, String((e as Error)?.message ?? e));
  copyIn(H, py.FS, PYTHON, options.python, PYTHON.slice(0, -1));
  enableNatives(H, py);
  return py;
}
