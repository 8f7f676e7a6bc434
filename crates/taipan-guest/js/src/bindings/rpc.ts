/**
 * Values that go to another Worker and come from there, with what cannot be copied in them: functions, objects that are passed by
 * reference, streams, requests and responses. Of a function only its token travels (`taipan-bindings/src/rpc.rs`). An object is a
 * function that is told which member is meant, and a stream one that gives the next piece.
 *
 * What a call results in belongs to whoever called: it is good until it is disposed of, or nobody has it any more. What a call is
 * given is good until it has returned; `dup` makes something of it that stays.
 */
import type { FieldIn, FieldOut, Host } from "../host";
import type { Request, Response } from "../web/index";
import { Headers } from "../web/headers";
import { Request as RequestClass } from "../web/request";
import { Response as ResponseClass } from "../web/response";
import { deserialize, serialize } from "../web/serialize";
import { ReadableStream } from "../web/streams";
import { opNumbers } from "./access";
import { type Line, Pending } from "./pending";
import { DISPOSE, type Inner, PythonTarget, RpcPromise, RpcTarget, functionStub, innerOf, objectStub, use } from "./stub";

type AnyFunction = (...args: unknown[]) => unknown;

/** What stands for a value that is not data. */
type Standing =
  | { kind: "function"; token: string }
  | { kind: "target"; token: string }
  | { kind: "stream"; token: string }
  | { kind: "headers"; list: [string, string][] }
  | { kind: "request"; url: string; method: string; headers: [string, string][]; redirect: string; body: string | null }
  | { kind: "response"; status: number; statusText: string; headers: [string, string][]; body: string | null };

export interface Written {
  bytes: Uint8Array;
  /** Of the functions in it. Streams end by themselves. */
  tokens: string[];
}

export interface Rpc {
  write(value: unknown): Written;
  /** What a call is given. */
  arguments(bytes: Uint8Array): unknown;
  /** Nobody elsewhere needs the functions any more. */
  release(tokens: string[]): void;
  /** What a method has come to is as Python made it: more may be asked of it before the answer is there. */
  claim(request: number, outcome: Outcome): void;
  /** Calls another Worker's method. */
  call(binding: string, method: string, args: unknown[], named: object): Pending;
  /** What fails before it is a call. */
  failed(error: unknown): Pending;
}

const BROKEN = "nothing can be asked any more: the Worker that has it is gone";

/** Of others', and to be let go of. */
interface Held {
  token: string;
  watched: number[];
}

/** What a call comes to: it is written in the end, so that an error is a value like others. */
export type Outcome = { ok: unknown } | { error: unknown };

