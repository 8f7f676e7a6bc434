/** Other Workers. */
import type { Request, WebInternals } from "../web/index";
import type { Access } from "./access";
import { Fetcher } from "./fetcher";
import { type Asked, Handle, type Pending } from "./pending";
import type { Rpc } from "./rpc";
import { member } from "./stub";

/** What would be asked of any object, and is no method of a Worker's. */
const OTHERS = new Set(["then", "catch", "finally", "toJSON", "constructor", "dup"]);

/** The other Worker's methods and properties. What leads on from a property is asked of that. */
function entrypoint(access: Access, rpc: Rpc): Asked {
  const begin = (method: string, args: unknown[], named: object): Pending => {
    try {
      access.check();
      return rpc.call(access.name, method, args, named);
    } catch (e) {
      return rpc.failed(e);
    }
  };
  // A property has a dot in front of its name.
  return {
    call: ([name, ...rest], args, named) => (rest.length ? begin(`.${name}`, [], {}).call(rest, args, named) : begin(`${name}`, args, named)),
    get: ([name, ...rest]) => (rest.length ? begin(`.${name}`, [], {}).get(rest) : begin(`.${name}`, [], {})),
  };
}

/** `fetch`, and whatever methods the other Worker has. */
export function makeService(access: Access, web: WebInternals, rpc: Rpc): object {
  const fetcher = new Fetcher(access, web, true);
  const asked = entrypoint(access, rpc);
  return new Proxy(fetcher, {
    get(target, name) {
      if (typeof name !== "string" || OTHERS.has(name) || name in target) {
        const found = Reflect.get(target, name, target) as unknown;
        return typeof found === "function" ? found.bind(target) : found;
      }
      return member(asked, [name]);
    },
  });
}

export function serviceForPython(access: Access, web: WebInternals, rpc: Rpc): object {
  const fetcher = new Fetcher(access, web, true);
  return Object.assign(new Handle(entrypoint(access, rpc)), { fetch: (request: Request) => fetcher.fetch(request) });
}
