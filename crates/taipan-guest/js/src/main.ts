/** The first JavaScript of every isolate: makes the platform, then waits for the host to say what to boot. */
import { bootPython, type BootOptions, WORKER_ROOT } from "./boot";
import type { FieldOut, Host } from "./host";
import { installWebAssembly } from "./wasm/api";
import { installWeb } from "./web/index";
import { installWorker } from "./worker/dispatch";

const H: Host = (globalThis as any).__taipan_host;
delete (globalThis as any).__taipan_host;

const EVENT_BOOT = 4;

const web = installWeb(H);
installWebAssembly(H);
H.onTimers(now => web.timers.runDue(now), () => web.timers.nextDue());
H.onUnhandledRejection(reason => console.error("Unhandled promise rejection:", reason));
const worker = installWorker(H, web);

async function boot(options: BootOptions): Promise<void> {
  const py = await bootPython(H, options);
  const report = await worker.load(py, {
    main: options.main,
    root: WORKER_ROOT,
    python: "/taipan/python",
    envJson: options.envJson,
    globalHandlers: options.globalHandlers,
  });
  H.booted(report);
}

H.onEvent((kind: number, id: number, fields: FieldOut[]) => {
  if (kind !== EVENT_BOOT) return worker.onEvent(kind, id, fields);
  boot(JSON.parse(fields[0] as string)).catch(e => H.exit(1, `the runtime does not start: ${e?.stack ? `${e}\n${e.stack}` : e}`));
});
