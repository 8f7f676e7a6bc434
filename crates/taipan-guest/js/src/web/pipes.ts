/** Streams through which bytes pass: Workers' IdentityTransformStream and FixedLengthStream, and what a transform by the host needs. */
import { ReadableStream, TransformStream, WritableStream } from "./streams";
import { bytesOf, describe } from "./webidl";

/** One step of a transform: output may be empty; with `more`, the step is asked for again, without input. */
export interface Step {
  output: Uint8Array;
  more: boolean;
}

export interface Transformer {
  write(input: Uint8Array): Promise<Step>;
  /** The last output. */
  finish(): Promise<Uint8Array>;
  /** It is not needed any more. Called once, whatever happens. */
  drop(): void;
}

const NOTHING = new Uint8Array();

/**
 * A pair of streams with a transform between them that works when somebody reads. A small input may have a large output:
 * with a TransformStream all of it would have to be in memory at once.
 */
export function transformPair(transformer: Transformer, what: string): { readable: ReadableStream<Uint8Array>; writable: WritableStream<unknown> } {
  /** What was written and not taken yet. */
  let given: { input: Uint8Array; taken: () => void; failed: (e: unknown) => void } | undefined;
  let isClosing: { done: () => void; failed: (e: unknown) => void } | undefined;
  let arrived: (() => void) | undefined;
  let failure: { reason: unknown } | undefined;
  let isDropped = false;
  let controller!: { error(reason: unknown): void };

  const drop = () => {
    if (!isDropped) transformer.drop();
    isDropped = true;
  };
  const fail = (reason: unknown) => {
    if (failure) return;
    failure = { reason };
    drop();
    given?.failed(reason);
    isClosing?.failed(reason);
    arrived?.();
  };

  /** Goes on until there is output, or the end. */
  async function step(c: { enqueue(chunk: Uint8Array): void; close(): void }): Promise<void> {
    for (;;) {
      if (failure) throw failure.reason;
      if (given) {
        const { output, more } = await transformer.write(given.input);
        given.input = NOTHING;
        if (!more) {
          given.taken();
          given = undefined;
        }
        if (output.length) return c.enqueue(output);
      } else if (isClosing) {
        const output = await transformer.finish();
        if (output.length) c.enqueue(output);
        c.close();
        drop();
        return isClosing.done();
      } else {
        await new Promise<void>((resolve) => (arrived = resolve));
        arrived = undefined;
      }
    }
  }

  const readable = new ReadableStream<Uint8Array>(
    {
      start(c) {
        controller = c;
      },
      async pull(c) {
        try {
          await step(c);
        } catch (e) {
          // It ends the readable side by itself; the writable side has to be told.
          fail(e);
          throw e;
        }
      },
      cancel: fail,
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<unknown>({
    start(c) {
      // `abort` below is not called while something waits to be taken.
      c.signal?.addEventListener("abort", () => {
        controller.error(c.signal?.reason);
        fail(c.signal?.reason);
      });
    },
    write(chunk) {
      const input = bytesOf(chunk);
      if (!input) {
        const wrong = new TypeError(`A ${what} takes bytes: an ArrayBuffer or a view of one`);
        controller.error(wrong);
        fail(wrong);
        throw wrong;
      }
      if (!input.length) return;
      return new Promise<void>((taken, failed) => {
        if (failure) return failed(failure.reason);
        given = { input, taken, failed };
        arrived?.();
      });
    },
    close() {
      return new Promise<void>((done, failed) => {
        if (failure) return failed(failure.reason);
        isClosing = { done, failed };
        arrived?.();
      });
    },
  });
  return { readable, writable };
}

const lengths = new WeakMap<object, number>();

/** How many bytes a stream will give, when that is known. */
export function lengthOf(stream: object): number | null {
  return lengths.get(stream) ?? null;
}

function bytesOnly(chunk: unknown, what: string): Uint8Array {
  const bytes = bytesOf(chunk);
  if (!bytes) throw new TypeError(`A ${what} takes bytes: an ArrayBuffer or a view of one`);
  return bytes;
}

/** Gives the bytes that are written. */
export class IdentityTransformStream extends TransformStream<unknown, Uint8Array> {
  constructor(_strategy: unknown = undefined) {
    super({
      transform: (chunk, controller) => controller.enqueue(bytesOnly(chunk, "IdentityTransformStream")),
    });
  }
}
describe(IdentityTransformStream, "IdentityTransformStream");

/** As IdentityTransformStream, for a number of bytes that is known: a response with it has a Content-Length. */
export class FixedLengthStream extends TransformStream<unknown, Uint8Array> {
  constructor(length: number | bigint, _strategy: unknown = undefined) {
    const expected = Number(length);
    if (!Number.isSafeInteger(expected) || expected < 0) throw new TypeError(`Not a number of bytes: ${String(length)}`);
    let written = 0;
    super({
      transform(chunk, controller) {
        const bytes = bytesOnly(chunk, "FixedLengthStream");
        written += bytes.length;
        if (written > expected) throw new TypeError(`More was written than the stream's ${expected} bytes`);
        controller.enqueue(bytes);
      },
      flush() {
        if (written < expected) throw new TypeError(`Only ${written} of the stream's ${expected} bytes were written`);
      },
    });
    lengths.set(this.readable, expected);
  }
}
describe(FixedLengthStream, "FixedLengthStream");
