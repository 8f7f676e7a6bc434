/** EventSource, over `fetch`; and `EventSource.from`, of Workers, over a stream that is there already. */
import { reportError } from "./console";
import { Event, EventTarget, MessageEvent, dispatchTrusted, handlerAttributes } from "./events";
import { fetch } from "./fetch";
import { Headers } from "./headers";
import { ReadableStream, TextDecoderStream } from "./streams";
import { clearTimeout, queueMicrotask, setTimeout } from "./timers";
import { URL, parseHref } from "./url";
import { constants, describe, dictionary, need } from "./webidl";
import { AbortController } from "./abort";
import { ErrorEvent } from "./web-socket";

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 2;

/** Milliseconds until a lost connection is made again, unless the server says another time. */
const RETRY = 3000;

/** A server that sends more without ending an event is not one of events. */
const LONGEST_EVENT = 16 << 20;

export interface EventSourceInit {
  withCredentials?: boolean;
  /** Of Workers: what performs the requests. */
  fetcher?: { fetch(url: string, init: object): Promise<unknown> };
}

interface Message {
  type: string;
  data: string;
  id: string;
}

/** The standard's interpretation of an event stream. */
export class EventStreamParser {
  #buffer = "";
  #size = 0;
  #data: string[] = [];
  #type = "";
  #lastId = "";
  #isFirst = true;
  onRetry: (milliseconds: number) => void = () => undefined;

  constructor(readonly onMessage: (message: Message) => void, lastId = "") {
    this.#lastId = lastId;
  }

  push(text: string): void {
    if (this.#isFirst && text) {
      this.#isFirst = false;
      if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    }
    this.#size += text.length;
    if (this.#size > LONGEST_EVENT) throw new TypeError("The event is too long");
    const all = this.#buffer + text;
    const lines = /\r\n|\n|\r/g;
    let from = 0;
    for (let end; (end = lines.exec(all));) {
      // A carriage return at the end may be half of a pair.
      if (end[0] === "\r" && end.index === all.length - 1) break;
      this.#line(all.slice(from, end.index));
      from = lines.lastIndex;
    }
    this.#buffer = all.slice(from);
  }

  #line(line: string): void {
    if (!line) return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    switch (field) {
      case "event":
        this.#type = value;
        break;
      case "data":
        this.#data.push(value);
        break;
      case "id":
        if (!value.includes("\0")) this.#lastId = value;
        break;
      case "retry":
        if (/^\d+$/.test(value)) this.onRetry(Number(value));
        break;
    }
  }

  #dispatch(): void {
    const [data, type] = [this.#data, this.#type];
    this.#data = [];
    this.#type = "";
    this.#size = this.#buffer.length;
    if (data.length) this.onMessage({ type: type || "message", data: data.join("\n"), id: this.#lastId });
  }
}

export class EventSource extends EventTarget {
  #url: string | null = null;
  #withCredentials = false;
  #fetch: (url: string, init: object) => Promise<unknown> = (url, init) => fetch(url, init as never);
  #state = CONNECTING;
  #lastId = "";
  #retry = RETRY;
  #timer = 0;
  #abort = new AbortController();
  declare onopen: unknown;
  declare onmessage: unknown;
  declare onerror: unknown;

  constructor(url: string, init: EventSourceInit | null = {}) {
    super();
    need(arguments.length, 1, "EventSource");
    const { withCredentials, fetcher } = dictionary(init, "The init");
    const href = parseHref(url)?.href;
    if (href === undefined) throw new DOMException(`Invalid URL: ${url}`, "SyntaxError");
    this.#url = href;
    this.#withCredentials = Boolean(withCredentials);
    if (fetcher) this.#fetch = (target, options) => fetcher.fetch(target, options);
    queueMicrotask(() => void this.#connect());
  }

  /** The events of a stream that is there already. There is no reconnecting. */
  static from(stream: ReadableStream<Uint8Array>): EventSource {
    if (!(stream instanceof ReadableStream)) throw new TypeError("The argument is not a ReadableStream");
    const source = new EventSource("about:blank");
    source.#url = null;
    source.#fetch = async () => ({ status: 200, headers: new Headers({ "content-type": "text/event-stream" }), body: stream });
    return source;
  }

  async #connect(): Promise<void> {
    if (this.#state === CLOSED) return;
    this.#abort = new AbortController();
    const headers: Record<string, string> = { accept: "text/event-stream", "cache-control": "no-cache" };
    if (this.#lastId) headers["last-event-id"] = this.#lastId;
    try {
      const response = (await this.#fetch(this.#url ?? "", { headers, signal: this.#abort.signal })) as {
        status: number;
        headers: { get(name: string): string | null };
        url?: string;
        body: ReadableStream<Uint8Array> | null;
      };
      if (this.#isClosed()) return;
      const type = response.headers.get("content-type") ?? "";
      if (response.status !== 200 || !/^text\/event-stream\s*(;|$)/i.test(type)) {
        void response.body?.cancel().catch(() => undefined);
        return this.#fail(response.status === 200 ? `The server does not send events, but this: ${type || "(no content type)"}` : `The server answered with status ${response.status}`);
      }
      this.#state = OPEN;
      dispatchTrusted(this, new Event("open"));
      if (response.body) await this.#read(response.body, response.url || this.#url);
    } catch (error) {
      if (this.#isClosed()) return;
      if (this.#url === null) return this.#fail(error instanceof Error ? error.message : String(error), error);
    }
    this.#reconnect();
  }

  #isClosed(): boolean {
    return this.#state === CLOSED;
  }

  async #read(body: ReadableStream<Uint8Array>, url: string | null): Promise<void> {
    const origin = url ? new URL(url).origin : "null";
    const parser = new EventStreamParser(({ type, data, id }) => {
      this.#lastId = id;
      if (!this.#isClosed()) dispatchTrusted(this, new MessageEvent(type, { data, origin, lastEventId: id }));
    }, this.#lastId);
    parser.onRetry = (milliseconds) => (this.#retry = milliseconds);
    const reader = body.pipeThrough(new TextDecoderStream() as never).getReader();
    this.#abort.signal.addEventListener("abort", () => void reader.cancel().catch(() => undefined));
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#isClosed()) return;
      parser.push(value as unknown as string);
    }
  }

  /** The connection was lost. */
  #reconnect(): void {
    if (this.#isClosed()) return;
    if (this.#url === null) return this.#fail("The stream has ended");
    this.#state = CONNECTING;
    dispatchTrusted(this, new ErrorEvent("error", { message: "The connection was lost" }));
    if (this.#isClosed()) return;
    this.#timer = setTimeout(() => void this.#connect().catch(reportError), this.#retry) as unknown as number;
  }

  /** There is no use in trying again. */
  #fail(message: string, error: unknown = undefined): void {
    this.#state = CLOSED;
    dispatchTrusted(this, new ErrorEvent("error", { message, error }));
  }

  close(): void {
    this.#state = CLOSED;
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  get url(): string | null {
    return this.#url;
  }
  get withCredentials(): boolean {
    return this.#withCredentials;
  }
  get readyState(): number {
    return this.#state;
  }
}
handlerAttributes(EventSource, ["open", "message", "error"]);
describe(EventSource, "EventSource");
constants(EventSource, { CONNECTING, OPEN, CLOSED });
