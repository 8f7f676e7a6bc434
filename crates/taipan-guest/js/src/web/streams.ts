/**
 * The streams standard, by the ponyfill `web-streams-polyfill`, and the two text transforms it leaves out.
 */
import { ReadableStream, TransformStream } from "web-streams-polyfill";
import { TextDecoder } from "./encoding";
import type { TextDecoderOptions } from "./encoding";
import { host } from "./host";
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

/** Whether the stream was ever read or cancelled. The standard's internal slot; the ponyfill keeps it by this name. */
export function isDisturbed(stream: ReadableStream): boolean {
  return Boolean((stream as unknown as { _disturbed: boolean })._disturbed);
}

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
