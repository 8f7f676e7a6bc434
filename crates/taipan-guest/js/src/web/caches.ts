/** `caches`. The host keeps the responses, of all isolates of a Worker together, and knows how long. */
import { flattenHeaders, makeHeaders } from "./headers";
import { host, syncOp } from "./host";
import { Request } from "./request";
import { Response, bodyOfResponse } from "./response";
import { describe, dictionary, need } from "./webidl";

const matchOp = syncOp("cache.match");
const putOp = syncOp("cache.put");
const deleteOp = syncOp("cache.delete");

export interface CacheQueryOptions {
  ignoreMethod?: boolean;
}

const KEY = Symbol("Cache");

function requestOf(request: Request | string): Request {
  return request instanceof Request ? request : new Request(request);
}

/** URLs are the same when they differ in their fragments only. */
function urlOf(request: Request): string {
  const at = request.url.indexOf("#");
  return at < 0 ? request.url : request.url.slice(0, at);
}

export class Cache {
  #name: string;
  constructor(key: symbol | undefined = undefined, name: string = "") {
    if (key !== KEY) throw new TypeError("Illegal constructor: use caches.default or caches.open()");
    this.#name = name;
  }

  async match(request: Request | string, options: CacheQueryOptions | null = {}): Promise<Response | undefined> {
    need(arguments.length, 1, "match");
    const asked = requestOf(request);
    if (asked.method !== "GET" && asked.method !== "HEAD" && !dictionary(options, "The options").ignoreMethod) return undefined;
    const [status, statusText, body, ...headers] = matchOp(this.#name, urlOf(asked), ...flattenHeaders(asked.headers));
    if (status === undefined) return undefined;
    const content = asked.method === "HEAD" || body === null ? null : new Uint8Array(body as ArrayBuffer);
    return new Response(content, { status: status as number, statusText: statusText as string, headers: makeHeaders(headers as string[], false) });
  }

  async put(request: Request | string, response: Response): Promise<undefined> {
    need(arguments.length, 2, "put");
    const asked = requestOf(request);
    if (asked.method !== "GET") throw new TypeError(`Only responses to GET can be cached, not to ${asked.method}`);
    if (!(response instanceof Response)) throw new TypeError("What is put into a cache is not a Response");
    const { status, statusText } = response;
    const headers = flattenHeaders(response.headers);
    const body = bodyOfResponse(response);
    const content = body.isNull ? null : await body.read();
    const bytes = typeof content === "string" ? host.utf8Encode(content) : content;
    putOp(this.#name, urlOf(asked), status, statusText, bytes, ...flattenHeaders(asked.headers), null, ...headers);
    return undefined;
  }

  async delete(request: Request | string, options: CacheQueryOptions | null = {}): Promise<boolean> {
    need(arguments.length, 1, "delete");
    const asked = requestOf(request);
    if (asked.method !== "GET" && !dictionary(options, "The options").ignoreMethod) return false;
    return deleteOp(this.#name, urlOf(asked))[0] === 1;
  }
}
describe(Cache, "Cache");

export class CacheStorage {
  #default = new Cache(KEY as never);
  #named = new Map<string, Cache>();

  constructor(key: symbol | undefined = undefined) {
    if (key !== KEY) throw new TypeError("Illegal constructor: use caches");
  }
  get default(): Cache {
    return this.#default;
  }
  async open(name: string): Promise<Cache> {
    need(arguments.length, 1, "open");
    // No name is the same as the default one's.
    const key = `/${name}`;
    let cache = this.#named.get(key);
    if (!cache) this.#named.set(key, (cache = new Cache(KEY as never, key)));
    return cache;
  }
}
describe(CacheStorage, "CacheStorage");

export const caches = new CacheStorage(KEY as never);
