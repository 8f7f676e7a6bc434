/** What another isolate has, as it is seen from here: an object with methods and properties, a function, or a result under way. */
import type { Asked, Pending } from "./pending";

/** Objects of classes derived from it are passed by reference. */
export class RpcTarget {}

/** An object that Python passes by reference: what is called with the names that lead to a member, its arguments and named ones. */
export class PythonTarget {
  constructor(
    readonly called: (...args: unknown[]) => Promise<unknown>,
    readonly destroy: () => void
  ) {}
}

/** Ways to what a stub stands for. */
export interface Inner extends Asked {
  /** Another stub of the same, which is disposed of on its own. */
  dup(): object;
  dispose(): void;
  /** Has it called once nothing can be asked any more, because the other isolate is gone. */
  onBroken(callback: (reason: unknown) => void): void;
}

const known: symbol | undefined = (Symbol as { dispose?: symbol }).dispose;
export const DISPOSE: symbol = known ?? Symbol("Symbol.dispose");
if (!known) Object.defineProperty(Symbol, "dispose", { value: DISPOSE });

const inners = new WeakMap<object, Inner>();

export const innerOf = (stub: unknown): Inner | undefined => inners.get(stub as object);

/** Its objects stand for what others have. */
export class RpcStub {}

/** Its objects stand for what a call will come to. */
export class RpcPromise {}

/** What would be asked of any object, and is no member elsewhere. */
const OTHERS = new Set(["then", "catch", "finally", "toJSON"]);

/** A stub of an object. */
export function objectStub(inner: Inner): object {
  const stub = new Proxy(new RpcStub(), {
    get: (target, name) => {
      if (name === DISPOSE) return () => inner.dispose();
      if (name === "dup") return () => inner.dup();
      if (name === "onRpcBroken") return (callback: (reason: unknown) => void) => inner.onBroken(callback);
      if (typeof name === "symbol" || name in target) return Reflect.get(target, name) as unknown;
      return OTHERS.has(name) ? undefined : member(inner, [name]);
    },
  });
  inners.set(stub, inner);
  return stub;
}

/** A stub of a function. */
export function functionStub(inner: Inner): object {
  const stub = (...args: unknown[]) => promised(inner.call([], args, {}));
  inners.set(stub, inner);
  const onRpcBroken = (callback: (reason: unknown) => void) => inner.onBroken(callback);
  return Object.assign(stub, { dup: () => inner.dup(), onRpcBroken, [DISPOSE]: () => inner.dispose() });
}

/** Proxies can be called if what they stand before can. */
const CALLABLE = (): void => undefined;

const THEN = new Set(["then", "catch", "finally"]);

/** A result under way: awaited, it is what came; its methods and properties can be asked for at once. */
export function promised(pending: Pending): object {
  return new Proxy(CALLABLE, {
    apply: (_target, _this, args: unknown[]) => promised(pending.call([], args, {})),
    getPrototypeOf: () => RpcPromise.prototype,
    get: (_target, name) => {
      if (name === DISPOSE) return () => pending.dispose();
      if (typeof name === "symbol") return undefined;
      if (THEN.has(name)) return settling(pending, name);
      if (name === "onRpcBroken") return (callback: (reason: unknown) => void) => pending.onBroken(callback);
      if (name === "dup") return () => promised(pending.dup());
      return name === "toJSON" ? undefined : member(pending, [name]);
    },
  });
}

/** A member: called, it is a method; awaited, a property. */
export function member(asked: Asked, path: string[]): object {
  return new Proxy(CALLABLE, {
    apply: (_target, _this, args: unknown[]) => promised(asked.call(path, args, {})),
    getPrototypeOf: () => RpcPromise.prototype,
    get: (_target, name) => {
      if (typeof name === "symbol") return undefined;
      return THEN.has(name) ? settling(asked.get(path), name) : member(asked, [...path, name]);
    },
  });
}

function settling(pending: Pending, name: string): unknown {
  const { result } = pending;
  return result[name as "then"].bind(result);
}

/** Disposes of all that a result has of others. */
export function disposeOf(result: unknown): void {
  const inner = innerOf(result);
  if (inner) inner.dispose();
  else (result as { [DISPOSE]?(): void } | null | undefined)?.[DISPOSE]?.();
}

/** Where in a value what others have begins, and which names lead on from there. */
export function remote(value: unknown, path: string[]): [Inner, string[]] | undefined {
  for (let i = 0; i <= path.length; i++) {
    const inner = innerOf(value);
    if (inner) return [inner, path.slice(i)];
    if (i === path.length || value instanceof RpcTarget || !isVisible(value, path[i] as string)) break;
    value = (value as Record<string, unknown>)[path[i] as string];
  }
  return undefined;
}

/** Finds a member of what is passed by reference, or of data, and calls it if there are arguments. */
export async function use(target: unknown, path: string[], args: unknown[] | undefined, named: object = {}): Promise<unknown> {
  let owner: unknown;
  let value = target;
  for (let i = 0; i <= path.length; i++) {
    const rest = path.slice(i);
    const inner = innerOf(value);
    if (inner && (args || rest.length)) return (args ? inner.call(rest, args, named) : inner.get(rest)).result;
    if (value instanceof PythonTarget && (args || rest.length)) return value.called(rest, args, named);
    const [name] = rest;
    if (name === undefined) break;
    if (!isVisible(value, name)) throw new TypeError(`${nameOf(value)} has no method or property ${JSON.stringify(name)} that another Worker could use`);
    owner = value;
    value = await (value as Record<string, unknown>)[name];
  }
  if (args === undefined) return typeof value === "function" && owner !== undefined ? (value.bind(owner) as unknown) : value;
  if (typeof value !== "function") throw new TypeError(`${path.join(".") || "The result"} of ${nameOf(target)} is a property, not a method`);
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
