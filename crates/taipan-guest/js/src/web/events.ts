/** DOM events without a tree: one target, no capture phase to speak of. */
import { reportError } from "./console";
import { host } from "./host";
import { inspected } from "./inspect";
import { constants, describe, dictionary, need } from "./webidl";

export interface EventInit {
  bubbles?: boolean;
  cancelable?: boolean;
  composed?: boolean;
}

type Handler = (this: unknown, event: Event) => unknown;
export type Listener = Handler | { handleEvent(event: Event): unknown };

export interface ListenerOptions {
  capture?: boolean;
  once?: boolean;
  passive?: boolean;
  signal?: ({ readonly aborted: boolean } & EventTarget) | null;
}

interface Registration {
  readonly listener: Listener;
  readonly capture: boolean;
  readonly once: boolean;
  readonly passive: boolean;
  removed: boolean;
}

/** Changes an event on behalf of the target that dispatches it. */
interface EventAccess {
  begin(event: Event, target: EventTarget, trusted: boolean): void;
  passive(event: Event, passive: boolean): void;
  stopped(event: Event): boolean;
  end(event: Event): void;
}
let access!: EventAccess;
let trusted!: PropertyDescriptor;

export class Event {
  #type: string;
  #bubbles: boolean;
  #cancelable: boolean;
  #composed: boolean;
  #target: EventTarget | null = null;
  #current: EventTarget | null = null;
  #timeStamp = host.now(1);
  #canceled = false;
  #stopped = false;
  #stoppedNow = false;
  #dispatching = false;
  #passive = false;
  #trusted = false;

