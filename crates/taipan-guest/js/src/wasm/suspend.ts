/**
 * `WebAssembly.Suspending` and `promising` without stack switching: the suspending import runs jobs, timers and
 * completions re-entrantly, on the same stack, until its promise has settled. Waits therefore end last in, first out.
 */
import type { Host } from "../host";

/** The glue's hooks: what a suspending import returns for "failed", and where it looks for the reason. */
export interface Syncify {
  error: unknown;
  syncify_error: unknown;
}

export function installSuspending(H: Host, glue: () => Syncify): void {
  const api = (globalThis as any).WebAssembly;
  api.Suspending = class Suspending {
    constructor(f: (...args: unknown[]) => unknown) {
      return (...args: unknown[]) => {
        const promise = Promise.resolve(f(...args));
        // Someone looks at the promise from here on: not an unhandled rejection.
        promise.catch(() => {});
        if (!H.runUntilSettled(promise)) {
          // Throwing from here would be fatal to the interpreter; this way it becomes a Python exception.
          const { error } = glue();
          glue().syncify_error = new Error(
            "run_sync() waits for something that can never happen: no timer, operation or task is left that could complete it",
          );
          return error;
        }
        const result = H.promiseResult(promise);
        if (H.promiseState(promise) === 2) throw result;
        return result;
      };
    }
  };
  api.promising = (f: (...args: unknown[]) => unknown) => async (...args: unknown[]) => f(...args);
}
