/**
 * `WebAssembly.Suspending` and `promising` without stack switching: the suspending import runs jobs, timers and
 * completions re-entrantly, on the same stack, until its promise has settled. Waits therefore end last in, first out.
 */
import type { Host } from "../host";

/** The glue's hooks: what a suspending import returns for "failed", and where it looks for the reason. */
export interface Syncify {
  /** Before 0.28, null says it. */
  error?: unknown;
  syncify_error: unknown;
}

/**
 * What Python has to do around a wait (`_taipan_worker.py`): for asyncio the task that waits is running all the time, and
 * only one can be.
 */
export const blocking: { enter?: () => void; leave?: () => void } = {};

/**
 * In place of the glue's own, which put another thread state and stack into Python's place: a nested event loop runs on those
 * that are there.
 */
export const suspension: Record<string, Function> = {
  can_run_sync_js: () => 1,
  saveState: () => {
    waits.push(stack.save());
    blocking.enter?.();
    return suspension;
  },
  restoreState: () => {
    blocking.leave?.();
    stack.restore(waits.pop() as number);
  },
};

/** C's stack: where it was at each wait, the innermost last. */
const waits: number[] = [];
const stack: { save: () => number; restore: (at: number) => void } = { save: () => 0, restore: () => {} };

type Apply = (...args: unknown[]) => unknown;

/** What is called in place of a function of the main module that was made promising. */
const plain = new Map<unknown, Apply>();

/**
 * Has `callPromising` call Python as every other call does: the function that it is given (`src/core/pyproxy.c`) makes a
 * thread state for each call, which without stack switching none needs.
 */
export function applyWithoutSwitching(exports: Record<string, unknown>, H: Host): void {
  const apply = exports["_pyproxy_apply"] as Apply;
  const takeException = exports["PyErr_GetRaisedException"] as () => number;
  stack.save = exports["emscripten_stack_get_current"] as () => number;
  stack.restore = exports["_emscripten_stack_restore"] as (at: number) => void;
  plain.set(exports["_pyproxy_apply_promising"], (...args) => {
    // The glue has just moved the stack to where it believes nobody is.
    const wait = waits.at(-1);
    if (wait !== undefined) stack.restore(wait);
    const [, callable, positional, count, names, named, exception] = args;
    const result = apply(callable, positional, count, names, named);
    new DataView(H.memoryBuffer()).setInt32(exception as number, takeException(), true);
    // Not to be awaited if it is a promise: the glue unwraps it afterwards.
    return [result];
  });
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
          const { error = null } = glue();
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
  api.promising = (f: Apply) => {
    const called = plain.get(f) ?? f;
    return async (...args: unknown[]) => called(...args);
  };
}
