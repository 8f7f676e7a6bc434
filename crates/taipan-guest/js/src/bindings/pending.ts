/**
 * Results of calls, before they are there. More can be asked of one at once: that goes to the isolate which will have it, and waits
 * there (`taipan-bindings/src/rpc/results.rs`), so a chain of calls crosses once. As soon as the result has come, it is asked itself.
 */
import { type Inner, disposeOf, innerOf, remote, use } from "./stub";

/** What others have, there or on its way. Names lead from one member to the next. */
export interface Asked {
  call(path: string[], args: unknown[], named: object): Pending;
  get(path: string[]): Pending;
}

/** The way to the host. */
export interface Line {
  /** More will be asked of this isolate's call before it is answered. False when the answer is on its way. */
  reserve(call: number): boolean;
  /** The answer is there, and nothing more will be asked of the other isolate. */
  settled(call: number): void;
  /** Asks that of its result. `held` must not be let go of before that has answered. */
  ask(call: number, what: unknown[], held: unknown): Pending;
}

type State = "under way" | "reserved" | "there" | "failed";

export class Pending implements Asked {
  /** What comes of it. A failure that nobody looks at is reported, unless more was asked: then it is in the answers to that. */
  readonly result: Promise<unknown>;
  readonly #line: Line;
  readonly #call: number;
  #state: State = "under way";
  #value: unknown;
  /** Not let go of until there is a result. */
  protected held: unknown;

  /** `call` is its number at the host; 0 for what is no call. */
  constructor(line: Line, call: number, result: Promise<unknown>, held?: unknown) {
    this.#line = line;
    this.#call = call;
    this.held = held;
    result.then(
      value => this.#settle("there", value),
      () => this.#settle("failed", undefined)
    );
    this.result = result.then(value => value);
  }

  #settle(state: State, value: unknown): void {
    if (this.#state === "reserved") this.#line.settled(this.#call);
    this.#state = state;
    this.#value = value;
    this.held = undefined;
  }

  call(path: string[], args: unknown[], named: object): Pending {
    return this.#ask(path, args, named);
  }

  get(path: string[]): Pending {
    return this.#ask(path, undefined, {});
  }

  #ask(path: string[], args: unknown[] | undefined, named: object): Pending {
    const known = this.#state === "there" ? remote(this.#value, path) : undefined;
    if (known) {
      const [inner, rest] = known;
      return args ? inner.call(rest, args, named) : inner.get(rest);
    }
    this.result.catch(() => undefined);
    if (this.#state === "under way" && this.#call && this.#line.reserve(this.#call)) this.#state = "reserved";
    if (this.#state !== "reserved") return this.#next(value => use(value, path, args, named));
    return this.#line.ask(this.#call, args ? [path, args, named] : [path], this);
  }

  #next(then: (value: unknown) => unknown): Pending {
    return new Pending(this.#line, 0, this.result.then(then));
  }

  dup(): Pending {
    return this.#next(value => {
      const inner = innerOf(value);
      if (!inner) throw new TypeError("The result is data, of which there is nothing to dup");
      return inner.dup();
    });
  }

  /** Disposes of the result, as soon as there is one. */
  dispose(): void {
    this.result.then(disposeOf, () => undefined);
  }

  onBroken(callback: (reason: unknown) => void): void {
    this.result.then(value => innerOf(value)?.onBroken(callback), callback);
  }
}

/** The same for Python, which would take promises for its own. */
export class Handle<T extends Asked> {
  protected readonly of: T;

  constructor(of: T) {
    this.of = of;
  }

  /** A call, or without arguments a property. */
  ask(path: string[], args: unknown[] | undefined, named: object): ResultHandle {
    return new ResultHandle(args ? this.of.call(path, args, named) : this.of.get(path));
  }
}

export class ResultHandle extends Handle<Pending> {
  /** Whether it succeeded, and the value or the error. */
  settled(): Promise<[boolean, unknown]> {
    return this.of.result.then(
      value => [true, value],
      error => [false, error]
    );
  }

  dispose(): void {
    this.of.dispose();
  }
}

export class StubHandle extends Handle<Inner> {
  dup(): object {
    return this.of.dup();
  }

  dispose(): void {
    this.of.dispose();
  }

  onBroken(callback: (reason: unknown) => void): void {
    this.of.onBroken(callback);
  }
}
