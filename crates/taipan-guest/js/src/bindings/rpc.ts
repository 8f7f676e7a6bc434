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
import { DISPOSE, type Inner, PythonTarget, RpcTarget, functionStub, innerOf, objectStub, use } from "./stub";

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
  /** Calls another Worker's method. */
  call(binding: string, method: string, args: unknown[], named: object): Promise<unknown>;
}

/** What a call comes to: it is written in the end, so that an error is a value like others. */
export type Outcome = { ok: unknown } | { error: unknown };

export function makeRpc(H: Host): Rpc {
  const numbers = new Map<string, number>();
  const number = (op: string): number => {
    let known = numbers.get(op);
    if (known === undefined) numbers.set(op, (known = H.opNumber(op)));
    return known;
  };
  const now = (op: string, ...fields: FieldIn[]): FieldOut[] => H.opSync(number(op), ...fields);
  const later = (op: string, ...fields: FieldIn[]): Promise<FieldOut[]> => H.opAsync(number(op), ...fields);

  /** Functions of ours that others may call. */
  const functions = new Map<string, AnyFunction>();
  let isServing = false;

  async function serve(): Promise<void> {
    if (isServing) return;
    isServing = true;
    try {
      while (functions.size) {
        const [what, first, token, args] = await later("rpc.next");
        if (what === "call") void answer(first as number, token as string, args as ArrayBuffer);
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

  async function answer(call: number, token: string, args: ArrayBuffer): Promise<void> {
    let outcome: Outcome;
    try {
      const called = functions.get(token);
      if (!called) throw new Error("The function has been released");
      outcome = { ok: await called(...(read(args, false) as unknown[])) };
    } catch (error) {
      outcome = { error };
    }
    now("rpc.reply", call, writeOutcome(outcome));
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
  const dropped = new FinalizationRegistry<string>(token => now("rpc.release", token));

  /** A token that is ours to let go of, or that of an argument. */
  function reference(kind: "function" | "target", token: string, isOwned: boolean): object {
    let isOver = false;
    const live = (): string => {
      if (isOver) throw new Error("The stub has been disposed of");
      return token;
    };
    // Not the stub's own, which would lead back to it.
    const registered = {};
    const inner: Inner = {
      call: async (path, args, named) => invoke(live(), kind === "function" ? args : [path, args, named]),
      get: async path => {
        if (kind === "function") throw new TypeError("A function has no properties elsewhere");
        return invoke(live(), [path]);
      },
      dup: () => {
        now("rpc.retain", live());
        return reference(kind, token, true);
      },
      dispose: () => {
        if (isOver) return;
        isOver = true;
        if (!isOwned) return;
        dropped.unregister(registered);
        now("rpc.release", token);
      },
    };
    // The stub has it, and so have its members.
    if (isOwned) dropped.register(inner, token, registered);
    return kind === "function" ? functionStub(inner) : objectStub(inner);
  }

  /** A function or an object of ours or of a third Worker, as a function that others may call. */
  function referenced(value: object): { kind: "function" | "target"; token: string } | undefined {
    const inner = innerOf(value);
    if (inner) {
      // The one who gets it may have it for longer than we do.
      const copy = inner.dup();
      const kept = innerOf(copy) as Inner;
      const destroy = () => kept.dispose();
      if (typeof value === "function") return { kind: "function", token: share(Object.assign(async (...args: unknown[]) => kept.call([], args, {}), { destroy })) };
      const pass = async (path: unknown, args: unknown, named: unknown) =>
        args === undefined ? kept.get(path as string[]) : kept.call(path as string[], args as unknown[], (named ?? {}) as object);
      return { kind: "target", token: share(Object.assign(pass, { destroy })) };
    }
    if (value instanceof PythonTarget) return { kind: "target", token: share(Object.assign((...args: unknown[]) => value.called(...args), { destroy: value.destroy })) };
    if (value instanceof RpcTarget) {
      const destroy = () => (value as { [DISPOSE]?(): void })[DISPOSE]?.();
      const called = (path: unknown, args: unknown) => use(value, path as string[], args as unknown[] | undefined);
      return { kind: "target", token: share(Object.assign(called, { destroy })) };
    }
    if (typeof value === "function") return { kind: "function", token: share(value as AnyFunction) };
    return undefined;
  }

  async function invoke(token: string, args: unknown[]): Promise<unknown> {
    const sent = write(args);
    try {
      return unwrap(read((await later("rpc.invoke", token, sent.bytes))[0] as ArrayBuffer, true) as Outcome);
    } finally {
      release(sent.tokens);
    }
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
          const next = (await invoke(token, [])) as [unknown] | undefined;
          if (next) return controller.enqueue(next[0]);
          isOver = true;
          controller.close();
        } catch (e) {
          isOver = true;
          throw e;
        }
      },
      async cancel(reason: unknown) {
        if (!isOver) await invoke(token, [reason === undefined ? "cancelled" : String(reason)]).catch(() => undefined);
      },
    };
    const stream = new ReadableStream(source as any, { highWaterMark: 0 });
    dropped.register(source, token);
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

  function inside(standing: Standing, isOwned: boolean): unknown {
    switch (standing.kind) {
      case "function":
      case "target":
        return reference(standing.kind, standing.token, isOwned);
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

  function read(bytes: ArrayBuffer | Uint8Array, isOwned: boolean): unknown {
    const all = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
    return deserialize(all, standing => inside(standing as Standing, isOwned));
  }

  function release(tokens: string[]): void {
    for (const token of tokens) now("rpc.release", token);
  }

  return {
    write,
    arguments: bytes => read(bytes, false),
    release,
    async call(binding, method, args, named) {
      const sent = write([args, named]);
      try {
        const [answer] = await later("service.call", binding, H.cause(), method, sent.bytes);
        return unwrap(read(answer as ArrayBuffer, true) as Outcome);
      } finally {
        release(sent.tokens);
      }
    },
  };
}
