/** Buckets. What travels is written down in `taipan-bindings/src/ops/r2.rs`. */
import type { FieldIn } from "../host";
import type { Headers } from "../web/index";
import { ReadableStream } from "../web/streams";
import { bytesOf, describe, usv } from "../web/webidl";
import type { Access } from "./access";
import { dropWith, keep, readable, upload } from "./blobs";

interface Sent {
  key: string;
  version: string;
  size: number;
  etag: string;
  httpEtag: string;
  uploaded: number;
  httpMetadata: Record<string, string>;
  customMetadata: Record<string, string>;
  checksums: Record<string, string>;
  range?: { offset: number; length: number };
  storageClass: string;
}

type Options = Record<string, any>;

/** Members of `httpMetadata`, and the headers that they are. */
const HTTP: [string, string][] = [
  ["contentType", "content-type"],
  ["contentLanguage", "content-language"],
  ["contentDisposition", "content-disposition"],
  ["contentEncoding", "content-encoding"],
  ["cacheControl", "cache-control"],
  ["cacheExpiry", "expires"],
];

const isHeaders = (value: any): value is Headers => typeof value?.get === "function" && typeof value?.has === "function";
const milliseconds = (time: any): number | undefined => (time === undefined || time === null ? undefined : +new Date(time));

function httpMetadata(given: any): Record<string, string> {
  const metadata: Record<string, string> = {};
  for (const [name, header] of HTTP) {
    const value = isHeaders(given) ? given.get(header) : given?.[name];
    if (value !== undefined && value !== null) {
      metadata[name] = name === "cacheExpiry" ? new Date(value as string).toISOString() : `${value as string}`;
    }
  }
  return metadata;
}

function metadata(options: Options | undefined): string {
  const custom: Record<string, string> = {};
  for (const [name, value] of Object.entries(options?.["customMetadata"] ?? {})) custom[name] = `${value as string}`;
  return JSON.stringify({ httpMetadata: httpMetadata(options?.["httpMetadata"]), customMetadata: custom });
}

function conditions(given: any): string | null {
  if (given === undefined || given === null) return null;
  if (!isHeaders(given)) {
    const { uploadedBefore, uploadedAfter, ...etags } = given;
    return JSON.stringify({ ...etags, uploadedBefore: milliseconds(uploadedBefore), uploadedAfter: milliseconds(uploadedAfter) });
  }
  const list = (name: string) => given.get(name)?.split(",");
  return JSON.stringify({
    etagMatches: list("if-match"),
    etagDoesNotMatch: list("if-none-match"),
    uploadedBefore: milliseconds(given.get("if-unmodified-since")),
    uploadedAfter: milliseconds(given.get("if-modified-since")),
    secondsGranularity: true,
  });
}

function range(given: any): string | null {
  if (given === undefined || given === null) return null;
  if (!isHeaders(given)) return JSON.stringify(given);
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(given.get("range") ?? "") ?? [];
  if (!first && !last) return null;
  if (!first) return JSON.stringify({ suffix: Number(last) });
  return JSON.stringify({ offset: Number(first), length: last ? Number(last) - Number(first) + 1 : undefined });
}

const hex = (bytes: Uint8Array) => Array.from(bytes, byte => byte.toString(16).padStart(2, "0")).join("");

function checksum(options: Options | undefined): [string | null, string | null] {
  for (const name of ["md5", "sha1", "sha256", "sha384", "sha512"]) {
    const value = options?.[name];
    if (value === undefined || value === null) continue;
    const bytes = bytesOf(value);
    return [name, bytes ? hex(bytes) : `${value as string}`];
  }
  return [null, null];
}

async function sent(access: Access, value: unknown): Promise<FieldIn> {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return usv(value);
  const bytes = bytesOf(value);
  if (bytes) return bytes;
  const stream = value instanceof ReadableStream ? value : typeof (value as any).stream === "function" ? (value as any).stream() : null;
  if (!stream) throw new TypeError("A value is a string, bytes, a Blob or a ReadableStream");
  const [blob] = await access.ask("r2.begin");
  return upload(access, stream as ReadableStream<unknown>, blob as number);
}

export class R2Object {
  readonly key!: string;
  readonly version!: string;
  readonly size!: number;
  readonly etag!: string;
  readonly httpEtag!: string;
  readonly uploaded!: Date;
  readonly httpMetadata!: Record<string, unknown>;
  readonly customMetadata!: Record<string, string>;
  readonly checksums!: Record<string, unknown>;
  readonly range?: { offset: number; length: number };
  readonly storageClass!: string;

  constructor(json: string) {
    const { uploaded, httpMetadata, checksums, ...rest } = JSON.parse(json) as Sent;
    const expiry = httpMetadata["cacheExpiry"];
    Object.assign(this, rest, {
      uploaded: new Date(uploaded),
      httpMetadata: expiry ? { ...httpMetadata, cacheExpiry: new Date(expiry) } : httpMetadata,
      checksums: {
        ...Object.fromEntries(Object.entries(checksums).map(([name, text]) => [name, Uint8Array.from(text.match(/../g) ?? [], two => parseInt(two, 16)).buffer])),
        toJSON: () => checksums,
      },
    });
  }

  writeHttpMetadata(headers: Headers): void {
    for (const [name, header] of HTTP) {
      const value = this.httpMetadata[name];
      if (value !== undefined) headers.set(header, value instanceof Date ? value.toUTCString() : `${value as string}`);
    }
  }
}
describe(R2Object, "R2Object");

