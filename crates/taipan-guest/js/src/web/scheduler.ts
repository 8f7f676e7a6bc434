/** `scheduler`: waiting without a callback. */
import { AbortSignal } from "./abort";
import { setTimeout, clearTimeout, setImmediate } from "./timers";
import { describe, dictionary } from "./webidl";

export class Scheduler {
  async wait(milliseconds: number, options: { signal?: AbortSignal } | null = {}): Promise<void> {
    const { signal } = dictionary(options, "The options");
    if (signal !== undefined && !(signal instanceof AbortSignal)) throw new TypeError("The signal is not an AbortSignal");
    if (signal?.aborted) throw signal.reason;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => resolve(), Number(milliseconds) || 0);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort);
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }
  async yield(): Promise<void> {
    await new Promise<void>((resolve) => void setImmediate(() => resolve()));
  }
}
describe(Scheduler, "Scheduler");
