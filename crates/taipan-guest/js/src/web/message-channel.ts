/** Message channels within the isolate. Pyodide's scheduler sends itself one message per callback: keep it cheap. */
import { EventTarget, HandlerAttribute, MessageEvent, dispatchTrusted } from "./events";
import { structuredClone } from "./structured-clone";
import { setImmediate } from "./timers";
import { describe, need } from "./webidl";

const KEY = Symbol("MessagePort");

let entangle!: (a: MessagePort, b: MessagePort) => void;

export class MessagePort extends EventTarget {
  #other: MessagePort | undefined;
  /** Messages that wait for `start()`. */
  #queue: unknown[] | undefined = [];
  #onmessage: HandlerAttribute | undefined;
  #onmessageerror: HandlerAttribute | undefined;

  static {
    entangle = (a, b) => {
      a.#other = b;
      b.#other = a;
    };
  }

  constructor(key: symbol | undefined = undefined) {
    if (key !== KEY) throw new TypeError("Illegal constructor");
    super();
  }
  postMessage(
    message: unknown,
    options: Iterable<unknown> | { transfer?: Iterable<unknown> } | null | undefined = undefined,
  ): void {
    need(arguments.length, 1, "postMessage");
    const isPrimitive = message === null || (typeof message !== "object" && typeof message !== "function");
    const isList = typeof options === "object" && options !== null && Symbol.iterator in options;
    const transfer = isList ? { transfer: options } : (options as { transfer?: Iterable<unknown> } | null | undefined);
    const data = isPrimitive && typeof message !== "symbol" && !options ? message : structuredClone(message, transfer);
    const port = this.#other;
    if (!port) return;
    if (port.#queue) port.#queue.push(data);
    else port.#deliver(data);
  }
  start(): void {
    const waiting = this.#queue;
    this.#queue = undefined;
    for (const data of waiting ?? []) this.#deliver(data);
  }
  close(): void {
    const other = this.#other;
    this.#other = undefined;
    if (other) other.#other = undefined;
  }
  get onmessage(): unknown {
    return this.#onmessage?.get() ?? null;
  }
  set onmessage(handler: unknown) {
    (this.#onmessage ??= new HandlerAttribute("message")).set(this, handler);
    this.start();
  }
  get onmessageerror(): unknown {
    return this.#onmessageerror?.get() ?? null;
  }
  set onmessageerror(handler: unknown) {
    (this.#onmessageerror ??= new HandlerAttribute("messageerror")).set(this, handler);
  }

  #deliver(data: unknown): void {
    setImmediate(() => dispatchTrusted(this, new MessageEvent("message", { data })));
  }
}
describe(MessagePort, "MessagePort");

export class MessageChannel {
  #port1 = new MessagePort(KEY);
  #port2 = new MessagePort(KEY);
  constructor() {
    entangle(this.#port1, this.#port2);
  }
  get port1(): MessagePort {
    return this.#port1;
  }
  get port2(): MessagePort {
    return this.#port2;
  }
}
describe(MessageChannel, "MessageChannel");
