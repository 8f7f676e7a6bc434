import { EventTarget } from "./events";
import { host } from "./host";
import { describe } from "./webidl";

export class Performance extends EventTarget {
  /** Unix time in milliseconds at which `now()` was 0: the monotonic clock's start, so it survives a snapshot. */
  get timeOrigin(): number {
    return host.now(0) - host.now(1);
  }
  now(): number {
    return host.now(1);
  }
  toJSON(): object {
    return { timeOrigin: this.timeOrigin };
  }
}
describe(Performance, "Performance");
