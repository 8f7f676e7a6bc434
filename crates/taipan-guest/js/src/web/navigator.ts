/** What tells libraries where they run. Pyodide must not know while it boots: it has its own idea of Workers. */
import { EventTarget } from "./events";
import { define } from "./global";
import { globalEvents } from "./global-events";
import { describe } from "./webidl";

class Navigator {
  get userAgent(): string {
    return "Cloudflare-Workers";
  }
  get language(): string {
    return "en";
  }
  get languages(): readonly string[] {
    return ["en"];
  }
  get platform(): string {
    return "linux";
  }
  get hardwareConcurrency(): number {
    return 1;
  }
}
describe(Navigator, "Navigator");

/** The class of the global object, as far as `instanceof` goes. */
class WorkerGlobalScope extends EventTarget {
  constructor() {
    super();
    throw new TypeError("Illegal constructor");
  }
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value === globalThis;
  }
}
describe(WorkerGlobalScope, "WorkerGlobalScope");

/** To be called once Pyodide has booted. */
export function installNavigator(global: object = globalThis): void {
  define(global, { Navigator, WorkerGlobalScope, navigator: new Navigator(), self: global, ...globalEvents });
}
