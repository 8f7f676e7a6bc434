/**
 * `fetch`. The host performs requests, redirects and decoding included; here are the standard's objects, and cancelling: by a
 * signal at every stage, by cancelling the body, and by letting go of a response that nobody has read.
 */
import type { FieldOut } from "../host";
import type { AbortSignal } from "./abort";
import type { PullSource } from "./body";
import { flattenHeaders } from "./headers";
import { asyncOp, host, syncOp } from "./host";
import type { RequestInit } from "./request";
import { Request, optionsOfRequest } from "./request";
import { Response, makeFetchedResponse } from "./response";
import type { ReadableStream } from "./streams";
import { releaseBody, takeBody } from "./take-body";
import { connectedSocket, socketAccess } from "./web-socket";
import { bytesOf, need } from "./webidl";

const open = syncOp("fetch.open");
const askResponse = asyncOp("fetch.response");
const askChunk = asyncOp("fetch.read");
const write = asyncOp("fetch.write");
const end = syncOp("fetch.end");
const cancel = syncOp("fetch.cancel");

/** One exchange with a server, from the first byte to the last. */
class Exchange {
  readonly number: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #cancelUpload: ((reason: unknown) => void) | undefined;
  /** Why there is no more to come. */
  #failure: { reason: unknown } | undefined;
  #isOver = false;
  #wasPulled = false;

  constructor(number: number, signal: AbortSignal | undefined) {
    this.number = number;
    this.#signal = signal;
    this.#onAbort = () => this.fail(this.#signal?.reason);
    signal?.addEventListener("abort", this.#onAbort);
  }

  /** Breaks everything off. */
  fail(reason: unknown): void {
    if (this.#isOver) return;
    this.#failure = { reason };
    this.#cancelUpload?.(reason);
    this.close();
  }

  /** Nothing more is wanted. */
  close(): void {
    if (this.#isOver) return;
    this.#finish();
    cancel(this.number);
  }

  #finish(): void {
    this.#isOver = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  async response(): Promise<Awaited<ReturnType<typeof askResponse>>> {
    try {
      return await askResponse(this.number);
    } catch (e) {
      const reason = this.#failure ? this.#failure.reason : e;
      this.fail(reason);
      throw reason;
    }
  }

  async #pull(): Promise<Uint8Array | null> {
    if (this.#failure) throw this.#failure.reason;
    if (this.#isOver) return null;
    this.#wasPulled = true;
    try {
      const [chunk] = await askChunk(this.number);
      if (chunk !== undefined && chunk !== null) return new Uint8Array(chunk as ArrayBuffer);
    } catch (e) {
      if (!this.#failure) this.fail(e);
      throw (this.#failure as { reason: unknown } | undefined)?.reason;
    }
    this.close();
    return null;
  }

  /** The response's body. */
  source(isPlain: boolean): PullSource {
    const pull: PullSource = () => this.#pull();
    pull.isPlain = isPlain;
    pull.cancel = () => this.close();
    pull.release = () => {
      if (this.#wasPulled || this.#isOver) return undefined;
      this.#finish();
      return this.number;
    };
    // Whoever can still read the body holds the function.
    dropped.register(pull, this);
    return pull;
  }

  /** Sends the request's body. */
  async upload(stream: ReadableStream<unknown>): Promise<void> {
    const reader = stream.getReader();
    this.#cancelUpload = (reason) => void reader.cancel(reason).catch(() => undefined);
    for (;;) {
      let chunk: Uint8Array | undefined;
      try {
        const { done, value } = await reader.read();
        if (done) break;
        chunk = bytesOf(value);
        if (!chunk) throw new TypeError("The request body's stream gave something that is not bytes");
      } catch (e) {
        // The server must not take what it got for everything.
        if (!this.#isOver) end(this.number, String(e));
        this.fail(e);
        return;
      }
      try {
        if (chunk.byteLength) await write(this.number, chunk);
      } catch (e) {
        // The server has answered without reading everything, or is gone: the response says more than this would.
        this.#cancelUpload(e);
        return;
      }
    }
    if (!this.#isOver) end(this.number, null);
  }
}

/** Bodies that nobody will read. */
const dropped = new FinalizationRegistry<Exchange>((exchange) => exchange.close());

export async function fetch(input: Request | string, init: RequestInit | null = {}): Promise<Response> {
  need(arguments.length, 1, "fetch");
  return send(new Request(input, init), open, (_cause, url, ...headers) => host.opAsync(host.opNumber("ws.connect"), url, ...headers));
}

type Open = typeof open;

/** Opens a WebSocket: for which request, where, and headers. Gives its number and the answer's headers. */
type Connect = (cause: number, url: string, ...headers: string[]) => Promise<FieldOut[]>;

/** A request to what a binding stands for; `open` and `connect` take the place of the network. */
export async function fetchFrom(input: Request | string, init: RequestInit | null | undefined, open: Open, connect?: Connect): Promise<Response> {
  return send(new Request(input, init ?? {}), open, connect);
}

async function send(request: Request, open: Open, connect?: Connect): Promise<Response> {
  const { signal, isRaw } = optionsOfRequest(request);
  signal?.throwIfAborted();
  if (connect && request.headers.get("upgrade")?.toLowerCase() === "websocket") return openSocket(request, connect);

  // A body that came from elsewhere and that nobody has touched: the host passes it on, and nothing of it comes in here.
  const passed = releaseBody(request);
  const body = passed === undefined ? takeBody(request) : null;
  const isWhole = body === null || typeof body === "string" || body instanceof Uint8Array;
  let number: number;
  try {
    [number] = open(
      host.cause(),
      request.method,
      request.url,
      request.redirect,
      isRaw ? 0 : 1,
      passed ?? (typeof body === "string" ? host.utf8Encode(body) : isWhole ? body : -1),
      ...flattenHeaders(request.headers),
    ) as [number];
  } catch (e) {
    // Nobody will take it now.
    if (passed !== undefined) cancel(passed);
    throw e;
  }
  const exchange = new Exchange(number, signal);
  if (!isWhole) void exchange.upload(body as ReadableStream<unknown>);
  const [status, statusText, url, redirected, length, ...headers] = await exchange.response();
  if (length === null) exchange.close();
  // Another Worker says of its response that it has encoded it. No header has such a name.
  const says = headers.indexOf(":encode-body");
  const isEncoded = isRaw || (says >= 0 && headers.splice(says, 2)[1] === "manual");
  return makeFetchedResponse({
    status: status as number,
    statusText: statusText as string,
    url: (url as string).replace(/#.*/s, ""),
    redirected: redirected === 1,
    headers: headers as string[],
    isEncoded,
    body: length === null ? null : exchange.source(!isEncoded),
    length: length === -1 ? null : (length as number | null),
  });
}

/** A request for a WebSocket: the response has one end of it. */
async function openSocket(request: Request, connect: Connect): Promise<Response> {
  const { number, headers } = connectedSocket(await connect(host.cause(), request.url, ...flattenHeaders(request.headers)));
  const [protocol, extensions] = ["sec-websocket-protocol", "sec-websocket-extensions"].map((name) => headers.get(name) ?? "");
  return makeFetchedResponse({
    status: 101,
    statusText: "Switching Protocols",
    url: request.url,
    redirected: false,
    headers: [...headers].flat(),
    body: null,
    length: null,
    webSocket: socketAccess.connected(number, request.url, protocol as string, extensions as string),
  });
}
