/** Headers, kept so that the common questions are a look into a map. */
import { inspected } from "./inspect";
import { byteString, describe, forEachPair, need, pairIterators } from "./webidl";

const TOKEN = /^[!#$%&'*+\-.^_`|~\w]+$/;

/** Names that were checked before, in lower case: the same few come again and again. */
const checkedNames = new Map<string, string>();
const MOST_NAMES = 500;

function headerName(name: unknown): string {
  const known = checkedNames.get(name as string);
  if (known !== undefined) return known;
  const text = byteString(name, "The header's name");
  if (!TOKEN.test(text)) throw new TypeError(`Not a header's name: ${text}`);
  const lower = text.toLowerCase();
  if (checkedNames.size < MOST_NAMES) checkedNames.set(text, lower);
  return lower;
}

/** Without HTTP's whitespace around it. Not by a regular expression: those take quadratic time for many spaces inside. */
function trimmed(text: string): string {
  const isSpace = (i: number) => "\t\n\r ".includes(text.charAt(i));
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(start)) start++;
  while (end > start && isSpace(end - 1)) end--;
  return text.slice(start, end);
}

function headerValue(value: unknown): string {
  const given = `${value as string}`;
  // Nearly all values are like this.
  if (!/[^\t\x20-\x7e\x80-\xff]|^[\t ]|[\t ]$/.test(given)) return given;
  const text = trimmed(byteString(given, "The header's value"));
  if (/[\0\r\n]/.test(text)) throw new TypeError("The header's value has a line break or a NUL in it");
  return text;
}

export type HeadersInit = Headers | Iterable<Iterable<unknown>> | Record<string, unknown> | null | undefined;

const iterate = pairIterators<string>("Headers");

let make!: (flat: readonly string[], isImmutable: boolean) => Headers;
let flatten!: (headers: Headers) => string[];
let setIfMissing!: (headers: Headers, name: string, value: string) => void;
let copy!: (headers: Headers) => Headers;
let freeze!: (headers: Headers) => Headers;

export class Headers {
  /** By lower-case name; a list when there were several. */
  #map = new Map<string, string | string[]>();
  #sorted: [string, string][] | undefined;
  #isImmutable = false;

