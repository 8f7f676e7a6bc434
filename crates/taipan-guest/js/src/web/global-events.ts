/** The global object as an EventTarget, and the events that only it has. */
import type { EventInit, Listener } from "./events";
import { Event, EventTarget, dispatchTrusted } from "./events";
import { describe, dictionary } from "./webidl";

const target = new EventTarget();

/** The global functions. Handlers of requests are found elsewhere: `fetch` events are not dispatched here. */
export const globalEvents = {
  addEventListener: (type: string, listener: Listener | null, options?: unknown) => target.addEventListener(type, listener as Listener, options as boolean),
  removeEventListener: (type: string, listener: Listener | null, options?: unknown) => target.removeEventListener(type, listener as Listener, options as boolean),
  dispatchEvent: (event: Event) => target.dispatchEvent(event),
};

export class ExtendableEvent extends Event {
  waitUntil(promise: unknown): void {
    void Promise.resolve(promise).catch(() => undefined);
  }
}
describe(ExtendableEvent, "ExtendableEvent");

export interface PromiseRejectionEventInit extends EventInit {
  promise?: Promise<unknown>;
  reason?: unknown;
}

export class PromiseRejectionEvent extends Event {
  #promise: Promise<unknown> | undefined;
  #reason: unknown;
  constructor(type: string, init: PromiseRejectionEventInit | null = {}) {
    super(type, init);
    const given = dictionary(init, "The event's init");
    this.#promise = given.promise;
    this.#reason = given.reason;
  }
  get promise(): Promise<unknown> | undefined {
    return this.#promise;
  }
  get reason(): unknown {
    return this.#reason;
  }
}
describe(PromiseRejectionEvent, "PromiseRejectionEvent");

/** Tells listeners of a rejection that nobody has handled. False: one of them says that it need not be reported. */
export function dispatchRejection(reason: unknown): boolean {
  const event = new PromiseRejectionEvent("unhandledrejection", { reason, cancelable: true });
  dispatchTrusted(target, event);
  return !event.defaultPrevented;
}
