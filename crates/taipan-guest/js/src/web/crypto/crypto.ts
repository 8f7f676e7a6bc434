/** `crypto`: randomness of the host's on the spot, and the way to what takes time (`subtle`). */
import { host } from "../host";
import { bytesOf, describe } from "../webidl";
import { DigestStream } from "./digest-stream";
import { SubtleCrypto } from "./subtle";

const QUOTA = 65536;
const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

const subtle = new SubtleCrypto();

export class Crypto {
  get subtle(): SubtleCrypto {
    return subtle;
  }
  get DigestStream(): typeof DigestStream {
    return DigestStream;
  }
  getRandomValues<T extends ArrayBufferView>(array: T): T {
    const isInteger = ArrayBuffer.isView(array) && /^(Big)?(Int|Uint)\d+(Clamped)?Array$/.test(tagOf(array));
    if (!isInteger) throw new DOMException("The argument is not an integer typed array", "TypeMismatchError");
    if (array.byteLength > QUOTA) {
      const message = `One call fills ${QUOTA} bytes at most, not ${array.byteLength}`;
      throw new DOMException(message, "QuotaExceededError");
    }
    host.random(bytesOf(array) as Uint8Array);
    return array;
  }
  randomUUID(): string {
    const bytes = new Uint8Array(16);
    host.random(bytes);
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => HEX[byte]).join("");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }
}
describe(Crypto, "Crypto");

function tagOf(array: ArrayBufferView): string {
  return (array as { [Symbol.toStringTag]?: string })[Symbol.toStringTag] ?? "";
}
