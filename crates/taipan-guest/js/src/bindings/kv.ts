/** Key-value namespaces. */
import type { FieldIn, FieldOut } from "../host";
import type { WebInternals } from "../web/index";
import { ReadableStream } from "../web/streams";
import { bytesOf, describe, usv } from "../web/webidl";
import type { Access } from "./access";
import { readable, upload } from "./blobs";

type ValueType = "text" | "json" | "arrayBuffer" | "stream";
type GetOptions = ValueType | { type?: ValueType; cacheTtl?: number };

interface PutOptions {
  expiration?: number;
  expirationTtl?: number;
  metadata?: unknown;
}

interface ListOptions {
  prefix?: string | null;
  limit?: number | null;
  cursor?: string | null;
}

interface ListKey {
  name: string;
  expiration?: number;
  metadata?: unknown;
}

interface Found {
  value: unknown;
  metadata: unknown;
}

const parse = (json: FieldOut | undefined): unknown => (typeof json === "string" ? JSON.parse(json) : null);

function typeOf(options: GetOptions | undefined): ValueType {
  const type = (typeof options === "string" ? options : options?.type) ?? "text";
  if (!["text", "json", "arrayBuffer", "stream"].includes(type)) {
    throw new TypeError(`The type of a value is "text", "json", "arrayBuffer" or "stream", not ${JSON.stringify(type)}`);
  }
  return type;
}

/** When an entry ends, as two fields. */
function endOf(options: PutOptions | undefined): [string | null, number | null] {
  if (options?.expirationTtl !== undefined && options.expirationTtl !== null) return ["after", Number(options.expirationTtl)];
  if (options?.expiration !== undefined && options.expiration !== null) return ["at", Number(options.expiration)];
  return [null, null];
}

export class KVNamespace {
  #access: Access;

  constructor(access: Access, _web: WebInternals) {
    this.#access = access;
  }

  async get(key: string | string[], options?: GetOptions): Promise<unknown> {
    if (Array.isArray(key)) return this.#many(key, options, found => found?.value ?? null);
    return (await this.#found(usv(key), typeOf(options))).value;
  }

  async getWithMetadata(key: string | string[], options?: GetOptions): Promise<unknown> {
    if (Array.isArray(key)) return this.#many(key, options, found => found ?? { value: null, metadata: null });
    return { ...(await this.#found(usv(key), typeOf(options))), cacheStatus: null };
  }

  async put(key: string, value: unknown, options?: PutOptions): Promise<void> {
    const { ask } = this.#access;
    let field: FieldIn;
    if (value instanceof ReadableStream) {
      field = await upload(this.#access, value as ReadableStream<unknown>);
    } else if (typeof value === "string") {
      field = usv(value);
    } else {
      field = bytesOf(value);
      if (!field) throw new TypeError("A value is a string, an ArrayBuffer, a view of one, or a ReadableStream");
    }
    const metadata = options?.metadata;
    const json = metadata === undefined || metadata === null ? null : JSON.stringify(metadata);
    await ask("kv.put", usv(key), field, json, ...endOf(options));
  }

  async delete(key: string | string[]): Promise<void> {
    await this.#access.ask("kv.delete", ...(Array.isArray(key) ? key.map(usv) : [usv(key)]));
  }

  async list(options?: ListOptions): Promise<unknown> {
    const { prefix, limit, cursor } = options ?? {};
    const [next, ...fields] = await this.#access.ask("kv.list", usv(prefix ?? ""), limit ?? null, cursor ?? null);
    const keys: ListKey[] = [];
    for (let i = 0; i < fields.length; i += 3) {
      const key: ListKey = { name: fields[i] as string };
      if (fields[i + 1] !== null) key.expiration = fields[i + 1] as number;
      if (fields[i + 2] !== null) key.metadata = parse(fields[i + 2]);
      keys.push(key);
    }
    const isComplete = next === null || next === undefined;
    return { keys, list_complete: isComplete, ...(isComplete ? {} : { cursor: next }), cacheStatus: null };
  }

  async #found(key: string, type: ValueType): Promise<Found> {
    if (type === "stream") {
      const [blob, , metadata] = await this.#access.ask("kv.open", key);
      return { value: blob === undefined ? null : readable(this.#access, blob as number), metadata: parse(metadata) };
    }
    const fields = await this.#access.ask("kv.get", key, type === "arrayBuffer" ? "bytes" : "text");
    if (!fields.length) return { value: null, metadata: null };
    const value = type === "json" ? JSON.parse(fields[0] as string) : fields[0];
    return { value, metadata: parse(fields[1]) };
  }

  async #many(keys: string[], options: GetOptions | undefined, pick: (found: Found | null) => unknown): Promise<Map<string, unknown>> {
    const type = typeOf(options);
    if (type !== "text" && type !== "json") throw new TypeError(`Several keys can be read as "text" or "json", not "${type}"`);
    const fields = await this.#access.ask("kv.many", ...keys.map(usv));
    const found = new Map<string, unknown>();
    keys.forEach((key, i) => {
      const text = fields[2 * i];
      const value = typeof text === "string" && type === "json" ? JSON.parse(text) : text;
      found.set(key, pick(typeof text === "string" ? { value, metadata: parse(fields[2 * i + 1]) } : null));
    });
    return found;
  }
}
describe(KVNamespace, "KvNamespace");

/** Python asks for the other operations itself. */
export function kvForPython(access: Access): object {
  const { blobs } = access;
  return {
    begin: blobs.begin,
    write: blobs.write,
    read: blobs.read,
    drop: blobs.drop,
    stream: (blob: number) => readable(access, blob),
    upload: (stream: ReadableStream<unknown>, blob: number) => upload(access, stream, blob),
  };
}
