/**
 * The streams standard, by the ponyfill `web-streams-polyfill`, and the two text transforms it leaves out.
 */
import { ReadableStream, ReadableStreamBYOBReader, TransformStream, WritableStream } from "web-streams-polyfill";
import { TextDecoder } from "./encoding";
import type { TextDecoderOptions } from "./encoding";
import { host } from "./host";
import { structuredClone, transferable } from "./structured-clone";
import { describe } from "./webidl";

export {
  ByteLengthQueuingStrategy,
  CountQueuingStrategy,
  ReadableByteStreamController,
  ReadableStream,
  ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest,
  ReadableStreamDefaultController,
  ReadableStreamDefaultReader,
  TransformStream,
  TransformStreamDefaultController,
  WritableStream,
  WritableStreamDefaultController,
  WritableStreamDefaultWriter,
} from "web-streams-polyfill";

// The ponyfill's iterators are objects of its own; the language's know `Symbol.asyncDispose` and iterator helpers.
Object.setPrototypeOf(
  Object.getPrototypeOf(new ReadableStream().values()) as object,
  Object.getPrototypeOf(Object.getPrototypeOf(async function* () {}.prototype)) as object,
);

/** Workers' own name for what `read` does with `min`, from before the standard had that. */
Object.defineProperty(ReadableStreamBYOBReader.prototype, "readAtLeast", {
  value: function readAtLeast(this: ReadableStreamBYOBReader, min: number, view: Uint8Array) {
    return this.read(view, { min });
  },
  writable: true,
  enumerable: true,
  configurable: true,
});

/** Whether the stream was ever read or cancelled. The standard's internal slot; the ponyfill keeps it by this name. */
export function isDisturbed(stream: ReadableStream): boolean {
  return Boolean((stream as unknown as { _disturbed: boolean })._disturbed);
}

/** Makes a stream that nobody has touched look as if it had been read: what it would have given goes another way. */
export function exhaust(stream: ReadableStream): void {
  stream.getReader();
  (stream as unknown as { _disturbed: boolean })._disturbed = true;
}

/** Between a transferred stream and its heir, chunks are cloned as a message's value is. */
function passage(): TransformStream {
  const cloning = {
    transform(chunk: unknown, controller: { enqueue(chunk: unknown): void }) {
      controller.enqueue(structuredClone(chunk));
    },
  };
  return new TransformStream(cloning, undefined, { highWaterMark: 0 });
}

const LOCKED = "A stream that is locked cannot be transferred";
const moveReadable = (stream: ReadableStream): ReadableStream => {
  const { readable, writable } = passage();
  // Whoever has the other end is told of errors.
  stream.pipeTo(writable).catch(() => undefined);
  return readable;
};
const moveWritable = (stream: WritableStream): WritableStream => {
  const { readable, writable } = passage();
  readable.pipeTo(stream).catch(() => undefined);
  return writable;
};
transferable({
  Class: ReadableStream,
  obstacle: (stream) => (stream.locked ? LOCKED : undefined),
  move: moveReadable,
});
transferable({
  Class: WritableStream,
  obstacle: (stream) => (stream.locked ? LOCKED : undefined),
  move: moveWritable,
});
transferable<TransformStream>({
  Class: TransformStream,
  obstacle: ({ readable, writable }) => (readable.locked || writable.locked ? LOCKED : undefined),
  move(stream) {
    const ends = { readable: moveReadable(stream.readable), writable: moveWritable(stream.writable) };
    // The constructor would make ends of its own.
    const heir = new TransformStream();
    for (const [name, value] of Object.entries(ends)) Object.defineProperty(heir, name, { value, configurable: true });
    return heir;
  },
});

export class TextEncoderStream {
  #transform: TransformStream<unknown, Uint8Array>;
  constructor() {
    // A pair of surrogates may be split between chunks.
    let high = "";
    this.#transform = new TransformStream<unknown, Uint8Array>({
      transform(chunk, controller) {
        const text = high + `${chunk as string}`;
        const last = text.charCodeAt(text.length - 1);
        const split = last >= 0xd800 && last <= 0xdbff ? text.length - 1 : text.length;
        high = text.slice(split);
        if (split) controller.enqueue(new Uint8Array(host.utf8Encode(text.slice(0, split))));
      },
      flush(controller) {
        if (high) controller.enqueue(new Uint8Array(host.utf8Encode(high)));
      },
    });
  }
  get encoding(): string {
    return "utf-8";
  }
  get readable() {
    return this.#transform.readable;
  }
  get writable() {
    return this.#transform.writable;
  }
}
describe(TextEncoderStream, "TextEncoderStream");

export class TextDecoderStream {
  #decoder: TextDecoder;
  #transform: TransformStream<unknown, string>;
  constructor(label: string = "utf-8", options: TextDecoderOptions | null = {}) {
    const decoder = (this.#decoder = new TextDecoder(label, options));
    this.#transform = new TransformStream<unknown, string>({
      transform(chunk, controller) {
        if (chunk === undefined) throw new TypeError("The chunk is neither an ArrayBuffer nor a view of one");
        const text = decoder.decode(chunk as Uint8Array, { stream: true });
        if (text) controller.enqueue(text);
      },
      flush(controller) {
        const text = decoder.decode();
        if (text) controller.enqueue(text);
      },
    });
  }
  get encoding(): string {
    return this.#decoder.encoding;
  }
  get fatal(): boolean {
    return this.#decoder.fatal;
  }
  get ignoreBOM(): boolean {
    return this.#decoder.ignoreBOM;
  }
  get readable() {
    return this.#transform.readable;
  }
  get writable() {
    return this.#transform.writable;
  }
}
describe(TextDecoderStream, "TextDecoderStream");
