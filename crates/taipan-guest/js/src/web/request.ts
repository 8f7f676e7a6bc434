/**
 * `Request`. One that came from a client is made of what the host knows, piece by piece as a handler asks; one that a Worker makes is
 * checked as the standard says.
 */
import { AbortSignal, createSignal } from "./abort";
import type { BodyMixin, PullSource } from "./body";
import { Body, extractBody, mixBody } from "./body";
import type { HeadersInit } from "./headers";
import { Headers, copyHeaders, makeHeaders, setHeaderIfMissing } from "./headers";
import { inspected } from "./inspect";
import { parseHref } from "./url";
import { byteString, describe, dictionary, need } from "./webidl";

export interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: unknown;
  redirect?: string;
  signal?: AbortSignal | null;
  cf?: unknown;
  cache?: string;
  credentials?: string;
  integrity?: string;
  keepalive?: boolean;
  mode?: string;
  referrer?: string;
  referrerPolicy?: string;
  duplex?: string;
  /** "manual": the response's body comes as the server sent it, even compressed. */
  encodeResponseBody?: string;
}

/** A request that came from a client: trusted, so nothing of it is checked or parsed before somebody asks. */
export interface IncomingRequest {
  method: string;
  /** Absolute and normalised. */
  url: string;
  /** Names and values in turn. */
  headers: readonly string[];
  body: PullSource | null;
  /** Of the body in bytes, when the client said it. */
  length?: number | null;
  cf?: unknown;
  signal?: AbortSignal;
}

/** Wraps an incoming request on its way through the constructor; users cannot get hold of one. */
class Incoming {
  constructor(readonly request: IncomingRequest) {}
}

