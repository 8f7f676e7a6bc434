/**
 * Values as bytes, for what leaves the isolate: everything that `structuredClone` copies, except what belongs to one isolate.
 *
 * ```text
 * length of the JSON: u32le │ JSON │ bytes …
 * ```
 * The JSON is a tree. Strings, finite numbers, booleans and null are themselves; everything else is an object with one key,
 * which says what it is. Bytes stand behind the JSON, one after the other. An object that occurs again is a reference to the first
 * time, so cycles come back as cycles.
 */
import { TextDecoder } from "./encoding";
import { host } from "./host";
import { bytesOf } from "./webidl";

/** How deep values may be: the reader calls itself for each level. */
const DEEPEST = 200;

/** What to do with what is not data. Gives what stands for it in the tree, or undefined. */
export type Outside = (value: object) => unknown;
export type Inside = (standing: unknown) => unknown;

const ERRORS: Record<string, ErrorConstructor> = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

function refuse(value: unknown): never {
  const what = typeof value === "object" || typeof value === "function" ? (value?.constructor?.name ?? "object") : typeof value;
  throw new DOMException(`Not a value that can leave the Worker: ${what}`, "DataCloneError");
}

/** One value's way out. A class: functions that call themselves would keep what they have seen until the collector runs. */
class Writer {
  readonly parts: Uint8Array[] = [];
  readonly #seen = new Map<object, number>();
  readonly #outside: Outside | undefined;

  constructor(outside: Outside | undefined) {
    this.#outside = outside;
  }

  tree(value: unknown, depth: number): unknown {
    if (depth > DEEPEST) throw new DOMException("The value is too deep", "DataCloneError");
    switch (typeof value) {
      case "string":
        return value.isWellFormed() ? value : { s: Array.from({ length: value.length }, (_, i) => value.charCodeAt(i)) };
      case "boolean":
        return value;
      case "number":
        return Number.isFinite(value) && !Object.is(value, -0) ? value : { n: Object.is(value, -0) ? "-0" : String(value) };
      case "undefined":
        return { u: 0 };
      case "bigint":
        return { i: String(value) };
      case "symbol":
        return refuse(value);
    }
    if (value === null || value === undefined) return null;
    const known = this.#seen.get(value);
    if (known !== undefined) return { r: known };
    const standing = this.#outside?.(value);
    if (standing !== undefined) return { x: standing };
    if (typeof value === "function") return refuse(value);
    this.#seen.set(value, this.#seen.size);
    const down = (item: unknown) => this.tree(item, depth + 1);
    if (Array.isArray(value)) return { a: Array.from(value, down) };
    if (value instanceof Date) return { d: value.getTime() };
    if (value instanceof Map) return { m: [...value].map(([key, item]) => [down(key), down(item)]) };
    if (value instanceof Set) return { e: [...value].map(down) };
    if (value instanceof RegExp) return { g: [value.source, value.flags] };
    if (value instanceof Error) {
      const own = Object.entries(value).filter(([name]) => !["name", "message", "stack", "cause"].includes(name));
      const extra = own.map(([name, item]) => [name, down(item)]);
      const cause = value.cause === undefined ? [] : [down(value.cause)];
      return { E: [`${value.name}`, `${value.message}`, extra, ...cause] };
    }
    const bytes = bytesOf(value);
    if (bytes) {
      this.parts.push(bytes);
      const kind = ArrayBuffer.isView(value) ? value.constructor.name : "ArrayBuffer";
      return { b: [kind, bytes.byteLength] };
    }
    const prototype = Object.getPrototypeOf(value) as object | null;
    // Objects of other contexts do not occur: there is one.
    if (prototype !== Object.prototype && prototype !== null) return refuse(value);
    return { o: Object.entries(value).map(([key, item]) => [key, down(item)]) };
  }
}

export function serialize(value: unknown, outside?: Outside): Uint8Array {
  const writer = new Writer(outside);
  const json = new Uint8Array(host.utf8Encode(JSON.stringify(writer.tree(value, 0))));
  const length = writer.parts.reduce((sum, part) => sum + part.byteLength, 4 + json.byteLength);
  const all = new Uint8Array(length);
  new DataView(all.buffer).setUint32(0, json.byteLength, true);
  all.set(json, 4);
  let at = 4 + json.byteLength;
  for (const part of writer.parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

const VIEWS: Record<string, new (buffer: ArrayBuffer) => object> = {
  BigInt64Array,
  BigUint64Array,
  DataView,
  Float32Array,
  Float64Array,
  Int16Array,
  Int32Array,
  Int8Array,
  Uint16Array,
  Uint32Array,
  Uint8Array,
  Uint8ClampedArray,
};

const malformed = () => new DOMException("Not a value that was serialized", "DataCloneError");

/** One value's way in. A class for the same reason. */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #inside: Inside | undefined;
  readonly #seen: unknown[] = [];
  #at: number;

  constructor(bytes: Uint8Array, at: number, inside: Inside | undefined) {
    this.#bytes = bytes;
    this.#at = at;
    this.#inside = inside;
  }

  #note<T>(made: T): T {
    this.#seen.push(made);
    return made;
  }

  value(node: any): unknown {
    if (node === null || typeof node !== "object") return node;
    const [kind] = Object.keys(node);
    const of = node[kind as string];
    switch (kind) {
      case "s":
        return String.fromCharCode(...(of as number[]));
      case "n":
        return Number(of);
      case "u":
        return undefined;
      case "i":
        return BigInt(of as string);
      case "r":
        return this.#seen[of as number];
      case "x":
        return this.#inside?.(of);
      case "d":
        return this.#note(new Date(of as number));
      case "g":
        return this.#note(new RegExp(of[0], of[1]));
      case "a": {
        const list: unknown[] = this.#note([]);
        for (const item of of) list.push(this.value(item));
        return list;
      }
      case "m": {
        const map = this.#note(new Map());
        for (const [key, item] of of) map.set(this.value(key), this.value(item));
        return map;
      }
      case "e": {
        const set = this.#note(new Set());
        for (const item of of) set.add(this.value(item));
        return set;
      }
      case "E": {
        const [name, message, own, ...cause] = of;
        const known = Object.hasOwn(ERRORS, name) ? ERRORS[name] : undefined;
        const error = this.#note(known ? new known(message) : new Error(message));
        if (!known) Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
        for (const [key, item] of own) Object.defineProperty(error, key, { value: this.value(item), configurable: true, enumerable: true, writable: true });
        if (cause.length) error.cause = this.value(cause[0]);
        return error;
      }
      case "b": {
        const [view, size] = of as [string, number];
        if (this.#at + size > this.#bytes.byteLength) throw malformed();
        const buffer = this.#bytes.slice(this.#at, this.#at + size).buffer as ArrayBuffer;
        this.#at += size;
        if (view === "ArrayBuffer") return this.#note(buffer);
        const View = Object.hasOwn(VIEWS, view) ? VIEWS[view] : undefined;
        if (!View) throw malformed();
        return this.#note(new View(buffer));
      }
      case "o": {
        const object: Record<string, unknown> = this.#note({});
        for (const [key, item] of of) Object.defineProperty(object, key, { value: this.value(item), configurable: true, enumerable: true, writable: true });
        return object;
      }
    }
    throw malformed();
  }
}

export function deserialize(bytes: Uint8Array, inside?: Inside): unknown {
  if (bytes.byteLength < 4) throw malformed();
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const at = 4 + length;
  if (at > bytes.byteLength) throw malformed();
  return new Reader(bytes, at, inside).value(JSON.parse(new TextDecoder().decode(bytes.subarray(4, at))));
}
