/** The objects of `env` that reach data. */
import type { Host } from "../host";
import type { WebInternals } from "../web/index";
import { type Access, type Declared, makeAccess } from "./access";
import { D1Database } from "./d1";
import { Fetcher, fetcherForPython } from "./fetcher";
import { AnalyticsEngineDataset, Ratelimit, analyticsForPython, rateLimitForPython } from "./measures";
import { WorkerQueue, queueForPython } from "./queue";
import { KVNamespace, kvForPython } from "./kv";
import { R2Bucket, r2ForPython } from "./r2";

import type { Rpc } from "./rpc";
import { makeService, serviceForPython } from "./service";

export { makeRpc } from "./rpc";
export { setImporting } from "./access";
export type { Declared } from "./access";

type Make = (access: Access, web: WebInternals, rpc: Rpc) => object;

/** Makes a kind's object for JavaScript, and the functions that its Python class stands on. */
const KINDS: Record<string, [Make, Make]> = {
  kv: [(access, web) => new KVNamespace(access, web), kvForPython],
  r2: [access => new R2Bucket(access), r2ForPython],
  // Python needs nothing of JavaScript.
  d1: [access => new D1Database(access), () => ({})],
  queue: [access => new WorkerQueue(access), queueForPython],
  ratelimit: [access => new Ratelimit(access), rateLimitForPython],
  analytics: [access => new AnalyticsEngineDataset(access), analyticsForPython],
  service: [makeService, serviceForPython],
  fetcher: [(access, web) => new Fetcher(access, web), fetcherForPython],
};

export interface Bindings {
  /** For the JavaScript `env`. */
  objects: Record<string, object>;
  /** For Python: name, kind, functions. */
  python: [string, string, object][];
}

export function makeBindings(H: Host, web: WebInternals, rpc: Rpc, declared: Declared[]): Bindings {
  const access = makeAccess(H);
  const made: Bindings = { objects: {}, python: [] };
  for (const { name, kind } of declared) {
    const known = KINDS[kind];
    if (!known) throw new Error(`the host declares a binding of an unknown kind: ${kind}`);
    made.objects[name] = known[0](access(name), web, rpc);
    made.python.push([name, kind, known[1](access(name), web, rpc)]);
  }
  return made;
}
