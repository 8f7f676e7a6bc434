/** FormData and its wire format, multipart/form-data. */
import { Blob, File, blobBytes, concat } from "./blob";
import { host } from "./host";
import { inspected } from "./inspect";
import { describe, forEachPair, need, pairIterators, usv } from "./webidl";

export type FormValue = string | File;
type Pair = [name: string, value: FormValue];

const iterate = pairIterators<FormValue>("FormData");

let make!: (pairs: Pair[]) => FormData;

function formValue(value: unknown, filename: string | undefined): FormValue {
  if (!(value instanceof Blob)) {
    if (filename !== undefined) throw new TypeError("Only a Blob can be given a file name");
    return usv(value);
  }
  if (value instanceof File && filename === undefined) return value;
  const name = filename ?? (value instanceof File ? value.name : "blob");
  const lastModified = value instanceof File ? { lastModified: value.lastModified } : {};
  return new File([value], name, { type: value.type, ...lastModified });
}

export class FormData {
  #pairs: Pair[] = [];

  static {
    make = (pairs) => {
      const form = new FormData();
      form.#pairs = pairs;
      return form;
    };
  }

  constructor(form: undefined = undefined) {
    if (form !== undefined) throw new TypeError("There are no HTML forms here: FormData takes no argument");
  }
  append(name: string, value: unknown, filename: string | undefined = undefined): void {
    need(arguments.length, 2, "FormData.append");
    this.#pairs.push([usv(name), formValue(value, filename === undefined ? undefined : usv(filename))]);
  }
  delete(name: string): void {
    need(arguments.length, 1, "FormData.delete");
    const key = usv(name);
    this.#pairs = this.#pairs.filter(([n]) => n !== key);
  }
  get(name: string): FormValue | null {
    need(arguments.length, 1, "FormData.get");
    const key = usv(name);
    return this.#pairs.find(([n]) => n === key)?.[1] ?? null;
  }
  getAll(name: string): FormValue[] {
    need(arguments.length, 1, "FormData.getAll");
    const key = usv(name);
    return this.#pairs.filter(([n]) => n === key).map(([, value]) => value);
  }
  has(name: string): boolean {
    need(arguments.length, 1, "FormData.has");
    const key = usv(name);
    return this.#pairs.some(([n]) => n === key);
  }
  set(name: string, value: unknown, filename: string | undefined = undefined): void {
    need(arguments.length, 2, "FormData.set");
    const key = usv(name);
    const pair: Pair = [key, formValue(value, filename === undefined ? undefined : usv(filename))];
    const first = this.#pairs.findIndex(([n]) => n === key);
    if (first < 0) this.#pairs.push(pair);
    else this.#pairs = this.#pairs.filter(([n], i) => i <= first || n !== key).with(first, pair);
  }
  forEach(callback: (value: FormValue, name: string, form: FormData) => unknown, thisArg: unknown = undefined): void {
    forEachPair(this, (i) => this.#pairs[i], callback, thisArg);
  }
  keys(): IteratorObject<string, undefined> {
    return iterate((i) => this.#pairs[i], "keys");
  }
  values(): IteratorObject<FormValue, undefined> {
    return iterate((i) => this.#pairs[i], "values");
  }
  entries(): IteratorObject<Pair, undefined> {
    return iterate((i) => this.#pairs[i], "entries");
  }
  declare [Symbol.iterator]: () => IteratorObject<Pair, undefined>;
}
describe(FormData, "FormData");
Object.defineProperties(FormData.prototype, {
  [Symbol.iterator]: { value: FormData.prototype.entries, writable: true, configurable: true },
  [inspected]: {
    value(this: FormData) {
      return Object.fromEntries(this);
    },
  },
});

const escapeName = (name: string) => name.replaceAll("\n", "%0A").replaceAll("\r", "%0D").replaceAll('"', "%22");
const normalizeLines = (text: string) => text.replace(/\r\n?|\n/g, "\r\n");

/** A form as multipart/form-data, with the content type that names the boundary. */
export function serializeMultipart(form: FormData): { bytes: Uint8Array; type: string } {
  const random = new Uint8Array(16);
  host.random(random);
  const boundary = `----formdata-${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  const chunks: Uint8Array[] = [];
  const text = (s: string) => chunks.push(new Uint8Array(host.utf8Encode(s)));
  for (const [name, value] of form) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(normalizeLines(name))}"`;
    if (typeof value === "string") {
      text(`${head}\r\n\r\n${normalizeLines(value)}\r\n`);
    } else {
      const type = value.type || "application/octet-stream";
      text(`${head}; filename="${escapeName(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`);
      chunks.push(blobBytes(value));
      text("\r\n");
    }
  }
  text(`--${boundary}--\r\n`);
  return { bytes: concat(chunks), type: `multipart/form-data; boundary=${boundary}` };
}

/** Bytes of one part's headers; what is longer is an attack. */
const MAX_HEAD = 16384;

/** Where `needle` begins in `bytes` at or after `from`; −1 when it does not. */
function find(bytes: Uint8Array, needle: Uint8Array, from: number): number {
  const first = needle[0] as number;
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let n = 1;
    while (n < needle.length && bytes[at + n] === needle[n]) n++;
    if (n === needle.length) return at;
  }
  return -1;
}

function malformed(why: string): TypeError {
  return new TypeError(`The body is not valid multipart/form-data: ${why}`);
}

/** Reads multipart/form-data. */
export function parseMultipart(bytes: Uint8Array, boundary: string): FormData {
  const ascii = (s: string) => new Uint8Array(host.utf8Encode(s));
  // The first delimiter has no line break of its own before it.
  const delimiter = ascii(`\r\n--${boundary}`);
  const blank = ascii("\r\n\r\n");
  const pairs: Pair[] = [];
  const start = find(bytes, delimiter.subarray(2), 0);
  if (start < 0) throw malformed("the boundary is missing");
  let at = start + delimiter.length - 2;
  for (;;) {
    if (bytes[at] === 0x2d && bytes[at + 1] === 0x2d) return make(pairs);
    while (bytes[at] === 0x20 || bytes[at] === 0x09) at++;
    if (bytes[at] !== 0x0d || bytes[at + 1] !== 0x0a) throw malformed("a boundary is not followed by a line break");
    // From the line break on, so that a part without headers is found too.
    const headEnd = find(bytes, blank, at);
    const end = headEnd < 0 ? -1 : find(bytes, delimiter, headEnd + 2);
    if (end < 0) throw malformed("a part has no end");
    if (headEnd - at > MAX_HEAD) throw malformed(`a part's headers are longer than ${MAX_HEAD} bytes`);
    pairs.push(
      parsePart(
        host.utf8Decode(bytes.subarray(at + 2, headEnd)),
        bytes.subarray(headEnd + 4, Math.max(end, headEnd + 4)),
      ),
    );
    at = end + delimiter.length;
  }
}

function parsePart(head: string, content: Uint8Array): Pair {
  const headers = new Map<string, string>();
  for (const line of head.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  const disposition = headers.get("content-disposition") ?? "";
  const named = parameters(disposition);
  const name = named.get("name");
  if (!/^form-data\s*;/i.test(disposition) || name === undefined) throw malformed("a part has no name");
  const filename = named.get("filename");
  if (filename === undefined) {
    const text = host.utf8Decode(content);
    return [name, text.charCodeAt(0) === 0xfeff ? text.slice(1) : text];
  }
  return [name, new File([content], filename, { type: headers.get("content-type") ?? "text/plain" })];
}

/**
 * The parameters of Content-Disposition, by lower-case name. Browsers write %22, %0D and %0A for what would break the
 * quotes and leave backslashes alone; other clients write \" for a quote, so a value ends at a quote with nothing
 * behind it.
 */
function parameters(disposition: string): Map<string, string> {
  const found = new Map<string, string>();
  const pattern = /\s*;\s*([^\s;="]+)=(?:"((?:[^"]|"(?!\s*(?:;|$)))*)"|([^;\s"]*))/gy;
  pattern.lastIndex = disposition.search(/;|$/);
  for (const [, name = "", quoted, plain = ""] of disposition.matchAll(pattern)) {
    const text = quoted?.replaceAll('\\"', '"') ?? plain;
    found.set(
      name.toLowerCase(),
      text.replace(/%(0A|0D|22)/gi, (escape) => decodeURIComponent(escape)),
    );
  }
  return found;
}

export { make as formDataFrom };
