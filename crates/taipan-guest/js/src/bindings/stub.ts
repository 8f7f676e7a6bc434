/** What another isolate has, as it is seen from here: an object with methods and properties, or a function. */

/** Objects of classes derived from it are passed by reference. */
export class RpcTarget {}

/** An object that Python passes by reference: what is called with the names that lead to a member, its arguments and named ones. */
export class PythonTarget {
  constructor(
    readonly called: (...args: unknown[]) => Promise<unknown>,
    readonly destroy: () => void
  ) {}
}

/** Ways to what a stub stands for. Names lead from one member to the next. */
export interface Inner {
  call(path: string[], args: unknown[], named: object): Promise<unknown>;
  get(path: string[]): Promise<unknown>;
  /** Another stub of the same, which is disposed of on its own. */
  dup(): object;
  dispose(): void;
}

const known: symbol | undefined = (Symbol as { dispose?: symbol }).dispose;
export const DISPOSE: symbol = known ?? Symbol("Symbol.dispose");
if (!known) Object.defineProperty(Symbol, "dispose", { value: DISPOSE });

const inners = new WeakMap<object, Inner>();

export const innerOf = (stub: object): Inner | undefined => inners.get(stub);

/** Its objects stand for what others have. */
export class RpcStub {}

/** What would be asked of any object, and is no member elsewhere. */
const OTHERS = new Set(["then", "catch", "finally", "toJSON"]);

/** A stub of an object. */
export function objectStub(inner: Inner): object {
  const stub = new Proxy(new RpcStub(), {
    get: (target, name) => {
      if (name === DISPOSE) return () => inner.dispose();
      if (name === "dup") return () => inner.dup();
      if (typeof name === "symbol" || name in target) return Reflect.get(target, name) as unknown;
      return OTHERS.has(name) ? undefined : member(inner, [name]);
    },
  });
  inners.set(stub, inner);
  return stub;
}

/** A stub of a function. */
export function functionStub(inner: Inner): object {
  const stub = async (...args: unknown[]) => inner.call([], args, {});
  inners.set(stub, inner);
  return Object.assign(stub, { dup: () => inner.dup(), [DISPOSE]: () => inner.dispose() });
}

/** A member: called, it is a method; awaited, a property. */
export function member(inner: Pick<Inner, "call" | "get">, path: string[]): object {
  return new Proxy(() => undefined, {
    apply: (_target, _this, args: unknown[]) => inner.call(path, args, {}),
    get: (_target, name) => {
      if (typeof name === "symbol") return undefined;
      if (name === "then" || name === "catch" || name === "finally") {
        const got = inner.get(path);
        return got[name].bind(got);
      }
      return member(inner, [...path, name]);
    },
  });
}

/** Finds a member of what JavaScript passes by reference, and calls it if there are arguments. */
export async function use(target: object, path: string[], args: unknown[] | undefined): Promise<unknown> {
  let owner: unknown;
  let value: unknown = target;
  for (const name of path) {
    if (!isVisible(value, name)) throw new TypeError(`${nameOf(value)} has no method or property ${JSON.stringify(name)} that another Worker could use`);
    owner = value;
    value = await (value as Record<string, unknown>)[name];
  }
  if (args === undefined) return typeof value === "function" ? (value.bind(owner) as unknown) : value;
  if (typeof value !== "function") throw new TypeError(`${path.join(".")} of ${nameOf(target)} is a property, not a method`);
  return Reflect.apply(value, owner, args) as unknown;
}

const nameOf = (value: unknown): string => (value as object | undefined)?.constructor?.name ?? String(value);

/** Of a target, what its class declares; of data, what it has. */
function isVisible(value: unknown, name: string): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (!(value instanceof RpcTarget)) return Object.hasOwn(value, name);
  for (let from = Object.getPrototypeOf(value) as object; from !== RpcTarget.prototype; from = Object.getPrototypeOf(from) as object) {
    if (name !== "constructor" && Object.hasOwn(from, name)) return !Object.hasOwn(value, name);
  }
  return false;
}
