/** Other Workers. */
import type { Request, WebInternals } from "../web/index";
import type { Access } from "./access";
import { Fetcher } from "./fetcher";
import type { Rpc } from "./rpc";
import { member } from "./stub";

/** What would be asked of any object, and is no method of a Worker's. */
const OTHERS = new Set(["then", "catch", "finally", "toJSON", "constructor", "dup"]);

/** `fetch`, and whatever methods the other Worker has. */
export function makeService(access: Access, web: WebInternals, rpc: Rpc): object {
  const fetcher = new Fetcher(access, web, true);
  const one = (path: string[]): string => {
    const [name, ...others] = path as [string];
    if (others.length) throw new TypeError(`env.${access.name}.${path.join(".")}: only objects that a Worker gives have members of members`);
    return name;
  };
  const inner = {
    async call(path: string[], args: unknown[]) {
      access.check();
      return rpc.call(access.name, one(path), args, {});
    },
    async get(path: string[]) {
      access.check();
      return rpc.call(access.name, `.${one(path)}`, [], {});
    },
  };
  return new Proxy(fetcher, {
    get(target, name) {
      if (typeof name !== "string" || OTHERS.has(name) || name in target) {
        const found = Reflect.get(target, name, target) as unknown;
        return typeof found === "function" ? found.bind(target) : found;
      }
      return member(inner, [name]);
    },
  });
}

export function serviceForPython(access: Access, web: WebInternals, rpc: Rpc): object {
  const fetcher = new Fetcher(access, web, true);
  return {
    fetch: (request: Request) => fetcher.fetch(request),
    /** A method, or a property behind a dot. Gives whether it succeeded, and the result or the error. */
    async call(method: string, args: unknown[], named: object): Promise<[boolean, unknown]> {
      access.check();
      try {
        return [true, await rpc.call(access.name, method, args, named)];
      } catch (e) {
        return [false, e];
      }
    },
  };
}
