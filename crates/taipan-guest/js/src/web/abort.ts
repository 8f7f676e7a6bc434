/** AbortController and AbortSignal, with signals that depend on others. */
import { Event, EventTarget, HandlerAttribute, dispatchTrusted, isListening } from "./events";
import type { Listener, ListenerOptions } from "./events";
import { inspected } from "./inspect";
import { setTimeout } from "./timers";
import { describe } from "./webidl";

let create!: () => AbortSignal;
let abort!: (signal: AbortSignal, reason: unknown) => void;

const KEY = Symbol("AbortSignal");

export class AbortSignal extends EventTarget {
  #aborted = false;
  #reason: unknown = undefined;
  #onabort: HandlerAttribute | undefined;
  /**
   * A dependent signal holds its sources; they hold it weakly until somebody listens to it. Otherwise every
   * `AbortSignal.any([lasting, …])` would stay as long as the lasting signal.
   */
  #sources: AbortSignal[] = [];
  #dependents: WeakRef<AbortSignal>[] = [];
  #listened = new Set<AbortSignal>();

  static {
    create = () => new AbortSignal(KEY);
    abort = (signal, reason) => signal.#abort(reason);
  }

  constructor(key: symbol | undefined = undefined) {
    if (key !== KEY) throw new TypeError("Illegal constructor");
    super();
  }

  static abort(reason: unknown = undefined): AbortSignal {
    const signal = create();
    signal.#aborted = true;
    signal.#reason = reason === undefined ? aborted() : reason;
    return signal;
  }

  static timeout(milliseconds: number): AbortSignal {
    const delay = Number(milliseconds);
    if (!(delay >= 0 && delay <= Number.MAX_SAFE_INTEGER))
      throw new TypeError(`Not a number of milliseconds: ${milliseconds}`);
    const signal = create();
    setTimeout(
      () => signal.#abort(new DOMException("The operation timed out", "TimeoutError")),
      Math.min(delay, 0x7fffffff),
    );
    return signal;
  }

  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const result = create();
    const given = [...signals];
    for (const signal of given)
      if (!(signal instanceof AbortSignal)) throw new TypeError("An element is not an AbortSignal");
    const first = given.find((signal) => signal.#aborted);
    if (first) {
      result.#aborted = true;
      result.#reason = first.#reason;
      return result;
    }
    for (const signal of given) {
      // Only independent signals are sources, so that one step aborts all.
      for (const source of signal.#sources.length ? signal.#sources : [signal]) {
        if (result.#sources.includes(source)) continue;
        result.#sources.push(source);
        source.#dependents = source.#dependents.filter((ref) => ref.deref());
        source.#dependents.push(new WeakRef(result));
      }
    }
    return result;
  }

  get aborted(): boolean {
    return this.#aborted;
  }
  get reason(): unknown {
    return this.#reason;
  }
  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }
  get onabort(): unknown {
    return this.#onabort?.get() ?? null;
  }
  set onabort(handler: unknown) {
    (this.#onabort ??= new HandlerAttribute("abort")).set(this, handler);
  }

  override addEventListener(
    type: string,
    listener: Listener | null,
    options: boolean | ListenerOptions | null = {},
  ): void {
    super.addEventListener(type, listener, options);
    if (!this.#aborted) for (const source of this.#sources) source.#listened.add(this);
  }
  override removeEventListener(
    type: string,
    listener: Listener | null,
    options: boolean | ListenerOptions | null = {},
  ): void {
    super.removeEventListener(type, listener, options);
    if (!isListening(this)) for (const source of this.#sources) source.#listened.delete(this);
  }

  #abort(reason: unknown): void {
    if (this.#aborted) return;
    const affected: AbortSignal[] = [this];
    for (const reference of this.#dependents) {
      const dependent = reference.deref();
      if (dependent && !dependent.#aborted) affected.push(dependent);
    }
    const why = reason === undefined ? aborted() : reason;
    for (const signal of affected) {
      signal.#aborted = true;
      signal.#reason = why;
    }
    for (const signal of affected) {
      dispatchTrusted(signal, new Event("abort"));
      // Its other sources have no more to tell it.
      for (const source of signal.#sources) source.#listened.delete(signal);
      signal.#sources = [];
      signal.#listened.clear();
      signal.#dependents = [];
    }
  }
}
describe(AbortSignal, "AbortSignal");
// They are there for the bookkeeping only; to users they are EventTarget's.
for (const name of ["addEventListener", "removeEventListener"]) {
  Object.defineProperty(AbortSignal.prototype, name, { enumerable: false });
}
Object.defineProperty(AbortSignal.prototype, inspected, {
  value(this: AbortSignal) {
    return { aborted: this.aborted };
  },
});

function aborted(): DOMException {
  return new DOMException("The operation was aborted", "AbortError");
}

export class AbortController {
  #signal = create();
  get signal(): AbortSignal {
    return this.#signal;
  }
  abort(reason: unknown = undefined): void {
    abort(this.#signal, reason);
  }
}
describe(AbortController, "AbortController");

export { create as createSignal };
