/** What tells libraries where they run. Pyodide must not know while it boots: it has its own idea of Workers. */
import { EventTarget } from "./events";
import { fetch } from "./fetch";
import { define } from "./global";
import { globalEvents } from "./global-events";
import { parseHref } from "./url";
import { describe, need } from "./webidl";

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
  /** Sends data that nobody waits for. It may be lost when the request that sends it is over. */
  sendBeacon(url: string, data: unknown = null): boolean {
    need(arguments.length, 1, "sendBeacon");
    const target = parseHref(url);
    if (!target || !/^https?:/.test(target.href)) throw new TypeError(`Not an HTTP URL: ${url}`);
    fetch(target.href, { method: "POST", body: data } as never).catch(() => undefined);
    return true;
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

/** By its name libraries know that they are in a Worker. */
class ServiceWorkerGlobalScope extends WorkerGlobalScope {}
describe(ServiceWorkerGlobalScope, "ServiceWorkerGlobalScope");

/** To be called once Pyodide has booted. */
export function installNavigator(global: object = globalThis): void {
  define(global, { Navigator, ServiceWorkerGlobalScope, WorkerGlobalScope, navigator: new Navigator(), self: global, ...globalEvents });
}
