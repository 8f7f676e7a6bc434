/** What tells libraries where they run. Pyodide must not know while it boots: it has its own idea of Workers. */
import { define } from "./global";
import { describe } from "./webidl";

class Navigator {
  get userAgent(): string {
    return "Cloudflare-Workers";
  }
  get language(): string {
    return "en";
  }
  get hardwareConcurrency(): number {
    return 1;
  }
}
describe(Navigator, "Navigator");

/** To be called once Pyodide has booted. */
export function installNavigator(global: object = globalThis): void {
  define(global, { Navigator, navigator: new Navigator(), self: global });
}
