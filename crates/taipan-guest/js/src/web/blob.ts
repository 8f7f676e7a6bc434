/** Blob and File; their bytes are in memory, so everything but the interface is synchronous. */
import { host } from "./host";
import { inspected } from "./inspect";
import { ReadableStream } from "./streams";
import { bytesOf, describe, dictionary, need, usv } from "./webidl";

export interface BlobOptions {
  type?: string;
  endings?: "transparent" | "native";
}

let blobBytes!: (blob: Blob) => Uint8Array;
let fromBytes!: (bytes: Uint8Array, type: string) => Blob;

function normalizeType(type: unknown): string {
  const text = `${type as string}`;
  return /^[\x20-\x7e]*$/.test(text) ? text.toLowerCase() : "";
}

/** The parts, converted one after the other. */
function convert(parts: unknown): (string | Uint8Array)[] {
  if (typeof parts !== "object" || parts === null || !(Symbol.iterator in parts)) {
    throw new TypeError("The blob's parts are not a sequence");
  }
  return Array.from(parts as Iterable<unknown>, (part) => (part instanceof Blob ? blobBytes(part) : bytesOf(part) ?? usv(part)));
}

function join(parts: readonly (string | Uint8Array)[], isNative: boolean): Uint8Array {
  const encode = (text: string) => new Uint8Array(host.utf8Encode(isNative ? text.replace(/\r\n?/g, "\n") : text));
  return concat(parts.map((part) => (typeof part === "string" ? encode(part) : part)));
}

/** One fresh array with the bytes of all. */
export function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** A byte stream of one piece. The bytes are copied: the stream gives its buffers away. */
export function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: "bytes",
    start(controller) {
      if (bytes.length) controller.enqueue(bytes.slice());
      controller.close();
    },
  });
}

export class Blob {
  #bytes: Uint8Array;
  #type: string;

  static {
    blobBytes = (blob) => blob.#bytes;
    fromBytes = (bytes, type) => {
      const blob = new Blob();
      blob.#bytes = bytes;
      blob.#type = normalizeType(type);
      return blob;
    };
  }

  constructor(parts: Iterable<unknown> = [], options: BlobOptions | null = {}) {
    const converted = convert(parts);
    const given = dictionary(options, "The blob's options");
    const { endings: wanted } = given;
    const endings = wanted === undefined ? "transparent" : `${wanted}`;
    if (endings !== "transparent" && endings !== "native") throw new TypeError(`Not a kind of line endings: ${endings}`);
    const { type } = given;
    this.#bytes = join(converted, endings === "native");
    this.#type = type === undefined ? "" : normalizeType(type);
  }
  get size(): number {
    return this.#bytes.length;
  }
  get type(): string {
    return this.#type;
  }
  slice(start: number | undefined = undefined, end: number | undefined = undefined, type: string = ""): Blob {
    // Blobs never change, so a part of one can share its bytes.
    return fromBytes(this.#bytes.subarray(start, end), type);
  }
  stream(): ReadableStream<Uint8Array> {
    return streamOf(this.#bytes);
  }
  async text(): Promise<string> {
    const text = host.utf8Decode(this.#bytes);
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  }
  async arrayBuffer(): Promise<ArrayBuffer> {
    return this.#bytes.slice().buffer as ArrayBuffer;
  }
  async bytes(): Promise<Uint8Array> {
    return this.#bytes.slice();
  }
}
describe(Blob, "Blob");
Object.defineProperty(Blob.prototype, inspected, {
  value(this: Blob) {
    return { size: this.size, type: this.type };
  },
});

export class File extends Blob {
  #name: string;
  #lastModified: number;
  constructor(parts: Iterable<unknown>, name: string, options: (BlobOptions & { lastModified?: number }) | null = {}) {
    need(arguments.length, 2, "File");
    super(parts, options);
    this.#name = usv(name);
    const modified = options?.lastModified;
    this.#lastModified = modified === undefined ? Math.trunc(host.now(0)) : Math.trunc(Number(modified)) || 0;
  }
  get name(): string {
    return this.#name;
  }
  get lastModified(): number {
    return this.#lastModified;
  }
}
describe(File, "File");
Object.defineProperty(File.prototype, inspected, {
  value(this: File) {
    return { name: this.name, size: this.size, type: this.type, lastModified: this.lastModified };
  },
});

export { blobBytes, fromBytes as blobFromBytes };
