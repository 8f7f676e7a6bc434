/** CompressionStream and DecompressionStream; the host compresses. */
import { host, syncOp } from "./host";
import { transformPair } from "./pipes";
import type { ReadableStream, WritableStream } from "./streams";
import { describe, need } from "./webidl";

const openOp = syncOp("compress.open");
const dropOp = syncOp("compress.drop");

/** Whoever forgets a stream in the middle forgets its state at the host, too. */
const forgotten = new FinalizationRegistry<number>((number) => void dropOp(number));

const FORMATS = ["gzip", "deflate", "deflate-raw"];

function makePair(format: unknown, expands: boolean, what: string) {
  const name = `${format as string}`;
  if (!FORMATS.includes(name)) throw new TypeError(`There is no such format of compression: ${name}`);
  const number = openOp(name, Number(expands))[0] as number;
  const token = {};
  const pair = transformPair(
    {
      async write(input) {
        const [output, more] = await host.opAsync(host.opNumber("compress.write"), number, input, host.cause());
        return { output: new Uint8Array(output as ArrayBuffer), more: more === 1 };
      },
      async finish() {
        const [output] = await host.opAsync(host.opNumber("compress.finish"), number);
        return new Uint8Array(output as ArrayBuffer);
      },
      drop() {
        forgotten.unregister(token);
        dropOp(number);
      },
    },
    what,
  );
  forgotten.register(pair.readable, number, token);
  return pair;
}

abstract class Codec {
  #pair: { readable: ReadableStream<Uint8Array>; writable: WritableStream<unknown> };
  constructor(format: unknown, expands: boolean, what: string) {
    this.#pair = makePair(format, expands, what);
  }
  get readable(): ReadableStream<Uint8Array> {
    return this.#pair.readable;
  }
  get writable(): WritableStream<unknown> {
    return this.#pair.writable;
  }
}

export class CompressionStream extends Codec {
  constructor(format: string) {
    need(arguments.length, 1, "CompressionStream");
    super(format, false, "CompressionStream");
  }
}

export class DecompressionStream extends Codec {
  constructor(format: string) {
    need(arguments.length, 1, "DecompressionStream");
    super(format, true, "DecompressionStream");
  }
}

for (const [cls, name] of [
  [CompressionStream, "CompressionStream"],
  [DecompressionStream, "DecompressionStream"],
] as const) {
  // The base class is how it is done, not what it is.
  Object.defineProperties(cls.prototype, Object.getOwnPropertyDescriptors(Codec.prototype));
  Object.defineProperty(cls.prototype, "constructor", { value: cls, writable: true, configurable: true });
  Object.setPrototypeOf(cls.prototype, Object.prototype);
  describe(cls, name);
}
