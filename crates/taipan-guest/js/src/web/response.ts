/** `Response`: what a handler answers with, and what a fetch gives, which is trusted and may have a body that never comes in here. */
import type { BodyMixin, PullSource } from "./body";
import { Body, extractBody, mixBody } from "./body";
import type { HeadersInit } from "./headers";
import { Headers, copyHeaders, freezeHeaders, makeHeaders, setHeaderIfMissing } from "./headers";
import { inspected } from "./inspect";
import { lengthOf } from "./pipes";
import { parseHref } from "./url";
import { WebSocket } from "./web-socket";
import { byteString, describe, dictionary, need } from "./webidl";

export interface ResponseInit {
  status?: number;
  statusText?: string;
  headers?: HeadersInit;
  cf?: unknown;
  webSocket?: WebSocket | null;
  /** Whether a body whose headers name a content encoding still has to be encoded. */
  encodeBody?: "automatic" | "manual";
}

const NULL_BODY = [101, 103, 204, 205, 304];
const REDIRECT = [301, 302, 303, 307, 308];

function reasonPhrase(value: unknown): string {
  const text = byteString(value, "The status text");
  if (/[^\t\x20-\x7e\x80-\xff]/.test(text)) throw new TypeError("The status text has a control character in it");
  return text;
}

/** A response from outside: trusted, so nothing of it is checked. */
export interface FetchedResponse {
  status: number;
  statusText: string;
  /** Without a fragment. */
  url: string;
  redirected: boolean;
  /** Names and values in turn. */
  headers: readonly string[];
  body: PullSource | null;
  /** Of the body in bytes, when it is known. */
  length: number | null;
  webSocket?: WebSocket;
  /** The body is encoded as the headers say. */
  isEncoded?: boolean;
}

let bodyOf!: (response: Response) => Body;
let isEncoded!: (response: Response) => boolean;
let fetched!: (response: FetchedResponse) => Response;

export interface Response extends BodyMixin {}

export class Response {
  #status: number;
  #statusText: string;
  #headers: Headers;
  #body: Body;
  #type = "default";
  #cf: unknown;
  #webSocket: WebSocket | null = null;
  #isEncoded = false;
  #url = "";
  #redirected = false;

  static {
    bodyOf = (response) => response.#body;
    isEncoded = (response) => response.#isEncoded;
    fetched = ({ status, statusText, url, redirected, headers, body, length, webSocket, isEncoded = false }) => {
      const response = new Response();
      response.#status = status;
      response.#statusText = statusText;
      response.#url = url;
      response.#redirected = redirected;
      response.#headers = makeHeaders(headers, true);
      if (body) response.#body = Body.of({ pull: body, length });
      response.#webSocket = webSocket ?? null;
      response.#isEncoded = isEncoded;
      return response;
    };
  }

  constructor(body: unknown = undefined, init: ResponseInit | null = {}) {
    const given = dictionary(init, "The response's init");
    const socket = given.webSocket ?? null;
    if (socket !== null && !(socket instanceof WebSocket)) throw new TypeError("The response's webSocket is not a WebSocket");
    this.#webSocket = socket;
    this.#status = given.status === undefined ? (socket ? 101 : 200) : Number(given.status) & 0xffff;
    if (socket && this.#status !== 101) throw new RangeError(`A response with a WebSocket has status 101: ${this.#status}`);
    if (!socket && (this.#status < 200 || this.#status > 599)) {
      throw new RangeError(`A response's status is from 200 to 599: ${String(given.status)}`);
    }
    this.#statusText = given.statusText === undefined ? "" : reasonPhrase(given.statusText);
    this.#headers = new Headers(given.headers);
    this.#cf = given.cf;
    const { encodeBody = "automatic" } = given;
    if (encodeBody !== "automatic" && encodeBody !== "manual") throw new TypeError(`encodeBody is "automatic" or "manual": ${String(encodeBody)}`);
    this.#isEncoded = encodeBody === "manual" || (given instanceof Response && given.#isEncoded);
    if (body === null || body === undefined) {
      this.#body = new Body();
      return;
    }
    if (NULL_BODY.includes(this.#status)) throw new TypeError(`A response with status ${this.#status} has no body`);
    const extracted = extractBody(body);
    this.#body = extracted.body;
    if (extracted.type) setHeaderIfMissing(this.#headers, "content-type", extracted.type);
    const length = typeof body === "object" ? lengthOf(body) : null;
    if (length !== null) setHeaderIfMissing(this.#headers, "content-length", String(length));
  }

  static error(): Response {
    const response = new Response();
    response.#status = 0;
    response.#type = "error";
    freezeHeaders(response.#headers);
    return response;
  }

  static redirect(url: string, status: number = 302): Response {
    need(arguments.length, 1, "Response.redirect");
    const parsed = parseHref(url);
    if (!parsed) throw new TypeError(`Invalid URL: ${url}`);
    if (!REDIRECT.includes(Number(status))) throw new RangeError(`Not a redirect's status: ${status}`);
    const response = new Response(null, { status });
    response.#headers = makeHeaders(["location", parsed.href], true);
    return response;
  }

  static json(data: unknown, init: ResponseInit | null = {}): Response {
    need(arguments.length, 1, "Response.json");
    const text = JSON.stringify(data) as string | undefined;
    if (text === undefined) throw new TypeError("The value has no form in JSON");
    const response = new Response(text, init);
    if (!dictionary(init, "The response's init").headers || !new Headers(init?.headers).has("content-type")) {
      response.#headers.set("content-type", "application/json");
    }
    return response;
  }

  get type(): string {
    return this.#type;
  }
  get url(): string {
    return this.#url;
  }
  get redirected(): boolean {
    return this.#redirected;
  }
  get status(): number {
    return this.#status;
  }
  get ok(): boolean {
    return this.#status >= 200 && this.#status <= 299;
  }
  get statusText(): string {
    return this.#statusText;
  }
  get headers(): Headers {
    return this.#headers;
  }
  get cf(): unknown {
    return this.#cf;
  }
  get webSocket(): WebSocket | null {
    return this.#webSocket;
  }

  clone(): Response {
    if (this.#webSocket) throw new TypeError("A response with a WebSocket cannot be cloned");
    const body = this.#body.clone();
    const copy = new Response(null, { status: this.#status || 200, statusText: this.#statusText, cf: this.#cf });
    copy.#status = this.#status;
    copy.#type = this.#type;
    copy.#isEncoded = this.#isEncoded;
    copy.#url = this.#url;
    copy.#redirected = this.#redirected;
    copy.#headers = copyHeaders(this.#headers);
    copy.#body = body;
    return copy;
  }
}
mixBody(Response, bodyOf, (response: Response) => response.headers);
describe(Response, "Response");
Object.defineProperty(Response.prototype, inspected, {
  value(this: Response) {
    const { status, statusText, headers, ok, bodyUsed } = this;
    return { status, statusText, headers, ok, bodyUsed };
  },
});

export {
  bodyOf as bodyOfResponse,
  /** Whether the body is encoded as its headers say. */
  isEncoded as isEncodedResponse,
  /** A Response for what a server sent. */
  fetched as makeFetchedResponse,
};
