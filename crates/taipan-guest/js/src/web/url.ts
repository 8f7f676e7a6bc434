/** URL over the host's parser (the parts come with the parse, in one crossing) and URLSearchParams beside it. */
import { syncOp } from "./host";
import { inspected } from "./inspect";
import { URLSearchParams, linkParams, reloadParams } from "./url-search-params";
import { describe, need, usv } from "./webidl";

const parseOp = syncOp("url.parse");
const setOp = syncOp("url.set");

/** The order of the operation's answer. */
const PARTS = [
  "href",
  "protocol",
  "username",
  "password",
  "host",
  "hostname",
  "port",
  "pathname",
  "search",
  "hash",
  "origin",
] as const;
type Part = (typeof PARTS)[number];

function parse(url: unknown, base: unknown): string[] | undefined {
  const text = usv(url);
  const baseText = base === undefined ? null : usv(base);
  try {
    return parseOp(text, baseText) as string[];
  } catch {
    return undefined;
  }
}

/** The normalised form of an absolute URL; undefined when it is none. */
export function parseHref(url: unknown): { href: string; hasCredentials: boolean } | undefined {
  const parts = parse(url, undefined);
  return parts && { href: parts[0] as string, hasCredentials: Boolean(parts[2] || parts[3]) };
}

let adopt!: (parts: string[]) => URL;

export class URL {
  #parts: string[];
  #params: URLSearchParams | undefined;

  static {
    adopt = (parts) => new URL(new Parsed(parts) as unknown as string);
  }

  constructor(url: string, base: string | undefined = undefined) {
    need(arguments.length, 1, "URL");
    if ((url as unknown) instanceof Parsed) {
      this.#parts = (url as unknown as Parsed).parts;
      return;
    }
    const parts = parse(url, base);
    if (!parts) {
      const error = new TypeError(base === undefined ? `Invalid URL: ${url}` : `Invalid URL: ${url} with base ${base}`);
      throw Object.assign(error, { code: "ERR_INVALID_URL" });
    }
    this.#parts = parts;
  }

  static canParse(url: string, base: string | undefined = undefined): boolean {
    need(arguments.length, 1, "URL.canParse");
    return parse(url, base) !== undefined;
  }
  static parse(url: string, base: string | undefined = undefined): URL | null {
    need(arguments.length, 1, "URL.parse");
    const parts = parse(url, base);
    return parts ? adopt(parts) : null;
  }

  #get(part: Part): string {
    return this.#parts[PARTS.indexOf(part)] as string;
  }
  #set(part: Part, value: unknown): void {
    this.#parts = setOp(this.#parts[0], part, usv(value)) as string[];
    if (this.#params && (part === "search" || part === "href")) reloadParams(this.#params, this.#get("search"));
  }

  get href(): string {
    return this.#get("href");
  }
  set href(value: string) {
    const parts = parse(value, undefined);
    if (!parts) throw new TypeError(`Invalid URL: ${value}`);
    this.#parts = parts;
    if (this.#params) reloadParams(this.#params, this.#get("search"));
  }
  get origin(): string {
    return this.#get("origin");
  }
  get protocol(): string {
    return this.#get("protocol");
  }
  set protocol(value: string) {
    this.#set("protocol", value);
  }
  get username(): string {
    return this.#get("username");
  }
  set username(value: string) {
    this.#set("username", value);
  }
  get password(): string {
    return this.#get("password");
  }
  set password(value: string) {
    this.#set("password", value);
  }
  get host(): string {
    return this.#get("host");
  }
  set host(value: string) {
    this.#set("host", value);
  }
  get hostname(): string {
    return this.#get("hostname");
  }
  set hostname(value: string) {
    this.#set("hostname", value);
  }
  get port(): string {
    return this.#get("port");
  }
  set port(value: string) {
    this.#set("port", value);
  }
  get pathname(): string {
    return this.#get("pathname");
  }
  set pathname(value: string) {
    this.#set("pathname", value);
  }
  get search(): string {
    return this.#get("search");
  }
  set search(value: string) {
    this.#set("search", value);
  }
  get searchParams(): URLSearchParams {
    // Serialised back without a reload: the parameters are the source then.
    return (this.#params ??= linkParams(this.#get("search"), (query) => {
      this.#parts = setOp(this.#parts[0], "search", query) as string[];
    }));
  }
  get hash(): string {
    return this.#get("hash");
  }
  set hash(value: string) {
    this.#set("hash", value);
  }
  toString(): string {
    return this.#get("href");
  }
  toJSON(): string {
    return this.#get("href");
  }
}
describe(URL, "URL");
Object.defineProperty(URL.prototype, inspected, {
  value(this: URL) {
    return Object.fromEntries([...PARTS, "searchParams" as const].map((part) => [part, this[part]]));
  },
});

/** Parts that need no second parse; users cannot get hold of one. */
class Parsed {
  constructor(readonly parts: string[]) {}
}
