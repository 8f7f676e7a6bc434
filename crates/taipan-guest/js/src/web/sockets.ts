/**
 * `cloudflare:sockets`: connections of bytes as streams, with TLS from the start or later.
 */
import { asyncOp, syncOp } from "./host";
import { ReadableStream, WritableStream } from "./streams";
import { URL } from "./url";
import { bytesOf, describe } from "./webidl";

const tcpConnect = asyncOp("tcp.connect");
const tcpRead = asyncOp("tcp.read");
const tcpWrite = asyncOp("tcp.write");
const tcpEnd = syncOp("tcp.end");
const tcpClose = syncOp("tcp.close");
const tlsOpen = syncOp("tls.open");
const tlsStep = syncOp("tls.step");
const tlsDrop = syncOp("tls.drop");

export interface SocketAddress {
  hostname: string;
  port: number;
}
export interface SocketOptions {
  secureTransport?: "off" | "on" | "starttls";
  allowHalfOpen?: boolean;
}
export interface SocketInfo {
  remoteAddress: string;
  localAddress: string;
}

/** Bytes both ways. */
interface Channel {
  /** null at the end. */
  read(): Promise<Uint8Array | null>;
  write(bytes: Uint8Array): Promise<void>;
  /** Nothing more will be written. */
  end(): Promise<void>;
  close(): void;
}

class Tcp implements Channel {
  constructor(readonly number: number) {}
  async read() {
    const [chunk] = await tcpRead(this.number);
    return chunk === undefined || chunk === null ? null : new Uint8Array(chunk as ArrayBuffer);
  }
  async write(bytes: Uint8Array) {
    await tcpWrite(this.number, bytes);
  }
  async end() {
    tcpEnd(this.number);
  }
  close() {
    tcpClose(this.number);
  }
}

const NONE = new Uint8Array();

/** TLS over another channel. */
class Tls implements Channel {
  #below: Channel;
  #session: number;
  #hasEnded = false;
  constructor(below: Channel, name: string) {
    this.#below = below;
    this.#session = tlsOpen(name, 1, 1, null, 1, null)[0] as number;
  }

  async #step(wire: Uint8Array, plain: Uint8Array, isLast = false): Promise<{ got: Uint8Array; isHandshaking: boolean }> {
    const [got, out, isHandshaking, hasEnded, error] = tlsStep(this.#session, wire, plain, isLast ? 1 : 0);
    if ((out as ArrayBuffer).byteLength) await this.#below.write(new Uint8Array(out as ArrayBuffer));
    if (hasEnded) this.#hasEnded = true;
    if (typeof error === "string") throw new TypeError(`No secure connection: ${error}`);
    return { got: new Uint8Array(got as ArrayBuffer), isHandshaking: isHandshaking === 1 };
  }

  #early: Uint8Array[] = [];

  async handshake(): Promise<void> {
    for (let wire: Uint8Array = NONE; ; ) {
      const { got, isHandshaking } = await this.#step(wire, NONE);
      if (got.length) this.#early.push(got);
      if (!isHandshaking) return;
      const next = await this.#below.read();
      if (!next) throw new TypeError("No secure connection: the server has ended it");
      wire = next;
    }
  }

