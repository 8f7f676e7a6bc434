/** What Web IDL asks of every interface and conversion, so that the classes here can be ordinary classes. */

export type BufferSource = ArrayBuffer | ArrayBufferView;

/** Any class, for its statics and prototype. */
export type Interface = abstract new (...args: never[]) => object;

/** USVString: lone surrogates become U+FFFD. */
export function usv(value: unknown): string {
  return `${value as string}`.toWellFormed();
}

/** ByteString: one byte per character. */
export function byteString(value: unknown, what: string): string {
  const text = `${value as string}`;
  if (/[^\x00-\xff]/.test(text)) throw new TypeError(`${what} has a character above U+00FF: ${text}`);
  return text;
}

/** Throws unless a call had at least `least` arguments. */
export function need(given: number, least: number, what: string): void {
  if (given < least)
    throw new TypeError(`${what} needs ${least} argument${least > 1 ? "s" : ""}, but only ${given} given`);
}

const NO_BYTES = new Uint8Array();

/** A view of the bytes of a buffer source, of which a detached one has none; undefined for anything else. */
export function bytesOf(value: unknown): Uint8Array<ArrayBuffer> | undefined {
  if (ArrayBuffer.isView(value) ? (value.buffer as ArrayBuffer).detached : value instanceof ArrayBuffer && value.detached) return NO_BYTES;
  if (value instanceof Uint8Array) return value as Uint8Array<ArrayBuffer>;
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength);
  }
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (typeof SharedArrayBuffer === "function" && value instanceof SharedArrayBuffer) {
    return new Uint8Array(value as unknown as ArrayBuffer);
  }
  return undefined;
}

/**
 * A dictionary argument: undefined and null are empty, other primitives an error. A Map, which would be an empty one by the
 * letter, stands for its entries: Python's dicts become Maps on their way.
 */
export function dictionary<T extends object>(value: T | null | undefined, what: string): Partial<T> {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" && typeof value !== "function") throw new TypeError(`${what} is not an object`);
  return value instanceof Map ? (Object.fromEntries(value) as Partial<T>) : value;
}

/** Makes a class an interface: members enumerable, with a class string, and named as it is (bundlers rename classes). */
export function describe(cls: Interface, name: string): void {
  const prototype = cls.prototype as object;
  Object.defineProperty(cls, "name", { value: name, configurable: true });
  for (const target of [prototype, cls]) {
    for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(target))) {
      if (key === "constructor" || (target === cls && ["prototype", "name", "length"].includes(key))) continue;
      Object.defineProperty(target, key, { ...property, enumerable: true });
    }
  }
  Object.defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true });
}

/** Constants such as `Event.AT_TARGET`, on the interface and its prototype. */
export function constants(cls: Interface, values: Record<string, number>): void {
  for (const [key, value] of Object.entries(values)) {
    for (const target of [cls, cls.prototype as object])
      Object.defineProperty(target, key, { value, enumerable: true });
  }
}

const ITERATOR_PROTOTYPE = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())) as object;

type Kind = "keys" | "values" | "entries";
type PairAt<V> = (index: number) => readonly [string, V] | undefined;

/**
 * The factory of an interface's iterators. `at` is asked anew for each step, as the standard wants: a change during
 * iteration shows.
 */
export function pairIterators<V>(interfaceName: string) {
  class PairIterator {
    #at: PairAt<V>;
    #kind: Kind;
    #index = 0;
    constructor(at: PairAt<V>, kind: Kind) {
      this.#at = at;
      this.#kind = kind;
    }
    next(): IteratorResult<unknown> {
      const pair = this.#at(this.#index);
      if (!pair) return { value: undefined, done: true };
      this.#index++;
      const value = this.#kind === "keys" ? pair[0] : this.#kind === "values" ? pair[1] : [pair[0], pair[1]];
      return { value, done: false };
    }
  }
  describe(PairIterator, `${interfaceName} Iterator`);
  Reflect.deleteProperty(PairIterator.prototype, "constructor");
  Object.setPrototypeOf(PairIterator.prototype, ITERATOR_PROTOTYPE);
  return <T>(at: PairAt<V>, kind: Kind) => new PairIterator(at, kind) as unknown as IteratorObject<T, undefined>;
}

/** `forEach` of an iterable interface. */
export function forEachPair<V, This>(
  self: This,
  at: PairAt<V>,
  callback: (value: V, name: string, self: This) => unknown,
  thisArg: unknown,
): void {
  if (typeof callback !== "function") throw new TypeError("The callback is not a function");
  for (let i = 0, pair; (pair = at(i)); i++) callback.call(thisArg, pair[1], pair[0], self);
}