  static {
    make = (flat, isImmutable) => {
      const headers = new Headers();
      for (let i = 0; i + 1 < flat.length; i += 2) {
        headers.#append((flat[i] as string).toLowerCase(), flat[i + 1] as string);
      }
      headers.#isImmutable = isImmutable;
      return headers;
    };
    flatten = (headers) => {
      const flat: string[] = [];
      for (const [name, value] of headers.#map) {
        if (typeof value === "string") flat.push(name, value);
        else for (const one of value) flat.push(name, one);
      }
      return flat;
    };
    setIfMissing = (headers, name, value) => {
      if (headers.#map.has(name)) return;
      headers.#map.set(name, value);
      headers.#sorted = undefined;
    };
    copy = (headers) => {
      const result = new Headers();
      for (const [name, value] of headers.#map) result.#map.set(name, typeof value === "string" ? value : [...value]);
      return result;
    };
    freeze = (headers) => {
      headers.#isImmutable = true;
      return headers;
    };
  }

  constructor(init: HeadersInit = undefined) {
    if (init === undefined) return;
    if (init === null || (typeof init !== "object" && typeof init !== "function")) {
      throw new TypeError("The headers are neither an object nor a sequence of pairs");
    }
    // A Headers whose iteration was not tampered with need not be validated again.
    if (init instanceof Headers && init[Symbol.iterator] === Headers.prototype.entries) {
      for (const [name, value] of init.#map) this.#map.set(name, typeof value === "string" ? value : [...value]);
      return;
    }
    const iterator = (init as { [Symbol.iterator]?: unknown })[Symbol.iterator];
    if (iterator !== undefined && iterator !== null) {
      for (const item of init as Iterable<Iterable<unknown>>) {
        const pair = typeof item === "object" && item !== null ? [...item] : [];
        if (pair.length !== 2) throw new TypeError("An element of the sequence is not a pair of name and value");
        this.append(pair[0] as string, pair[1] as string);
      }
      return;
    }
    for (const key of Reflect.ownKeys(init)) {
      if (!Object.prototype.propertyIsEnumerable.call(init, key)) continue;
      this.append(key as string, (init as Record<string | symbol, unknown>)[key] as string);
    }
  }

  append(name: string, value: string): void {
    need(arguments.length, 2, "Headers.append");
    const key = headerName(name);
    const text = headerValue(value);
    this.#mutate();
    this.#append(key, text);
  }
  delete(name: string): void {
    need(arguments.length, 1, "Headers.delete");
    const key = headerName(name);
    this.#mutate();
    this.#map.delete(key);
  }
  get(name: string): string | null {
    need(arguments.length, 1, "Headers.get");
    const value = this.#map.get(headerName(name));
    return value === undefined ? null : typeof value === "string" ? value : value.join(", ");
  }
  getSetCookie(): string[] {
    const value = this.#map.get("set-cookie");
    return value === undefined ? [] : typeof value === "string" ? [value] : [...value];
  }
  /** Workers' own, from before there was `getSetCookie`. */
  getAll(name: string): string[] {
    need(arguments.length, 1, "Headers.getAll");
    if (headerName(name) !== "set-cookie") throw new TypeError(`Headers.getAll is for Set-Cookie only, not for: ${name}`);
    return this.getSetCookie();
  }
  has(name: string): boolean {
    need(arguments.length, 1, "Headers.has");
    return this.#map.has(headerName(name));
  }
  set(name: string, value: string): void {
    need(arguments.length, 2, "Headers.set");
    const key = headerName(name);
    const text = headerValue(value);
    this.#mutate();
    this.#map.set(key, text);
  }
  forEach(callback: (value: string, name: string, headers: Headers) => unknown, thisArg: unknown = undefined): void {
    forEachPair(this, (i) => this.#entries()[i], callback, thisArg);
  }
  keys(): IteratorObject<string, undefined> {
    return iterate((i) => this.#entries()[i], "keys");
  }
  values(): IteratorObject<string, undefined> {
    return iterate((i) => this.#entries()[i], "values");
  }
  entries(): IteratorObject<[string, string], undefined> {
    return iterate((i) => this.#entries()[i], "entries");
  }
  declare [Symbol.iterator]: () => IteratorObject<[string, string], undefined>;

  #append(name: string, value: string): void {
    const old = this.#map.get(name);
    if (old === undefined) this.#map.set(name, value);
    else if (typeof old === "string") this.#map.set(name, [old, value]);
    else old.push(value);
  }
  #mutate(): void {
    if (this.#isImmutable) throw new TypeError("These headers cannot be changed: make a copy with new Headers(…)");
    this.#sorted = undefined;
  }
  /** The standard's "sort and combine". */
  #entries(): [string, string][] {
    if (this.#sorted) return this.#sorted;
    const entries: [string, string][] = [];
    for (const name of [...this.#map.keys()].sort()) {
      const value = this.#map.get(name) as string | string[];
      if (typeof value === "string") entries.push([name, value]);
      else if (name !== "set-cookie") entries.push([name, value.join(", ")]);
      else for (const cookie of value) entries.push([name, cookie]);
    }
    return (this.#sorted = entries);
  }
}
describe(Headers, "Headers");
Object.defineProperties(Headers.prototype, {
  [Symbol.iterator]: { value: Headers.prototype.entries, writable: true, configurable: true },
  [inspected]: {
    value(this: Headers) {
      return Object.fromEntries(this);
    },
  },
});

export {
  /** Headers from a flat list of names and values that need no validation. */
  make as makeHeaders,
  /** Names and values in turn; what was appended several times comes several times. */
  flatten as flattenHeaders,
  setIfMissing as setHeaderIfMissing,
  copy as copyHeaders,
  freeze as freezeHeaders,
};
