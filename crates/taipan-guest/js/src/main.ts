/** The first JavaScript of every isolate: makes the platform, then waits for the host to say what to boot. */
import { bootPython, type BootOptions, type PackageOptions, PACKAGES_ROOT, placeSources, PYTHON, type WorkerOptions } from "./boot";
import { boundMemoryFiles, mountHost } from "./files";
import type { FieldOut, Host } from "./host";
import { WORKER_ROOT } from "./paths";
import { runProgram } from "./program";
import { installWebAssembly } from "./wasm/api";
import { installWeb } from "./web/index";
import { installWorker } from "./worker/dispatch";

const H: Host = (globalThis as any).__taipan_host;
delete (globalThis as any).__taipan_host;

const EVENT_BOOT = 4;
const EVENT_FREEZE = 5;
const EVENT_THAW = 6;
const EVENT_LOAD = 7;
const EVENT_HUNG = 8;
const EVENT_UNLOAD = 9;
const EVENT_PENDING = 10;
const EVENT_LOAD_PACKAGES = 11;
const EVENT_COMPACT = 12;
const EVENT_PROGRAM = 13;
const EVENT_COSTS = 14;
const EVENT_IMPORTED = 15;

const web = installWeb(H);
installWebAssembly(H);
H.onTimers(now => web.timers.runDue(now), () => web.timers.nextDue());
H.onUnhandledRejection(reason => {
  if (web.dispatchRejection(reason)) console.error("Unhandled promise rejection:", reason);
});
const worker = installWorker(H, web);

let python: any;

/** What the host knows of our own failures: there is nothing that a Worker could do about them. */
function broken(e: unknown): never {
  const stack = (e as Error)?.stack;
  return H.exit(1, `the runtime does not start: ${e}${stack ? `\n${stack}` : ""}`);
}

async function boot(options: BootOptions): Promise<void> {
  python = await bootPython(H, options);
  web.installNavigator();
  worker.prepare(python, PYTHON, options.hasSockets);
  H.booted(null);
}

/** Which volumes are mounted. */
const mounted = { packages: false, sources: false };

function place({ sources, volumes, memoryFiles }: PackageOptions | WorkerOptions): void {
  if (!volumes.sources) placeSources(H, python, sources);
  else if (!mounted.sources) mountHost(H, python, 1, WORKER_ROOT);
  mounted.sources ||= volumes.sources;
  if (volumes.packages && !mounted.packages) {
    mountHost(H, python, 0, PACKAGES_ROOT);
    worker.addPackages(PACKAGES_ROOT);
    mounted.packages = true;
  }
  boundMemoryFiles(python, memoryFiles);
}

async function load(options: WorkerOptions): Promise<void> {
  place(options);
  const { main, envJson, withheld, globalHandlers, bindings } = options;
  H.booted(await worker.load(python, { main, root: WORKER_ROOT, packages: PACKAGES_ROOT, envJson, withheld, globalHandlers, bindings }));
}

function loadPackages(options: PackageOptions): void {
  place(options);
  H.booted(worker.importPackages(WORKER_ROOT, options.imports, options.learned));
}

/**
 * The isolate is about to become a snapshot: what nobody needs should not be in it, and what is in it no collector need
 * look at again. Of the snapshot that the isolate was made from that holds already, unless the `whole` is looked at.
 */
function freeze(whole: boolean): void {
  try {
    const report = worker.freeze(whole);
    if (report) return H.booted(report);
  } catch (e) {
    return H.booted((e as Error)?.message ?? String(e));
  }
  H.freezeObjects();
}

H.onEvent((kind: number, id: number, fields: FieldOut[]) => {
  switch (kind) {
    case EVENT_BOOT: return void boot(JSON.parse(fields[0] as string)).catch(broken);
    case EVENT_LOAD: return void load(JSON.parse(fields[0] as string)).catch(broken);
    case EVENT_FREEZE: return freeze(fields[0] === 1);
    case EVENT_THAW: return worker.thaw(fields[0] as string);
    case EVENT_UNLOAD: return worker.unload(WORKER_ROOT);
    case EVENT_COMPACT: return worker.compact();
    case EVENT_COSTS: return H.booted(worker.costs());
    case EVENT_IMPORTED: return H.booted(worker.imported(WORKER_ROOT));
    case EVENT_PENDING: return H.booted(worker.pending());
    case EVENT_LOAD_PACKAGES: return loadPackages(JSON.parse(fields[0] as string));
    case EVENT_PROGRAM: return runProgram(H, python, fields[0] as string);
    case EVENT_HUNG: return worker.failHung(id);
    default: return worker.onEvent(kind, id, fields);
  }
});
