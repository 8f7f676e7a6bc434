/**
 * JavaScript modules beside the runtime's own: files of the Worker and of its packages, and what the platform has under a name
 * (`cloudflare:workers`).
 */
import { RpcStub, RpcTarget } from "../bindings/stub";
import type { Host } from "../host";

export interface Modules {
  /** Imports a module: one of the platform's, or a file by its path below the Worker's folder or a folder of packages. */
  importModule(name: string): Promise<unknown>;
  /** Adds a module of the platform's. */
  define(name: string, exports: Record<string, unknown>): void;
}

/** What vendored packages have in front of their paths; those that were locked lie in a folder of their own. */
const VENDORED = "python_modules/";

export function installModules(H: Host, FS: any, folders: { worker: string; packages: string }): Modules {
  const platform = new Map<string, Record<string, unknown>>();
  const exists = (path: string) => FS.analyzePath(path).exists && FS.isFile(FS.stat(path).mode);

  H.onModule(name => {
    const exports = platform.get(name);
    if (exports) return [`export const {${Object.keys(exports).join()}} = import.meta.platform; export default import.meta.platform`, exports];
    return exists(name) ? [FS.readFile(name, { encoding: "utf8" })] : undefined;
  });

  return {
    async importModule(name) {
      let found = name;
      if (!platform.has(name)) {
        const path = name.replace(/^(\.?\/)+/, "");
        const places = [`${folders.worker}/${path}`];
        if (path.startsWith(VENDORED)) places.push(`${folders.packages}/${path.slice(VENDORED.length)}`);
        found = places.find(exists) ?? "";
        if (!found) {
          const error = new Error("there is neither a file of that path nor a module of the platform");
          error.name = "ModuleNotFoundError";
          throw error;
        }
      }
      return import(found);
    },
    define: (name, exports) => void platform.set(name, exports),
  };
}

/** The environment for those who keep it: snapshots keep what modules hold, and each isolate has variables of its own. */
export function liveEnvironment(env: () => object): object {
  return new Proxy(
    {},
    {
      get: (_, key) => Reflect.get(env(), key),
      has: (_, key) => Reflect.has(env(), key),
      set: (_, key, value) => Reflect.set(env(), key, value),
      deleteProperty: (_, key) => Reflect.deleteProperty(env(), key),
      ownKeys: () => Reflect.ownKeys(env()),
      getOwnPropertyDescriptor: (_, key) => {
        const found = Reflect.getOwnPropertyDescriptor(env(), key);
        return found && { ...found, configurable: true };
      },
    }
  );
}

/** The module `cloudflare:workers`. */
export function cloudflareWorkers(env: object, waitUntil: (promise: unknown) => void): Record<string, unknown> {
  class Entrypoint {
    constructor(
      readonly ctx: unknown,
      readonly env: unknown
    ) {}
  }
  return {
    env,
    waitUntil,
    WorkerEntrypoint: class WorkerEntrypoint extends Entrypoint {},
    DurableObject: class DurableObject extends Entrypoint {},
    WorkflowEntrypoint: class WorkflowEntrypoint extends Entrypoint {},
    RpcTarget,
    RpcStub,
  };
}
