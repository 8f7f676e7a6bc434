/**
 * What Request and Response have in common.
 *
 * Most bodies are a string or some bytes, made in one piece and read in one piece. Such a body never becomes a
 * stream, unless somebody asks for `.body`; nor does a request's body that is read whole from the network.
 */
import { Blob, blobBytes, blobFromBytes, concat, streamOf } from "./blob";
import { FormData, formDataFrom, parseMultipart, serializeMultipart } from "./formdata";
import type { Headers } from "./headers";
import { host } from "./host";
import { ReadableStream, TransformStream, exhaust, isDisturbed } from "./streams";
import { URLSearchParams, parseForm } from "./url-search-params";
import type { Interface } from "./webidl";
import { bytesOf, usv } from "./webidl";

/** Gives the next piece of a body from outside; null at its end. */
export interface PullSource {
  (): Promise<Uint8Array | null>;
  /** The rest is not wanted. */
  cancel?(): void;
  /** Gives the body away as the host knows it, by a number; undefined once some of it was pulled. */
  release?(): number | undefined;
  /** The bytes are not encoded: when they are answered with, they can be. */
  isPlain?: boolean;
  /** Has the host move all of it into a blob; undefined once some of it was pulled. */
  save?(blob: number): Promise<unknown> | undefined;
}

/** Streams of such bodies. */
const pulls = new WeakMap<ReadableStream<unknown>, PullSource>();

/** Where a stream that nobody has touched comes from, when that is the host. */
export function untouchedPull(stream: ReadableStream<unknown>): PullSource | undefined {
  return stream.locked || isDisturbed(stream) ? undefined : pulls.get(stream);
}

/** The body of a Request or Response. At most one of `source`, `pull` and `stream` holds what is left to read. */
export class Body {
  /** The body in one piece; shared by clones, therefore never changed. */
  source: null | string | Uint8Array = null;
  pull: PullSource | null = null;
  stream: ReadableStream<unknown> | null = null;
  /** In bytes, when it is known without reading. */
  length: number | null = null;
  #isUsed = false;

  static of(part: Partial<Pick<Body, "source" | "pull" | "stream" | "length">>): Body {
    return Object.assign(new Body(), part);
  }

  get isNull(): boolean {
    return this.source === null && !this.pull && !this.stream;
  }
  get isUsed(): boolean {
    return this.#isUsed || (this.stream !== null && isDisturbed(this.stream));
  }
  get isUnusable(): boolean {
    return this.isUsed || Boolean(this.stream?.locked);
  }

  /** Marks the body as read; an error if it was already. */
  use(): void {
    if (this.isUsed) throw new TypeError("The body has been read already: read it once, or clone() first");
    if (this.stream?.locked) throw new TypeError("The body's stream is locked to a reader");
    this.#isUsed = !this.isNull;
  }

  /** The body as a stream, which from now on is the only way to it. */
  toStream(): ReadableStream<unknown> | null {
    if (this.stream || this.isNull) return this.stream;
    if (this.#isUsed) {
      this.stream = streamOf(new Uint8Array());
      void this.stream.cancel();
    } else if (this.pull) {
      this.stream = streamFrom(this.pull);
    } else {
      this.stream = streamOf(typeof this.source === "string" ? encode(this.source) : (this.source as Uint8Array));
    }
    this.source = this.pull = null;
    return this.stream;
  }

  get #source(): PullSource | undefined {
    return this.pull ?? (this.stream ? pulls.get(this.stream) : undefined);
  }
  /** Whether the host has the body, and nobody has encoded it. */
  get isPlain(): boolean {
    return this.#source?.isPlain ?? false;
  }

  /** The host's number of the body, which has been read then; undefined when it is not the host's, or not whole. */
  release(): number | undefined {
    const pull = this.#source;
    if (!pull?.release || this.isUnusable) return undefined;
    const number = pull.release();
    if (number === undefined) return undefined;
    if (this.stream) exhaust(this.stream);
    this.#isUsed = true;
    this.pull = null;
    return number;
  }

  clone(): Body {
    if (this.isUnusable) throw new TypeError("The body has been read already, or is being read: it cannot be cloned");
    if (this.source !== null || this.isNull) return Body.of({ source: this.source, length: this.length });
    const [mine, theirs] = (this.toStream() as ReadableStream<unknown>).tee();
    this.stream = mine;
    return Body.of({ stream: theirs, length: this.length });
  }

  /** The body for another message; this one has been used then. */
  move(): Body {
    if (this.isNull) return new Body();
    if (this.isUnusable)
      throw new TypeError("The body has been read already, or is being read: it cannot be passed on");
    const moved = Body.of({ source: this.source, pull: this.pull, length: this.length });
    if (this.stream) {
      moved.pull = untouchedPull(this.stream) ?? null;
      // Whoever holds the stream must find it locked, so the other message gets the source, or what comes out of a pipe.
      if (moved.pull) exhaust(this.stream);
      else moved.stream = this.stream.pipeThrough(new TransformStream<unknown, unknown>());
    }
    this.#isUsed = true;
    return moved;
  }

  /** Everything, in the form it is there in. The bytes may be shared: callers copy before they give them away. */
  async read(): Promise<string | Uint8Array> {
    this.use();
    if (this.source !== null) return this.source;
    const chunks: Uint8Array[] = [];
    if (this.pull) {
      for (let chunk; (chunk = await this.pull());) chunks.push(chunk);
    } else if (this.stream) {
      const reader = this.stream.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        if (!(value instanceof Uint8Array)) {
          const error = new TypeError("The body's stream gave something that is not a Uint8Array");
          void reader.cancel(error).catch(() => undefined);
          throw error;
        }
        chunks.push(value);
      }
    }
    return chunks.length === 1 ? (chunks[0] as Uint8Array) : concat(chunks);
  }

  async readText(): Promise<string> {
    return asText(await this.read());
  }

  /** Bytes that are the caller's to keep. */
  async readBytes(): Promise<Uint8Array> {
    const isShared = this.source !== null;
    const data = await this.read();
    return typeof data === "string" ? encode(data) : isShared ? data.slice() : data;
  }
}

