/** URLSearchParams and the format it shares with forms, application/x-www-form-urlencoded. */
import { host } from "./host";
import { inspected } from "./inspect";
import { describe, forEachPair, need, pairIterators, usv } from "./webidl";

type Pair = [name: string, value: string];

function percentEncode(text: string): string {
  if (/^[\w*.-]*$/.test(text)) return text;
  return encodeURIComponent(text).replace(/%20|[!'()~]/g, (found) =>
    found === "%20" ? "+" : `%${found.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function percentDecode(text: string): string {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    // A stray % or bytes that are not UTF-8: byte by byte, then lossily.
    const bytes = new Uint8Array(host.utf8Encode(spaced));
    let length = 0;
    for (let i = 0; i < bytes.length; i++, length++) {
      const hex = bytes[i] === 0x25 ? String.fromCharCode(bytes[i + 1] ?? 0, bytes[i + 2] ?? 0) : "";
      const isEscape = /^[\da-f]{2}$/i.test(hex);
      bytes[length] = isEscape ? parseInt(hex, 16) : (bytes[i] as number);
      if (isEscape) i += 2;
    }
    return host.utf8Decode(bytes.subarray(0, length));
  }
}

export function parseForm(text: string): Pair[] {
  const pairs: Pair[] = [];
  for (const part of text.split("&")) {
    if (!part) continue;
    const equals = part.indexOf("=");
    pairs.push(
      equals < 0
        ? [percentDecode(part), ""]
        : [percentDecode(part.slice(0, equals)), percentDecode(part.slice(equals + 1))],
    );
  }
  return pairs;
}

function serializeForm(pairs: readonly (readonly [string, string])[]): string {
  return pairs.map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`).join("&");
}

const iterate = pairIterators<string>("URLSearchParams");

let link!: (search: string, update: (query: string) => void) => URLSearchParams;
let reload!: (params: URLSearchParams, search: string) => void;

export class URLSearchParams {
  #pairs: Pair[] = [];
  /** Tells the URL that these are the parameters of. */
  #update: ((query: string) => void) | undefined;

  static {
    link = (search, update) => {
      const params = new URLSearchParams(search);
      params.#update = update;
      return params;
    };
    reload = (params, search) => {
      params.#pairs = parseForm(search.slice(1));
    };
  }

  constructor(init: unknown = "") {
    if (typeof init === "function" || (typeof init === "object" && init !== null)) {
      const iterator = (init as { [Symbol.iterator]?: unknown })[Symbol.iterator];
      this.#pairs =
        iterator === undefined || iterator === null ? fromRecord(init) : fromPairs(init as Iterable<unknown>);
    } else {
      const text = usv(init);
      this.#pairs = parseForm(text.startsWith("?") ? text.slice(1) : text);
    }
  }

  get size(): number {
    return this.#pairs.length;
  }
  append(name: string, value: string): void {
    need(arguments.length, 2, "append");
    this.#pairs.push([usv(name), usv(value)]);
    this.#changed();
  }
  delete(name: string, value: string | undefined = undefined): void {
    need(arguments.length, 1, "delete");
    const key = usv(name);
    const only = value === undefined ? undefined : usv(value);
    this.#pairs = this.#pairs.filter(([n, v]) => n !== key || (only !== undefined && v !== only));
    this.#changed();
  }
  get(name: string): string | null {
    need(arguments.length, 1, "get");
    const key = usv(name);
    return this.#pairs.find(([n]) => n === key)?.[1] ?? null;
  }
  getAll(name: string): string[] {
    need(arguments.length, 1, "getAll");
    const key = usv(name);
    return this.#pairs.filter(([n]) => n === key).map(([, value]) => value);
  }
  has(name: string, value: string | undefined = undefined): boolean {
    need(arguments.length, 1, "has");
    const key = usv(name);
    const only = value === undefined ? undefined : usv(value);
    return this.#pairs.some(([n, v]) => n === key && (only === undefined || v === only));
  }
  set(name: string, value: string): void {
    need(arguments.length, 2, "set");
    const key = usv(name);
    const pair: Pair = [key, usv(value)];
    const first = this.#pairs.findIndex(([n]) => n === key);
    if (first < 0) this.#pairs.push(pair);
    else this.#pairs = this.#pairs.filter(([n], i) => i <= first || n !== key).with(first, pair);
    this.#changed();
  }
  sort(): void {
    this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.#changed();
  }
  toString(): string {
    return serializeForm(this.#pairs);
  }
  forEach(
    callback: (value: string, name: string, params: URLSearchParams) => unknown,
    thisArg: unknown = undefined,
  ): void {
    forEachPair(this, (i) => this.#pairs[i], callback, thisArg);
  }
  keys(): IteratorObject<string, undefined> {
    return iterate((i) => this.#pairs[i], "keys");
  }
  values(): IteratorObject<string, undefined> {
    return iterate((i) => this.#pairs[i], "values");
  }
  entries(): IteratorObject<Pair, undefined> {
    return iterate((i) => this.#pairs[i], "entries");
  }
  declare [Symbol.iterator]: () => IteratorObject<Pair, undefined>;

  #changed(): void {
    this.#update?.(serializeForm(this.#pairs));
  }
}
describe(URLSearchParams, "URLSearchParams");
Object.defineProperties(URLSearchParams.prototype, {
  [Symbol.iterator]: { value: URLSearchParams.prototype.entries, writable: true, configurable: true },
  [inspected]: {
    value(this: URLSearchParams) {
      return Object.fromEntries(this);
    },
  },
});

function fromPairs(init: Iterable<unknown>): Pair[] {
  return Array.from(init, (item) => {
    const isIterable = typeof item === "object" && item !== null && Symbol.iterator in item;
    const pair = isIterable ? [...(item as Iterable<unknown>)] : [];
    if (pair.length !== 2) throw new TypeError("An element of the sequence is not a pair of name and value");
    return [usv(pair[0]), usv(pair[1])];
  });
}

function fromRecord(init: object): Pair[] {
  const pairs = new Map<string, string>();
  for (const key of Reflect.ownKeys(init)) {
    if (!Object.prototype.propertyIsEnumerable.call(init, key)) continue;
    pairs.set(usv(key), usv((init as Record<string | symbol, unknown>)[key]));
  }
  return [...pairs];
}

export { link as linkParams, reload as reloadParams };
