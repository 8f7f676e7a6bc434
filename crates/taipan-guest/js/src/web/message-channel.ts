/** Message channels within the isolate. Pyodide's scheduler sends itself one message per callback: keep it cheap. */
import { EventTarget, HandlerAttribute, MessageEvent, dispatchTrusted } from "./events";
import { cloneWithTransfer, transferable } from "./structured-clone";
import { setImmediate } from "./timers";
import { describe, need } from "./webidl";

const KEY = Symbol("MessagePort");

/** A message, with the objects that were transferred with it. */
interface Sent {
  value: unknown;
  moved: object[];
}

let entangle!: (a: MessagePort, b: MessagePort) => void;

export class MessagePort extends EventTarget {
  #other: MessagePort | undefined;
  /** Messages that wait for `start()`. */
  #queue: Sent[] | undefined = [];
  /** The port that this one has become by a transfer. */
  #heir: MessagePort | undefined;
  #onmessage: HandlerAttribute | undefined;
  #onmessageerror: HandlerAttribute | undefined;

  static {
    entangle = (a, b) => {
      a.#other = b;
      b.#other = a;
    };
    transferable({
      Class: MessagePort,
      obstacle: (port) => (port.#heir ? "A MessagePort can be transferred only once" : undefined),
      move(port) {
        const heir = new MessagePort(KEY);
        const other = port.#other;
        if (other) entangle(heir, other);
        heir.#queue = port.#queue ?? [];
        port.#other = port.#queue = undefined;
        return (port.#heir = heir);
      },
    });
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
    const list = isList ? [...options] : undefined;
    const transfer = list ? { transfer: list } : (options as { transfer?: Iterable<unknown> } | null | undefined);
    let sent: Sent = { value: message, moved: [] };
    if (!isPrimitive || typeof message === "symbol" || options) {
      if (list?.includes(this)) {
        throw new DOMException("A MessagePort cannot be sent through itself", "DataCloneError");
      }
      sent = cloneWithTransfer(message, transfer);
    }
    const other = this.#other;
    if (other) other.#receive(sent);
  }
  start(): void {
    const waiting = this.#queue;
    this.#queue = undefined;
    for (const sent of waiting ?? []) this.#deliver(sent);
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

  #receive(sent: Sent): void {
    if (this.#heir) this.#heir.#receive(sent);
    else if (this.#queue) this.#queue.push(sent);
    else this.#deliver(sent);
  }
  #deliver(sent: Sent): void {
    setImmediate(() => {
      if (this.#heir) return this.#heir.#receive(sent);
      const ports = sent.moved.filter((object) => object instanceof MessagePort);
      dispatchTrusted(this, new MessageEvent("message", { data: sent.value, ports }));
    });
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