  static {
    const { get } = Object.getOwnPropertyDescriptor(
      {
        get isTrusted(): boolean {
          return (this as unknown as Event).#trusted;
        },
      },
      "isTrusted",
    ) as PropertyDescriptor;
    trusted = { get: get as () => boolean, enumerable: true };
    access = {
      begin(event, target, trusted) {
        if (event.#dispatching) throw new DOMException("The event is being dispatched already", "InvalidStateError");
        event.#dispatching = true;
        event.#trusted = trusted;
        event.#target = event.#current = target;
      },
      passive(event, passive) {
        event.#passive = passive;
      },
      stopped: (event) => event.#stoppedNow,
      end(event) {
        event.#dispatching = event.#stopped = event.#stoppedNow = false;
        event.#current = null;
      },
    };
  }

  constructor(type: string, init: EventInit | null = {}) {
    need(arguments.length, 1, "Event");
    const { bubbles, cancelable, composed } = dictionary(init, "The event's init");
    this.#type = String(type);
    this.#bubbles = Boolean(bubbles);
    this.#cancelable = Boolean(cancelable);
    this.#composed = Boolean(composed);
    Object.defineProperty(this, "isTrusted", trusted);
  }
  get type(): string {
    return this.#type;
  }
  get target(): EventTarget | null {
    return this.#target;
  }
  get srcElement(): EventTarget | null {
    return this.#target;
  }
  get currentTarget(): EventTarget | null {
    return this.#current;
  }
  composedPath(): EventTarget[] {
    return this.#current ? [this.#current] : [];
  }
  get eventPhase(): number {
    return this.#dispatching ? 2 : 0;
  }
  stopPropagation(): void {
    this.#stopped = true;
  }
  get cancelBubble(): boolean {
    return this.#stopped;
  }
  set cancelBubble(value: boolean) {
    if (value) this.#stopped = true;
  }
  stopImmediatePropagation(): void {
    this.#stopped = this.#stoppedNow = true;
  }
  get bubbles(): boolean {
    return this.#bubbles;
  }
  get cancelable(): boolean {
    return this.#cancelable;
  }
  get returnValue(): boolean {
    return !this.#canceled;
  }
  set returnValue(value: boolean) {
    if (!value) this.preventDefault();
  }
  preventDefault(): void {
    if (this.#cancelable && !this.#passive) this.#canceled = true;
  }
  get defaultPrevented(): boolean {
    return this.#canceled;
  }
  get composed(): boolean {
    return this.#composed;
  }
  /** Each event's own, so that no class derived from it can say otherwise. */
  declare readonly isTrusted: boolean;
  get timeStamp(): number {
    return this.#timeStamp;
  }
}
describe(Event, "Event");
constants(Event, { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 });
Object.defineProperty(Event.prototype, inspected, {
  value(this: Event) {
    return {
      type: this.type,
      defaultPrevented: this.defaultPrevented,
      cancelable: this.cancelable,
      timeStamp: this.timeStamp,
    };
  },
});

export class CustomEvent extends Event {
  #detail: unknown;
  constructor(type: string, init: (EventInit & { detail?: unknown }) | null = {}) {
    super(type, init);
    this.#detail = init?.detail ?? null;
  }
  get detail(): unknown {
    return this.#detail;
  }
}
describe(CustomEvent, "CustomEvent");

export interface MessageEventInit extends EventInit {
  data?: unknown;
  origin?: string;
  lastEventId?: string;
  source?: unknown;
  ports?: readonly unknown[];
}

export class MessageEvent extends Event {
  #init: MessageEventInit | null | undefined;
  constructor(type: string, init: MessageEventInit | null = {}) {
    super(type, init);
    this.#init = init;
  }
  get data(): unknown {
    return this.#init?.data ?? null;
  }
  get origin(): string {
    return this.#init?.origin ?? "";
  }
  get lastEventId(): string {
    return this.#init?.lastEventId ?? "";
  }
  get source(): unknown {
    return this.#init?.source ?? null;
  }
  get ports(): readonly unknown[] {
    return this.#init?.ports ?? [];
  }
}
describe(MessageEvent, "MessageEvent");

let dispatchTrusted!: (target: EventTarget, event: Event) => boolean;
let isListening!: (target: EventTarget) => boolean;

export class EventTarget {
  #listeners: Map<string, Registration[]> | undefined;

  static {
    dispatchTrusted = (target, event) => target.#dispatch(event, true);
    isListening = (target) => (target.#listeners?.size ?? 0) > 0;
  }

  addEventListener(type: string, listener: Listener | null, options: boolean | ListenerOptions | null = {}): void {
    need(arguments.length, 2, "addEventListener");
    const name = String(type);
    const given = typeof options === "object" && options !== null ? options : { capture: Boolean(options) };
    const passive = Boolean(given.passive);
    const { signal } = given;
    if (signal === null) throw new TypeError("The signal is not an AbortSignal: null");
    if (listener === null || listener === undefined || signal?.aborted) return;
    if (typeof listener !== "function" && typeof listener !== "object") {
      throw new TypeError("The listener is neither a function nor an object");
    }
    const capture = Boolean(given.capture);
    const all = (this.#listeners ??= new Map<string, Registration[]>());
    const list = all.get(name);
    if (list?.some((r) => r.listener === listener && r.capture === capture)) return;
    const registration = {
      listener,
      capture,
      once: Boolean(given.once),
      passive,
      removed: false,
    };
    // Lists are replaced, not changed: a dispatch under way goes on with the one it began with.
    all.set(name, list ? [...list, registration] : [registration]);
    signal?.addEventListener("abort", () => this.removeEventListener(name, listener, capture), { once: true });
  }

  removeEventListener(type: string, listener: Listener | null, options: boolean | ListenerOptions | null = {}): void {
    need(arguments.length, 2, "removeEventListener");
    const name = String(type);
    const capture = Boolean(typeof options === "object" && options !== null ? options.capture : options);
    const list = this.#listeners?.get(name);
    const found = list?.find((r) => r.listener === listener && r.capture === capture);
    if (!list || !found) return;
    found.removed = true;
    if (list.length === 1) this.#listeners?.delete(name);
    else
      this.#listeners?.set(
        name,
        list.filter((r) => r !== found),
      );
  }

  dispatchEvent(event: Event): boolean {
    if (!(event instanceof Event)) throw new TypeError("The argument is not an Event");
    return this.#dispatch(event, false);
  }

  #dispatch(event: Event, trusted: boolean): boolean {
    access.begin(event, this, trusted);
    const { type } = event;
    for (const registration of this.#listeners?.get(type) ?? []) {
      if (registration.removed) continue;
      if (registration.once) this.removeEventListener(type, registration.listener, registration.capture);
      access.passive(event, registration.passive);
      const { listener } = registration;
      try {
        const result = typeof listener === "function" ? listener.call(this, event) : listener.handleEvent(event);
        // An asynchronous function of Python's does not run before somebody waits for it.
        if (isThenable(result)) void Promise.resolve(result).catch(reportError);
      } catch (error) {
        reportError(error);
      }
      if (access.stopped(event)) break;
    }
    access.passive(event, false);
    access.end(event);
    return !event.defaultPrevented;
  }
}
describe(EventTarget, "EventTarget");

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return value !== null && typeof value === "object" && typeof (value as { then?: unknown }).then === "function";
}

export { dispatchTrusted, isListening };

/** An `onX` attribute: one listener that keeps its place when it is replaced. */
export class HandlerAttribute {
  #type: string;
  #handler: Handler | null = null;
  #installed = false;
  constructor(type: string) {
    this.#type = type;
  }
  get(): Handler | null {
    return this.#handler;
  }
  set(target: EventTarget, handler: unknown): void {
    this.#handler = typeof handler === "function" ? (handler as Handler) : null;
    if (this.#installed || !this.#handler) return;
    this.#installed = true;
    target.addEventListener(this.#type, (event) => this.#handler?.call(target, event) as unknown);
  }
}

const handlers = new WeakMap<object, Record<string, HandlerAttribute>>();

/** Gives a class the attributes `onX` of these types of events; the class declares them. */
export function handlerAttributes(Class: { prototype: EventTarget }, types: readonly string[]): void {
  for (const type of types) {
    Object.defineProperty(Class.prototype, `on${type}`, {
      get(this: EventTarget) {
        return handlers.get(this)?.[type]?.get() ?? null;
      },
      set(this: EventTarget, handler: unknown) {
        if (!(this instanceof EventTarget)) throw new TypeError("Illegal invocation");
        const own = handlers.get(this) ?? {};
        handlers.set(this, own);
        (own[type] ??= new HandlerAttribute(type)).set(this, handler);
      },
      enumerable: true,
      configurable: true,
    });
  }
}