const TOKEN = /^[!#$%&'*+\-.^_`|~\w]+$/;
const NORMALIZED = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
const FORBIDDEN = ["CONNECT", "TRACE", "TRACK"];

/** Members that only a browser's fetch acts on, with what they may be; the first is the default. */
const CHOICES = {
  cache: ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"],
  credentials: ["same-origin", "omit", "include"],
  mode: ["cors", "no-cors", "same-origin"],
  redirect: ["follow", "manual", "error"],
  referrerPolicy: [
    "",
    "no-referrer",
    "no-referrer-when-downgrade",
    "same-origin",
    "origin",
    "strict-origin",
    "origin-when-cross-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
  ],
} as const;
type Choice = keyof typeof CHOICES;

interface Options extends Partial<Record<Choice, string>> {
  integrity?: string;
  keepalive?: boolean;
  referrer?: string;
  isRaw?: boolean;
}

function requestMethod(method: unknown): string {
  const text = byteString(method, "The method");
  const upper = text.toUpperCase();
  if (!TOKEN.test(text)) throw new TypeError(`Not a method: ${text}`);
  if (FORBIDDEN.includes(upper)) throw new TypeError(`Not a method that fetch can use: ${text}`);
  return NORMALIZED.includes(upper) ? upper : text;
}

function requestUrl(url: unknown): string {
  const parsed = parseHref(url);
  if (!parsed) throw new TypeError(`Invalid URL: ${String(url)}`);
  if (parsed.hasCredentials) throw new TypeError(`A request's URL has no user name and password: send them in the header Authorization`);
  return parsed.href;
}

let bodyOf!: (request: Request) => Body;
let optionsOf!: (request: Request) => { signal: AbortSignal | undefined; isRaw: boolean };
let incoming!: (request: IncomingRequest) => Request;

export interface Request extends BodyMixin {}

export class Request {
  #method: string;
  #url: string;
  /** A flat list until somebody asks for the headers. */
  #headers: Headers | readonly string[];
  #body: Body;
  #signal: AbortSignal | undefined;
  #cf: unknown;
  #options: Options;

  static {
    bodyOf = (request) => request.#body;
    optionsOf = (request) => ({ signal: request.#signal, isRaw: request.#options.isRaw ?? false });
    incoming = (request) => new Request(new Incoming(request) as unknown as string);
  }

  constructor(input: Request | string, init: RequestInit | null = {}) {
    if ((input as unknown) instanceof Incoming) {
      const { request } = input as unknown as Incoming;
      this.#method = request.method;
      this.#url = request.url;
      this.#headers = request.headers;
      this.#body = Body.of({ pull: request.body, length: request.length ?? null });
      this.#signal = request.signal;
      this.#cf = request.cf;
      // As at Cloudflare: where a client is sent is for the client to see, not for whoever passes its request on.
      this.#options = { redirect: "manual" };
      return;
    }
    need(arguments.length, 1, "Request");
    const given = dictionary(init, "The request's init");
    const from = input instanceof Request ? input : undefined;
    this.#url = from ? from.#url : requestUrl(input);
    this.#method = given.method !== undefined ? requestMethod(given.method) : from ? from.#method : "GET";
    this.#cf = given.cf === undefined && from ? from.#cf : given.cf;
    this.#options = options(given, from && from.#options);

    const signal = given.signal === undefined && from ? from.#signal : given.signal;
    if (signal) {
      if (!(signal instanceof AbortSignal)) throw new TypeError("The request's signal is not an AbortSignal");
      this.#signal = AbortSignal.any([signal]);
    }

    const headers =
      given.headers !== undefined ? new Headers(given.headers) : from ? copyHeaders(from.headers) : new Headers();
    this.#headers = headers;

    const hasBody = given.body !== undefined && given.body !== null;
    if (
      (this.#method === "GET" || this.#method === "HEAD") &&
      (hasBody || (from && given.body === undefined && !from.#body.isNull))
    ) {
      throw new TypeError(`A ${this.#method} request has no body`);
    }
    if (hasBody) {
      const { body, type } = extractBody(given.body);
      this.#body = body;
      if (type) setHeaderIfMissing(headers, "content-type", type);
    } else if (from && given.body === undefined) {
      this.#body = from.#body.move();
    } else {
      this.#body = new Body();
    }
  }

  get method(): string {
    return this.#method;
  }
  get url(): string {
    return this.#url;
  }
  get headers(): Headers {
    if (!(this.#headers instanceof Headers)) this.#headers = makeHeaders(this.#headers, true);
    return this.#headers;
  }
  get signal(): AbortSignal {
    return (this.#signal ??= createSignal());
  }
  get cf(): unknown {
    return this.#cf;
  }
  get redirect(): string {
    return this.#choice("redirect");
  }
  get cache(): string {
    return this.#choice("cache");
  }
  get credentials(): string {
    return this.#choice("credentials");
  }
  get mode(): string {
    return this.#choice("mode");
  }
  get referrerPolicy(): string {
    return this.#choice("referrerPolicy");
  }
  get referrer(): string {
    return this.#options.referrer ?? "about:client";
  }
  get destination(): string {
    return "";
  }
  get integrity(): string {
    return this.#options.integrity ?? "";
  }
  get keepalive(): boolean {
    return this.#options.keepalive ?? false;
  }
  get isReloadNavigation(): boolean {
    return false;
  }
  get isHistoryNavigation(): boolean {
    return false;
  }
  get duplex(): string {
    return "half";
  }
  #choice(name: Choice): string {
    return this.#options[name] ?? CHOICES[name][0];
  }

  clone(): Request {
    const body = this.#body.clone();
    const copy = new Request(
      new Incoming({
        method: this.#method,
        url: this.#url,
        headers: [],
        body: null,
        cf: this.#cf,
      }) as unknown as string,
    );
    copy.#headers = copyHeaders(this.headers);
    copy.#body = body;
    copy.#options = this.#options;
    if (this.#signal) copy.#signal = AbortSignal.any([this.#signal]);
    return copy;
  }
}
mixBody(Request, bodyOf, (request: Request) => request.headers);
describe(Request, "Request");
Object.defineProperty(Request.prototype, inspected, {
  value(this: Request) {
    return { method: this.method, url: this.url, headers: this.headers, bodyUsed: this.bodyUsed };
  },
});

function options(given: RequestInit, inherited: Options | undefined): Options {
  const result: Options = { ...inherited };
  for (const name of Object.keys(CHOICES) as Choice[]) {
    const value = given[name];
    if (value === undefined) continue;
    if (!(CHOICES[name] as readonly string[]).includes(`${value}`)) {
      throw new TypeError(`Not a value of the request's ${name}: ${value}`);
    }
    result[name] = `${value}`;
  }
  if (given.integrity !== undefined) result.integrity = String(given.integrity);
  if (given.keepalive !== undefined) result.keepalive = Boolean(given.keepalive);
  if (given.referrer !== undefined) result.referrer = String(given.referrer);
  if (given.encodeResponseBody !== undefined) {
    const value = `${given.encodeResponseBody}`;
    if (value !== "automatic" && value !== "manual") {
      throw new TypeError(`Not a value of the request's encodeResponseBody: ${value}`);
    }
    result.isRaw = value === "manual";
  }
  return result;
}

export {
  /** A Request for what a client sent. */
  incoming as makeIncomingRequest,
  bodyOf as bodyOfRequest,
  /** What only `fetch` asks. */
  optionsOf as optionsOfRequest,
};