export class R2ObjectBody extends R2Object {
  #access: Access;
  #blob: number;
  /** Its bytes, once somebody has asked for them: a stream is not free before the collector finds it. */
  #bytes: any;

  constructor(json: string, access: Access, blob: number) {
    super(json);
    this.#access = access;
    this.#blob = blob;
    dropWith(this, access, blob);
  }

  get #response(): any {
    if (!this.#bytes) {
      keep(this);
      const headers = new (globalThis as any).Headers();
      this.writeHttpMetadata(headers);
      this.#bytes = new (globalThis as any).Response(readable(this.#access, this.#blob), { headers });
    }
    return this.#bytes;
  }
  get body(): ReadableStream<unknown> {
    return this.#response.body;
  }
  get bodyUsed(): boolean {
    return this.#bytes?.bodyUsed ?? false;
  }
  text(): Promise<string> {
    return this.#response.text();
  }
  json(): Promise<unknown> {
    return this.#response.json();
  }
  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#response.arrayBuffer();
  }
  bytes(): Promise<Uint8Array> {
    return this.#response.bytes();
  }
  blob(): Promise<unknown> {
    return this.#response.blob();
  }
}
describe(R2ObjectBody, "R2ObjectBody");

export class R2MultipartUpload {
  #access: Access;
  readonly key: string;
  readonly uploadId: string;

  constructor(access: Access, key: string, uploadId: string) {
    this.#access = access;
    this.key = key;
    this.uploadId = uploadId;
  }

  async uploadPart(partNumber: number, value: unknown): Promise<{ partNumber: number; etag: string }> {
    const [etag] = await this.#access.ask("r2.part", this.key, this.uploadId, partNumber, await sent(this.#access, value));
    return { partNumber, etag: etag as string };
  }

  async abort(): Promise<void> {
    await this.#access.ask("r2.abort", this.key, this.uploadId);
  }

  async complete(parts: { partNumber: number; etag: string }[]): Promise<R2Object> {
    const list = JSON.stringify(parts.map(part => [part.partNumber, part.etag]));
    const [object] = await this.#access.ask("r2.complete", this.key, this.uploadId, list);
    return new R2Object(object as string);
  }
}
describe(R2MultipartUpload, "R2MultipartUpload");

export class R2Bucket {
  #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  async head(key: string): Promise<R2Object | null> {
    const [object] = await this.#access.ask("r2.head", usv(key));
    return object === undefined ? null : new R2Object(object as string);
  }

  async get(key: string, options?: Options): Promise<R2Object | R2ObjectBody | null> {
    const [object, blob] = await this.#access.ask("r2.get", usv(key), conditions(options?.["onlyIf"]), range(options?.["range"]));
    if (object === undefined) return null;
    if (blob === undefined) return new R2Object(object as string);
    return new R2ObjectBody(object as string, this.#access, blob as number);
  }

  async put(key: string, value: unknown, options?: Options): Promise<R2Object | null> {
    const body = await sent(this.#access, value);
    const only = conditions(options?.["onlyIf"]);
    const [object] = await this.#access.ask("r2.put", usv(key), body, metadata(options), only, ...checksum(options));
    return object === undefined ? null : new R2Object(object as string);
  }

  async delete(keys: string | string[]): Promise<void> {
    await this.#access.ask("r2.delete", ...(Array.isArray(keys) ? keys.map(usv) : [usv(keys)]));
  }

  async list(options?: Options): Promise<unknown> {
    const [json] = await this.#access.ask("r2.list", JSON.stringify(options ?? {}));
    const list = JSON.parse(json as string) as { objects: Sent[] };
    return { ...list, objects: list.objects.map(object => new R2Object(JSON.stringify(object))) };
  }

  async createMultipartUpload(key: string, options?: Options): Promise<R2MultipartUpload> {
    const [id] = await this.#access.ask("r2.create", usv(key), metadata(options));
    return new R2MultipartUpload(this.#access, key, id as string);
  }

  resumeMultipartUpload(key: string, uploadId: string): R2MultipartUpload {
    return new R2MultipartUpload(this.#access, key, uploadId);
  }
}
describe(R2Bucket, "R2Bucket");

export function r2ForPython(access: Access): object {
  const { ask, blobs } = access;
  const one = async (...question: [string, ...FieldIn[]]) => (await ask(...question))[0];
  return {
    begin: () => one("r2.begin"),
    put: (...fields: FieldIn[]) => one("r2.put", ...fields),
    head: (key: string) => one("r2.head", key),
    /** The blob's number in a line, or an empty one, then the object. */
    async get(key: string, only: FieldIn, range: FieldIn) {
      const [object, blob] = await ask("r2.get", key, only, range);
      return object === undefined ? undefined : `${blob ?? ""}\n${object}`;
    },
    list: (options: string) => one("r2.list", options),
    delete: (keys: string) => one("r2.delete", ...(JSON.parse(keys) as string[])),
    create: (key: string, metadata: string) => one("r2.create", key, metadata),
    part: (...fields: FieldIn[]) => one("r2.part", ...fields),
    complete: (...fields: FieldIn[]) => one("r2.complete", ...fields),
    abort: (...fields: FieldIn[]) => one("r2.abort", ...fields),
    write: blobs.write,
    drop: blobs.drop,
    stream: (blob: number) => readable(access, blob),
    read: blobs.read,
    upload: (stream: ReadableStream<unknown>, blob: number) => upload(access, stream, blob),
  };
}