export function makeRpc(H: Host): Rpc {
  const number = opNumbers(H);
  const now = (op: string, ...fields: FieldIn[]): FieldOut[] => H.opSync(number(op), ...fields);
  const later = (op: string, ...fields: FieldIn[]): Promise<FieldOut[]> => H.opAsync(number(op), ...fields);

  /** Functions of ours that others may call. */
  const functions = new Map<string, AnyFunction>();
  /** What calls have come to, of which others ask more before they have the answer. */
  const kept = new Map<number, Outcome>();
  let isServing = false;
  /** The last call of ours. */
  let calls = 0;
  let watches = 0;

  async function serve(): Promise<void> {
    if (isServing) return;
    isServing = true;
    try {
      while (functions.size || kept.size) {
        const [what, first, second, args] = await later("rpc.next");
        if (what === "call") void answer(first as number, args as ArrayBuffer, given => callFunction(second as string, given));
        else if (what === "piped") void answer(first as number, args as ArrayBuffer, given => callKept(second as number, given));
        else if (what === "settled") kept.delete(first as number);
        else forget(first as string);
      }
    } finally {
      isServing = false;
    }
  }

  function forget(token: string): void {
    const known = functions.get(token) as (AnyFunction & { destroy?(): void }) | undefined;
    functions.delete(token);
    // A function of Python's is kept for as long.
    known?.destroy?.();
  }

  async function answer(call: number, args: ArrayBuffer, called: (given: unknown[]) => unknown): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = { ok: await called(read(args, undefined) as unknown[]) };
    } catch (error) {
      outcome = { error };
    }
    keep(now("rpc.reply", call, writeOutcome(outcome))[0], outcome);
  }

  function callFunction(token: string, given: unknown[]): unknown {
    const called = functions.get(token);
    if (!called) throw new Error("The function has been released");
    return called(...given);
  }

  function callKept(number: number, [path, args, named]: unknown[]): unknown {
    const outcome = kept.get(number);
    if (!outcome) throw new Error("The result is not kept any more");
    return use(unwrap(outcome), path as string[], args as unknown[] | undefined, (named ?? {}) as object);
  }

  /** Without a number nobody asks for it. */
  function keep(number: FieldOut | undefined, outcome: Outcome): void {
    if (typeof number !== "number") return;
    kept.set(number, outcome);
    void serve();
  }

  function writeOutcome(outcome: Outcome): Uint8Array {
    try {
      return write(outcome).bytes;
    } catch (error) {
      return write({ error: new TypeError(`The result cannot leave the Worker: ${(error as Error)?.message ?? String(error)}`) }).bytes;
    }
  }

  function share(called: AnyFunction): string {
    const token = now("rpc.export")[0] as string;
    functions.set(token, called);
    void serve();
    return token;
  }

  function shareStream(stream: ReadableStream<unknown>): string {
    const reader = stream.getReader();
    const token = share(async (reason?: unknown) => {
      if (reason !== undefined) {
        now("rpc.release", token);
        return void (await reader.cancel(reason));
      }
      try {
        const { done, value } = await reader.read();
        if (done) now("rpc.release", token);
        return done ? undefined : [value];
      } catch (e) {
        now("rpc.release", token);
        throw e;
      }
    });
    return token;
  }

  /** Lets go of what others have for us when nobody here does any more. */
  const dropped = new FinalizationRegistry<Held>(({ token, watched }) => letGo(token, watched));

  function letGo(token: string, watched: number[]): void {
    for (const watch of watched) now("rpc.unwatch", watch);
    now("rpc.release", token);
  }

  function watch(token: string, watched: number[], callback: (reason: unknown) => void): void {
    const number = ++watches;
    watched.push(number);
    void later("rpc.watch", token, number).then(([isGone]) => isGone && callback(new Error(BROKEN)));
  }

  /** What another isolate has: for as long as its call takes, or until we let go of it. */
  class Remote implements Inner {
    readonly #kind: "function" | "target";
    readonly #token: string;
    readonly #isOwned: boolean;
    readonly #watched: number[] = [];
    // Not the object itself, which the registry would then lead back to.
    readonly #registered = {};
    #isOver = false;

    constructor(kind: "function" | "target", token: string, isOwned: boolean) {
      this.#kind = kind;
      this.#token = token;
      this.#isOwned = isOwned;
      if (isOwned) dropped.register(this, { token, watched: this.#watched }, this.#registered);
    }

    get #live(): string {
      if (this.#isOver) throw new Error("The stub has been disposed of");
      return this.#token;
    }

    call(path: string[], args: unknown[], named: object): Pending {
      return this.#ask(() => {
        if (this.#kind === "target") return [path, args, named];
        if (path.length) throw new TypeError("A function has no methods elsewhere");
        return args;
      });
    }

    get(path: string[]): Pending {
      return this.#ask(() => {
        if (this.#kind === "function") throw new TypeError("A function has no properties elsewhere");
        return [path];
      });
    }

    #ask(given: () => unknown[]): Pending {
      try {
        return begin("rpc.invoke", [this.#live], given(), this);
      } catch (e) {
        return failed(e);
      }
    }

    dup(): object {
      now("rpc.retain", this.#live);
      return stubOf(new Remote(this.#kind, this.#token, true), this.#kind);
    }

    dispose(): void {
      if (this.#isOver) return;
      this.#isOver = true;
      if (!this.#isOwned) return;
      dropped.unregister(this.#registered);
      letGo(this.#token, this.#watched);
    }

    onBroken(callback: (reason: unknown) => void): void {
      watch(this.#live, this.#watched, callback);
    }
  }

  const stubOf = (inner: Inner, kind: "function" | "target"): object => (kind === "function" ? functionStub(inner) : objectStub(inner));

  /** A function or an object of ours or of a third Worker, as a function that others may call. */
  function referenced(value: object): { kind: "function" | "target"; token: string } | undefined {
    const inner = innerOf(value);
    if (inner) {
      // The one who gets it may have it for longer than we do.
      const copy = inner.dup();
      const kept = innerOf(copy) as Inner;
      const destroy = () => kept.dispose();
      if (typeof value === "function") return { kind: "function", token: share(Object.assign((...args: unknown[]) => kept.call([], args, {}).result, { destroy })) };
      const pass = (path: unknown, args: unknown, named: unknown) =>
        (args === undefined ? kept.get(path as string[]) : kept.call(path as string[], args as unknown[], (named ?? {}) as object)).result;
      return { kind: "target", token: share(Object.assign(pass, { destroy })) };
    }
    if (value instanceof PythonTarget) return { kind: "target", token: share(Object.assign((...args: unknown[]) => value.called(...args), { destroy: value.destroy })) };
    if (value instanceof RpcTarget) {
      const destroy = () => (value as { [DISPOSE]?(): void })[DISPOSE]?.();
      const called = (path: unknown, args: unknown) => use(value, path as string[], args as unknown[] | undefined);
      return { kind: "target", token: share(Object.assign(called, { destroy })) };
    }
    if (value instanceof RpcPromise) throw new TypeError("A call's result, or a member of what another Worker has, can be sent once it was awaited");
    if (typeof value === "function") return { kind: "function", token: share(value as AnyFunction) };
    return undefined;
  }

  /** `number` is the one by which the call's result is known at the host, if there is to be one. */
  async function invoke(op: string, to: FieldIn[], given: unknown, number: number | null): Promise<unknown> {
    const sent = write(given);
    try {
      return result((await later(op, ...to, sent.bytes, number))[0] as ArrayBuffer);
    } finally {
      release(sent.tokens);
    }
  }

  function begin(op: string, to: FieldIn[], given: unknown, held?: unknown): Pending {
    const number = ++calls;
    return new Pending(line, number, invoke(op, to, given, number), held);
  }

  const failed = (error: unknown): Pending => new Pending(line, 0, Promise.reject(error));

  const line: Line = {
    reserve: call => Boolean(now("rpc.reserve", call)[0]),
    settled: call => void now("rpc.settled", call),
    ask: (call, what, held) => begin("rpc.ask", [call], what, held),
  };

  /** What a call has come to, which is ours to dispose of. */
  function result(answer: ArrayBuffer): unknown {
    const owned: Inner[] = [];
    const value = unwrap(read(answer, owned) as Outcome);
    if (typeof value === "object" && value !== null && !innerOf(value) && (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype)) {
      Object.defineProperty(value, DISPOSE, { value: () => owned.forEach(inner => inner.dispose()), configurable: true });
    }
    return value;
  }

  function unwrap(outcome: Outcome): unknown {
    if ("error" in outcome) throw outcome.error;
    return outcome.ok;
  }

  function streamOf(token: string): ReadableStream<unknown> {
    let isOver = false;
    const source = {
      async pull(controller: any) {
        try {
          const next = (await invoke("rpc.invoke", [token], [], null)) as [unknown] | undefined;
          if (next) return controller.enqueue(next[0]);
          isOver = true;
          controller.close();
        } catch (e) {
          isOver = true;
          throw e;
        }
      },
      async cancel(reason: unknown) {
        if (!isOver) await invoke("rpc.invoke", [token], [reason === undefined ? "cancelled" : String(reason)], null).catch(() => undefined);
      },
    };
    const stream = new ReadableStream(source as any, { highWaterMark: 0 });
    hold(token);
    dropped.register(source, { token, watched: [] });
    return stream as ReadableStream<unknown>;
  }

  const bodyOf = (message: Request | Response) => (message.body ? shareStream(message.body as ReadableStream<unknown>) : null);

  function write(value: unknown): Written {
    const tokens: string[] = [];
    const outside = (value: object): Standing | undefined => {
      const reference = referenced(value);
      if (reference) {
        tokens.push(reference.token);
        return reference;
      }
      if (value instanceof ReadableStream) return { kind: "stream", token: shareStream(value as ReadableStream<unknown>) };
      if (value instanceof Headers) return { kind: "headers", list: [...value] };
      if (value instanceof RequestClass) {
        const { url, method, redirect, headers } = value;
        return { kind: "request", url, method, redirect, headers: [...headers], body: bodyOf(value) };
      }
      if (value instanceof ResponseClass) {
        const { status, statusText, headers } = value;
        return { kind: "response", status, statusText, headers: [...headers], body: bodyOf(value) };
      }
      return undefined;
    };
    try {
      return { bytes: serialize(value, outside), tokens };
    } catch (e) {
      release(tokens);
      throw e;
    }
  }

  const hold = (token: string): void => void now("rpc.hold", token);

  /** What a result has is put into `owned`; what a call is given is not ours. */
  function inside(standing: Standing, owned: Inner[] | undefined): unknown {
    switch (standing.kind) {
      case "function":
      case "target": {
        const inner = new Remote(standing.kind, standing.token, Boolean(owned));
        if (owned) hold(standing.token);
        owned?.push(inner);
        return stubOf(inner, standing.kind);
      }
      case "stream":
        return streamOf(standing.token);
      case "headers":
        return new Headers(standing.list);
      case "request": {
        const { url, method, headers, redirect, body } = standing;
        return new RequestClass(url, { method, headers, redirect, ...(body ? { body: streamOf(body), duplex: "half" } : {}) } as any);
      }
      case "response": {
        const { status, statusText, headers, body } = standing;
        return new ResponseClass((body ? streamOf(body) : null) as any, { status, statusText, headers } as any);
      }
    }
  }

  function read(bytes: ArrayBuffer | Uint8Array, owned: Inner[] | undefined): unknown {
    const all = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
    return deserialize(all, standing => inside(standing as Standing, owned));
  }

  function release(tokens: string[]): void {
    for (const token of tokens) now("rpc.release", token);
  }

  return {
    write,
    arguments: bytes => read(bytes, undefined),
    release,
    claim: (request, outcome) => keep(now("rpc.claim", request)[0], outcome),
    call: (binding, method, args, named) => begin("service.call", [binding, H.cause(), method], [args, named]),
    failed,
  };
}
