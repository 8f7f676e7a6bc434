/**
 * WebSockets.
 *
 * Each has a link to its other side, which is a second WebSocket here (`WebSocketPair`) or a connection of the host's. A
 * response that carries one end of a pair binds that end to the client's connection: what comes from the client goes
 * through it to the end that the Worker keeps, one message at a time, so that a fast client waits for a slow Worker.
 */
import type { FieldOut } from "../host";
import { Blob, blobBytes, blobFromBytes } from "./blob";
import { reportError } from "./console";
import type { EventInit } from "./events";
import { Event, EventTarget, MessageEvent, dispatchTrusted, handlerAttributes } from "./events";
import { host, syncOp } from "./host";
import { queueMicrotask } from "./timers";
import { URL, parseHref } from "./url";
import { bytesOf, constants, describe, dictionary, need, usv } from "./webidl";

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

const LONGEST_REASON = 123;

interface CloseInit {
  code: number;
  reason: string;
  wasClean: boolean;
}

export class CloseEvent extends Event {
  #init: Partial<CloseInit>;
  constructor(type: string, init: (EventInit & Partial<CloseInit>) | null = {}) {
    super(type, init);
    this.#init = { ...dictionary(init, "The event's init") };
  }
  get wasClean(): boolean {
    return Boolean(this.#init.wasClean);
  }
  get code(): number {
    return Number(this.#init.code ?? 0) & 0xffff;
  }
  get reason(): string {
    return String(this.#init.reason ?? "");
  }
}
describe(CloseEvent, "CloseEvent");

export interface ErrorEventInit extends EventInit {
  message?: string;
  filename?: string;
  lineno?: number;
  colno?: number;
  error?: unknown;
}

export class ErrorEvent extends Event {
  #init: ErrorEventInit;
  constructor(type: string, init: ErrorEventInit | null = {}) {
    super(type, init);
    this.#init = { ...dictionary(init, "The event's init") };
  }
  get message(): string {
    return String(this.#init.message ?? "");
  }
  get filename(): string {
    return String(this.#init.filename ?? "");
  }
  get lineno(): number {
    return Number(this.#init.lineno ?? 0);
  }
  get colno(): number {
    return Number(this.#init.colno ?? 0);
  }
  get error(): unknown {
    return this.#init.error;
  }
}
describe(ErrorEvent, "ErrorEvent");

const sendOp = syncOp("ws.send");
const closeOp = syncOp("ws.close");
const bufferedOp = syncOp("ws.buffered");

type Data = string | Uint8Array<ArrayBuffer>;
type Item = Data | CloseInit;

/** The way to the other side. */
interface Link {
  send(data: Data): unknown;
  close(code: number | undefined, reason: string): void;
  buffered(): number;
}

/** A socket of the host's. */
class HostLink implements Link {
  #number: number;
  constructor(number: number) {
    this.#number = number;
  }
  send(data: Data): void {
    sendOp(this.#number, data);
  }
  close(code: number | undefined, reason: string): void {
    closeOp(this.#number, code ?? null, reason);
  }
  buffered(): number {
    return bufferedOp(this.#number)[0] as number;
  }
  /** Gives what arrives to `take`, until the end. */
  async pump(take: (item: Item) => void): Promise<void> {
    const receive = host.opNumber("ws.receive");
    for (;;) {
      const fields = await host.opAsync(receive, this.#number);
      const [first] = fields;
      if (typeof first === "number") {
        return take({ code: first, reason: fields[1] as string, wasClean: Boolean(fields[2]) });
      }
      take(typeof first === "string" ? first : new Uint8Array(first as ArrayBuffer));
    }
  }
}

const KEY = Symbol("WebSocket");

/** What other modules may do with a socket. */
interface SocketAccess {
  pair(): [WebSocket, WebSocket];
  /** Makes the end of a pair that a response carries the client's connection. */
  bind(socket: WebSocket, connection: () => number): void;
  /** A socket that is connected already, and has to be accepted. */
  connected(number: number, url: string, protocol: string, extensions: string): WebSocket;
}
let access!: SocketAccess;

export class WebSocket extends EventTarget {
  #state = CONNECTING;
  #url = "";
  #origin = "";
  #protocol = "";
  #extensions = "";
  #binaryType = "arraybuffer";
  #link: Link | undefined;
  /** The other end of the pair. */
  #peer: WebSocket | undefined;
  /** What arrived before the socket was accepted. */
  #waiting: Item[] = [];
  #isAccepted = false;
  #onAccept: (() => void) | undefined;
  /** It is part of a response: from then on it is not for use here. */
  #isBound = false;
  #hasSentClose = false;
  declare onopen: unknown;
  declare onmessage: unknown;
  declare onclose: unknown;
  declare onerror: unknown;

  static {
    access = {
      pair() {
        const [a, b] = [new WebSocket(KEY as never), new WebSocket(KEY as never)] as const;
        a.#join(b);
        b.#join(a);
        return [a, b];
      },
      bind(socket, connection) {
        const peer = socket.#peer;
        if (socket.#isBound || !peer) throw new TypeError("The WebSocket is in use already: respond with one end of a new WebSocketPair");
        if (socket.#isAccepted) throw new TypeError("The WebSocket was accepted here: respond with the other end of the pair");
        const link = new HostLink(connection());
        socket.#isBound = true;
        for (const item of socket.#waiting.splice(0)) forward(link, item);
        peer.#link = link;
        const start = () => void link.pump((item) => peer.#arrive(item)).catch(reportError);
        if (peer.#isAccepted) start();
        else peer.#onAccept = start;
      },
      connected(number, url, protocol, extensions) {
        const socket = new WebSocket(KEY as never);
        socket.#url = url;
        socket.#connect(number, protocol, extensions);
        return socket;
      },
    };
  }

  constructor(url: string, protocols: string | Iterable<string> | undefined = undefined) {
    super();
    if ((url as unknown) === KEY) return;
    need(arguments.length, 1, "WebSocket");
    const href = socketUrl(url);
    const names = protocols === undefined ? [] : typeof protocols === "string" ? [protocols] : [...protocols].map(String);
    const isToken = (name: string) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name);
    if (names.some((name, i) => !isToken(name) || names.indexOf(name) !== i)) {
      throw new DOMException(`These are not names of protocols, each once: ${names.join(", ")}`, "SyntaxError");
    }
    this.#url = href;
    this.#origin = new URL(href).origin;
    this.#isAccepted = true;
    void this.#open(href, names);
  }

  async #open(href: string, protocols: string[]): Promise<void> {
    try {
      const { number, headers } = await connect(href, protocols.length ? ["sec-websocket-protocol", protocols.join(", ")] : []);
      const protocol = headers.get("sec-websocket-protocol") ?? "";
      if (protocol && !protocols.includes(protocol)) {
        closeOp(number, 1002, "");
        throw new DOMException(`The server chose a protocol that was not offered: ${protocol}`, "NetworkError");
      }
      const isLate = this.#state !== CONNECTING;
      this.#connect(number, protocol, headers.get("sec-websocket-extensions") ?? "");
      if (isLate) return closeOp(number, 1001, "") as unknown as void;
      dispatchTrusted(this, new Event("open"));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      dispatchTrusted(this, new ErrorEvent("error", { message, error }));
      this.#end({ code: 1006, reason: "", wasClean: false });
    }
  }

  #connect(number: number, protocol: string, extensions: string): void {
    const link = new HostLink(number);
    this.#link = link;
    this.#protocol = protocol;
    this.#extensions = extensions;
    this.#state = OPEN;
    const start = () => void link.pump((item) => this.#arrive(item)).catch(reportError);
    if (this.#isAccepted) start();
    else this.#onAccept = start;
  }

  #join(peer: WebSocket): void {
    this.#peer = peer;
    this.#state = OPEN;
    const post = (item: Item) => {
      if (peer.#isAccepted && !peer.#waiting.length) peer.#drainLater();
      peer.#waiting.push(item);
      return true;
    };
    this.#link = {
      send: post,
      close: (code = 1005, reason) => void post({ code, reason, wasClean: true }),
      buffered: () => 0,
    };
  }

  /** Something came from the other side. */
  #arrive(item: Item): void {
    if (this.#isAccepted && !this.#waiting.length) this.#take(item);
    else this.#waiting.push(item);
  }

  /** Takes what waits; until then, more of it queues up behind. */
  #drainLater(): void {
    queueMicrotask(() => {
      for (let item; (item = this.#waiting[0]) !== undefined; this.#waiting.shift()) this.#take(item);
    });
  }

  #take(item: Item): void {
    if (typeof item !== "string" && !(item instanceof Uint8Array)) {
      // The other end of a pair waits for an answer, and gets it.
      if (this.#peer && !this.#peer.#isBound && !this.#hasSentClose) this.#link?.close(item.code === 1005 ? undefined : item.code, item.reason);
      return this.#end(item);
    }
    if (this.#state !== OPEN) return;
    let data: unknown = item;
    if (typeof item !== "string") data = this.#binaryType === "blob" ? blobFromBytes(item, "") : item.buffer;
    dispatchTrusted(this, new MessageEvent("message", { data, origin: this.#origin }));
  }

  #end(how: CloseInit): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#hasSentClose = true;
    dispatchTrusted(this, new CloseEvent("close", { ...how }));
  }

  accept(_options: unknown = undefined): void {
    if (this.#isBound) throw new TypeError("The WebSocket is part of a response: accept the other end of the pair");
    if (this.#isAccepted) return;
    this.#isAccepted = true;
    this.#onAccept?.();
    this.#onAccept = undefined;
    // The caller adds its listeners first.
    if (this.#waiting.length) this.#drainLater();
  }

  send(message: unknown): void {
    need(arguments.length, 1, "send");
    if (this.#isBound) throw new TypeError("The WebSocket is part of a response: send from the other end of the pair");
    if (!this.#isAccepted) throw new TypeError("The WebSocket is not accepted: call accept() before send()");
    if (this.#state === CONNECTING) throw new DOMException("The WebSocket is not open yet", "InvalidStateError");
    const bytes = message instanceof Blob ? blobBytes(message) : bytesOf(message);
    if (this.#state !== OPEN) return;
    // The host copies; the other end of a pair must not see later changes.
    if (bytes) this.#link?.send(this.#peer && !this.#peer.#isBound ? bytes.slice() : (bytes as Uint8Array<ArrayBuffer>));
    else this.#link?.send(usv(message));
  }

  close(code: number | undefined = undefined, reason: string | undefined = undefined): void {
    if (this.#isBound) throw new TypeError("The WebSocket is part of a response: close the other end of the pair");
    const number = code === undefined ? undefined : Number(code) & 0xffff;
    if (number !== undefined && !((number >= 1000 && number <= 1003) || (number >= 1007 && number <= 1014) || (number >= 3000 && number <= 4999))) {
      throw new DOMException(`This code cannot be sent: ${String(code)}`, "InvalidAccessError");
    }
    const text = reason === undefined ? "" : usv(reason);
    if (host.utf8Encode(text).byteLength > LONGEST_REASON) throw new DOMException("The reason is longer than 123 bytes", "SyntaxError");
    if (this.#state >= CLOSING) return;
    if (this.#state === CONNECTING) {
      this.#state = CLOSING;
      return;
    }
    if (!this.#isAccepted) throw new TypeError("The WebSocket is not accepted: call accept() before close()");
    this.#state = CLOSING;
    this.#hasSentClose = true;
    this.#link?.close(number ?? (text ? 1000 : undefined), text);
  }

  get url(): string {
    return this.#url;
  }
  get readyState(): number {
    return this.#state;
  }
  get protocol(): string {
    return this.#protocol;
  }
  get extensions(): string {
    return this.#extensions;
  }
  get bufferedAmount(): number {
    return this.#state === OPEN ? (this.#link?.buffered() ?? 0) : 0;
  }
  get binaryType(): string {
    return this.#binaryType;
  }
  set binaryType(value: string) {
    if (value === "blob" || value === "arraybuffer") this.#binaryType = value;
  }
}
handlerAttributes(WebSocket, ["open", "message", "close", "error"]);
describe(WebSocket, "WebSocket");
constants(WebSocket, { CONNECTING, OPEN, CLOSING, CLOSED, READY_STATE_CONNECTING: CONNECTING, READY_STATE_OPEN: OPEN, READY_STATE_CLOSING: CLOSING, READY_STATE_CLOSED: CLOSED });

/** Sends on what a socket got before it was bound. */
function forward(link: Link, item: Item): void {
  if (typeof item === "string" || item instanceof Uint8Array) link.send(item);
  else link.close(item.code === 1005 ? undefined : item.code, item.reason);
}

function socketUrl(url: unknown): string {
  const href = parseHref(url)?.href.replace(/^http(?=s?:)/, "ws");
  if (!href || !/^wss?:/.test(href)) throw new DOMException(`This is not the URL of a WebSocket: ${String(url)}`, "SyntaxError");
  if (href.includes("#")) throw new DOMException(`The URL of a WebSocket has no fragment: ${href}`, "SyntaxError");
  return href;
}

/** Opens a connection; the headers are names and values. */
async function connect(href: string, headers: string[]): Promise<{ number: number; headers: Map<string, string> }> {
  return connected(await host.opAsync(host.opNumber("ws.connect"), href, ...headers));
}

/** What a connection was answered with. */
function connected([number, ...rest]: FieldOut[]): { number: number; headers: Map<string, string> } {
  const found = new Map<string, string>();
  for (let i = 0; i < rest.length; i += 2) found.set(rest[i] as string, rest[i + 1] as string);
  return { number: number as number, headers: found };
}

export class WebSocketPair {
  constructor() {
    Object.assign(this, access.pair());
  }
}
describe(WebSocketPair, "WebSocketPair");
Object.defineProperty(WebSocketPair.prototype, Symbol.iterator, {
  value(this: { 0: WebSocket; 1: WebSocket }) {
    return [this[0], this[1]][Symbol.iterator]();
  },
});

export { access as socketAccess, connected as connectedSocket };