  async read() {
    for (;;) {
      const early = this.#early.shift();
      if (early) return early;
      if (this.#hasEnded) return null;
      const wire = await this.#below.read();
      if (!wire) return null;
      const { got } = await this.#step(wire, NONE);
      if (got.length) return got;
    }
  }
  async write(bytes: Uint8Array) {
    await this.#step(NONE, bytes);
  }
  async end() {
    await this.#step(NONE, NONE, true);
    await this.#below.end();
  }
  close() {
    this.#below.close();
    tlsDrop(this.#session);
  }
}

export class Socket {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<unknown>;
  readonly opened: Promise<SocketInfo>;
  readonly closed: Promise<void>;
  readonly upgraded: boolean;
  readonly secureTransport: string;
  #channel: Promise<Channel>;
  #settle!: { resolve: () => void; reject: (reason: unknown) => void };
  #host: string;
  #options: SocketOptions;
  #isGivenAway = false;
  #isDone = { reading: false, writing: false };

  constructor(host: string, options: SocketOptions, opening: Promise<{ channel: Channel; info: SocketInfo }>, upgraded: boolean) {
    this.#host = host;
    this.#options = options;
    this.upgraded = upgraded;
    this.secureTransport = upgraded ? "on" : (options.secureTransport ?? "off");
    this.opened = opening.then(({ info }) => info);
    this.#channel = opening.then(({ channel }) => channel);
    this.closed = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    // Whoever waits for neither hears of it through the streams.
    for (const promise of [this.opened, this.#channel, this.closed]) promise.catch(() => undefined);
    this.#channel.catch((reason) => this.#settle.reject(reason));
    this.readable = new ReadableStream<Uint8Array>({
      type: "bytes",
      pull: async (controller) => {
        const chunk = await this.#guard(async (channel) => channel.read());
        if (chunk?.length) return controller.enqueue(chunk);
        controller.close();
        controller.byobRequest?.respond(0);
        await this.#done("reading");
      },
      cancel: () => this.#done("reading"),
    });
    this.writable = new WritableStream<unknown>({
      write: async (chunk) => {
        const bytes = bytesOf(chunk);
        if (!bytes) throw new TypeError("What is written to a socket is bytes");
        await this.#guard(async (channel) => channel.write(bytes));
      },
      close: () => this.#done("writing"),
      abort: () => this.close(),
    });
  }

  async #guard<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
    try {
      if (this.#isGivenAway) throw new TypeError("The socket was replaced by the one that startTls() gave");
      return await work(await this.#channel);
    } catch (e) {
      this.#settle.reject(e);
      throw e;
    }
  }

  async #done(which: "reading" | "writing"): Promise<void> {
    this.#isDone[which] = true;
    if (which === "writing") await this.#guard(async (channel) => channel.end());
    const { reading, writing } = this.#isDone;
    if ((reading && writing) || (reading && !this.#options.allowHalfOpen)) await this.close();
  }

  async close(): Promise<void> {
    if (this.#isGivenAway) return;
    this.#settle.resolve();
    await this.#channel.then(
      (channel) => channel.close(),
      () => undefined,
    );
  }

  startTls(options: { expectedServerHostname?: string } = {}): Socket {
    if (this.secureTransport !== "starttls") throw new TypeError("The socket was not opened with secureTransport: \"starttls\"");
    if (this.#isGivenAway) throw new TypeError("The socket has begun TLS already");
    if (this.readable.locked || this.writable.locked) throw new TypeError("The socket's streams are locked: release their readers and writers before startTls()");
    this.#isGivenAway = true;
    const name = options?.expectedServerHostname ?? this.#host;
    const opening = Promise.all([this.#channel, this.opened]).then(async ([below, info]) => {
      const channel = new Tls(below, name);
      await channel.handshake();
      return { channel, info };
    });
    opening.catch((reason) => this.#settle.reject(reason));
    void opening.then(() => this.#settle.resolve(), () => undefined);
    return new Socket(this.#host, this.#options, opening, true);
  }
}
describe(Socket, "Socket");

export function connect(address: SocketAddress | string, options: SocketOptions = {}): Socket {
  let host: string, port: number;
  if (typeof address === "string") {
    const url = new URL(`tcp://${address}`);
    [host, port] = [url.hostname, Number(url.port)];
    if (!url.port) throw new TypeError(`The address names no port: ${address}`);
  } else {
    [host, port] = [String(address?.hostname), Number(address?.port)];
  }
  if (!(port > 0 && port < 65536) || !host) throw new TypeError(`Not an address: ${host}:${port}`);
  const secure = options?.secureTransport ?? "off";
  if (!["off", "on", "starttls"].includes(secure)) throw new TypeError(`Not a value of secureTransport: ${secure}`);
  host = host.replace(/^\[|\]$/g, "");
  const open = async () => {
    const [number, remote, remotePort, local, localPort] = await tcpConnect(host, port, secure === "on" ? 1 : 0);
    const at = (ip: unknown, p: unknown) => (String(ip).includes(":") ? `[${String(ip)}]:${String(p)}` : `${String(ip)}:${String(p)}`);
    return { channel: new Tcp(number as number), info: { remoteAddress: at(remote, remotePort), localAddress: at(local, localPort) } };
  };
  return new Socket(host, { ...options }, open(), false);
}