function asText(data: string | Uint8Array): string {
  const text = typeof data === "string" ? data : host.utf8Decode(data);
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

function encode(text: string): Uint8Array {
  return new Uint8Array(host.utf8Encode(text));
}

export function streamFrom(pull: PullSource): ReadableStream<Uint8Array> {
  const stream = new ReadableStream<Uint8Array>({
    type: "bytes",
    async pull(controller) {
      const chunk = await pull();
      if (chunk?.length) {
        controller.enqueue(chunk);
      } else if (!chunk) {
        controller.close();
        controller.byobRequest?.respond(0);
      } else {
        // Nothing enqueued means no further pull.
        await this.pull?.(controller);
      }
    },
    cancel: () => pull.cancel?.(),
  });
  pulls.set(stream, pull);
  return stream;
}

const TEXT = "text/plain;charset=UTF-8";

/** The fetch standard's "extract a body": what it holds and what type it says it is. */
export function extractBody(init: unknown): { body: Body; type: string | null } {
  if (init === null || init === undefined) return { body: new Body(), type: null };
  const whole = (source: string | Uint8Array, type: string | null) => ({
    body: Body.of({ source, length: typeof source === "string" ? null : source.length }),
    type,
  });
  if (typeof init === "string") return whole(usv(init), TEXT);
  if (init instanceof ReadableStream) {
    if (isDisturbed(init) || init.locked)
      throw new TypeError("The stream given as the body is locked or was read from");
    return { body: Body.of({ stream: init as ReadableStream<unknown> }), type: null };
  }
  if (init instanceof Blob) return whole(blobBytes(init), init.type || null);
  if (init instanceof URLSearchParams) {
    return whole(init.toString(), "application/x-www-form-urlencoded;charset=UTF-8");
  }
  if (init instanceof FormData) {
    const { bytes, type } = serializeMultipart(init);
    return whole(bytes, type);
  }
  const bytes = bytesOf(init);
  // A copy: the caller may change the bytes, and Python's memory moves under views.
  if (bytes) return whole(bytes.slice(), null);
  return whole(usv(init), TEXT);
}

export interface BodyMixin {
  readonly body: ReadableStream<unknown> | null;
  readonly bodyUsed: boolean;
  arrayBuffer(): Promise<ArrayBuffer>;
  blob(): Promise<Blob>;
  bytes(): Promise<Uint8Array>;
  formData(): Promise<FormData>;
  json(): Promise<unknown>;
  text(): Promise<string>;
}

async function readFormData(body: Body, contentType: string): Promise<FormData> {
  // What is no form has been read all the same, as the standard says.
  const data = await body.read();
  const [essence = ""] = contentType.split(";");
  switch (essence.trim().toLowerCase()) {
    case "application/x-www-form-urlencoded":
      // A byte order mark is a part of the first name.
      return formDataFrom(parseForm(typeof data === "string" ? data : host.utf8Decode(data)));
    case "multipart/form-data": {
      const boundary = /;\s*boundary=(?:"([^"]*)"|([^;\s]*))/i.exec(contentType);
      const name = boundary?.[1] ?? boundary?.[2];
      if (!name) throw new TypeError(`The content type names no boundary: ${contentType}`);
      return parseMultipart(typeof data === "string" ? encode(data) : data, name);
    }
    default:
      throw new TypeError(`Only a form can be read as form data, not this content type: ${contentType || "(none)"}`);
  }
}

/** Gives an interface the members of BodyMixin. `bodyOf` and `headersOf` throw for anything else. */
export function mixBody<T extends object>(
  cls: Interface,
  bodyOf: (self: T) => Body,
  headersOf: (self: T) => Headers,
): void {
  const mixin = {
    get body() {
      return bodyOf(this as unknown as T).toStream();
    },
    get bodyUsed() {
      return bodyOf(this as unknown as T).isUsed;
    },
    async arrayBuffer() {
      const { buffer, byteOffset, byteLength } = await bodyOf(this as unknown as T).readBytes();
      return byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
    },
    async blob() {
      const type = headersOf(this as unknown as T).get("content-type") ?? "";
      return blobFromBytes(await bodyOf(this as unknown as T).readBytes(), type);
    },
    async bytes() {
      return bodyOf(this as unknown as T).readBytes();
    },
    async formData() {
      return readFormData(bodyOf(this as unknown as T), headersOf(this as unknown as T).get("content-type") ?? "");
    },
    async json() {
      return JSON.parse(await bodyOf(this as unknown as T).readText()) as unknown;
    },
    async text() {
      return (await bodyOf(this as unknown as T).readText()).toWellFormed();
    },
  };
  Object.defineProperties(cls.prototype, Object.getOwnPropertyDescriptors(mixin));
}
