/**
 * TextEncoder and TextDecoder. UTF-8 is the engine's, UTF-16 is done here, and so is windows-1252; the other encodings of old are the host's.
 */
import { host, syncOp } from "./host";
import { bytesOf, describe, dictionary } from "./webidl";

const labelOp = syncOp("text.label");
const decodeOp = syncOp("text.decode");

const NOTHING = new Uint8Array();

export class TextEncoder {
  get encoding(): string {
    return "utf-8";
  }

  encode(input: string = ""): Uint8Array {
    return new Uint8Array(host.utf8Encode(`${input}`));
  }

  encodeInto(source: string, destination: Uint8Array): { read: number; written: number } {
    if (!(destination instanceof Uint8Array)) throw new TypeError("The destination is not a Uint8Array");
    const text = `${source}`;
    // Every character takes a byte at least, so no more of the text can fit; and a pair is not to be split.
    let end = Math.min(text.length, destination.length);
    if (end > 0 && end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end--;
    if (end === 0) return { read: 0, written: 0 };
    const bytes = new Uint8Array(host.utf8Encode(end === text.length ? text : text.slice(0, end)));
    if (bytes.length <= destination.length) {
      destination.set(bytes);
      // The pair left out above fits if the rest was as short as that.
      if (end < text.length && destination.length - bytes.length >= 4) {
        const pair = this.encodeInto(text.slice(end, end + 2), destination.subarray(bytes.length));
        return { read: end + pair.read, written: bytes.length + pair.written };
      }
      return { read: end, written: bytes.length };
    }
    let written = destination.length;
    while (written > 0 && ((bytes[written] as number) & 0xc0) === 0x80) written--;
    const fitting = bytes.subarray(0, written);
    destination.set(fitting);
    // A lone surrogate is one unit here and one U+FFFD there.
    return { read: host.utf8Decode(fitting).length, written };
  }
}
describe(TextEncoder, "TextEncoder");

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

export interface TextDecoderOptions {
  fatal?: boolean;
  ignoreBOM?: boolean;
}

export class TextDecoder {
  #encoding: string;
  #fatal: boolean;
  #ignoreBOM: boolean;
  #isSimple: boolean;
  /** Bytes of an earlier chunk that are not a whole character yet. */
  #pending: Uint8Array = NOTHING;
  /** Whether a byte order mark is behind us: only the first character of a stream can be one. */
  #begun = false;

  constructor(label: string = "utf-8", options: TextDecoderOptions | null = {}) {
    const { fatal, ignoreBOM } = dictionary(options, "The decoder's options");
    this.#encoding = canonical(`${label}`);
    this.#fatal = Boolean(fatal);
    this.#ignoreBOM = Boolean(ignoreBOM);
    this.#isSimple = this.#encoding === "utf-8" && !this.#fatal && !this.#ignoreBOM;
  }
  get encoding(): string {
    return this.#encoding;
  }
  get fatal(): boolean {
    return this.#fatal;
  }
  get ignoreBOM(): boolean {
    return this.#ignoreBOM;
  }

  decode(input: unknown = undefined, options: { stream?: boolean } | null = {}): string {
    // Pyodide's glue comes this way with every longer string.
    if (
      this.#isSimple &&
      input instanceof Uint8Array &&
      arguments.length === 1 &&
      !this.#begun &&
      !this.#pending.length
    ) {
      const text = host.utf8Decode(input);
      return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
    }
    const given = input === undefined ? NOTHING : bytesOf(input);
    if (!given) throw new TypeError("The input is neither an ArrayBuffer nor a view of one");
    const stream = Boolean(options?.stream);
    let bytes: Uint8Array = given;
    if (this.#pending.length) {
      bytes = new Uint8Array(this.#pending.length + given.length);
      bytes.set(this.#pending);
      bytes.set(given, this.#pending.length);
      this.#pending = NOTHING;
    }
    if (stream) {
      const whole = bytes.length - unfinished(this.#encoding, bytes);
      this.#pending = bytes.slice(whole);
      bytes = bytes.subarray(0, whole);
      if (!bytes.length) return "";
    }
    const begun = this.#begun;
    this.#begun = stream;
    try {
      const text = this.#decodeWhole(bytes);
      return !begun && !this.#ignoreBOM && text.charCodeAt(0) === 0xfeff && this.#isUnicode() ? text.slice(1) : text;
    } catch (error) {
      this.#pending = NOTHING;
      this.#begun = false;
      throw error;
    }
  }

  #isUnicode(): boolean {
    return this.#encoding.startsWith("utf-");
  }

  #decodeWhole(bytes: Uint8Array): string {
    switch (this.#encoding) {
      case "utf-8":
        if (this.#fatal && !host.utf8Valid(bytes)) throw this.#invalid();
        return host.utf8Decode(bytes);
      case "utf-16le":
      case "utf-16be": {
        const text = decodeUtf16(bytes, this.#encoding === "utf-16le");
        const isWhole = bytes.length % 2 === 0 && text.isWellFormed();
        if (this.#fatal && !isWhole) throw this.#invalid();
        return isWhole ? text : text.toWellFormed() + (bytes.length % 2 ? oddByte(text) : "");
      }
      case "windows-1252":
        return decodeWindows1252(bytes);
      default:
        return decodeOp(this.#encoding, bytes, Number(this.#fatal), 1)[0] as string;
    }
  }

  #invalid(): TypeError {
    return new TypeError(`The bytes are not valid ${this.#encoding}`);
  }
}
describe(TextDecoder, "TextDecoder");

/** What the bytes from 0x80 to 0x9f stand for; the others are the first 256 characters of Unicode. */
const WINDOWS_1252 = "\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178";

/** Here and not with the host, because Python's Latin-1 strings come this way. */
function decodeWindows1252(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text.replace(/[\x80-\x9f]/g, c => WINDOWS_1252[c.charCodeAt(0) - 0x80] as string);
}

/** One replacement for a byte left over, but not a second one when the text ends with half a pair. */
function oddByte(text: string): string {
  return isHighSurrogate(text.charCodeAt(text.length - 1)) ? "" : "\ufffd";
}

function canonical(label: string): string {
  if (label === "utf8") return "utf-8";
  if (label === "latin1") return "windows-1252";
  return ["utf-8", "utf-16le", "utf-16be"].includes(label) ? label : (labelOp(label)[0] as string);
}

function decodeUtf16(bytes: Uint8Array, littleEndian: boolean): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength & ~1);
  let text = "";
  // As many as a call may have arguments, with room to spare.
  for (let i = 0; i < view.byteLength; i += 8192) {
    const units = new Uint16Array(Math.min(4096, (view.byteLength - i) / 2));
    for (let k = 0; k < units.length; k++) units[k] = view.getUint16(i + 2 * k, littleEndian);
    text += String.fromCharCode.apply(null, units as unknown as number[]);
  }
  return text;
}

/** How many bytes at the end may begin a character that later bytes complete. */
function unfinished(encoding: string, bytes: Uint8Array): number {
  const { length } = bytes;
  switch (encoding) {
    case "utf-8":
      return unfinishedUtf8(bytes);
    case "utf-16le":
    case "utf-16be": {
      const odd = length % 2;
      const high = bytes[length - odd - (encoding === "utf-16le" ? 1 : 2)];
      return odd + (high !== undefined && high >= 0xd8 && high <= 0xdb ? 2 : 0);
    }
    case "gbk":
    case "gb18030":
    case "big5":
    case "euc-jp":
    case "shift_jis":
    case "euc-kr":
      // Only the operation knows these.
      return decodeOp(encoding, bytes, 0, 1, 1)[1] as number;
    case "iso-2022-jp":
      // What bytes mean depends on those before them, and the operation keeps no state between calls: the text comes whole at the end.
      return length;
    default:
      return 0;
  }
}

function unfinishedUtf8(bytes: Uint8Array): number {
  for (let n = 1; n <= 3 && n <= bytes.length; n++) {
    const byte = bytes[bytes.length - n] as number;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    // What is wrong already is not waiting for more: an alone it decodes to nothing but replacements.
    return n < size && isPrefix(bytes.subarray(bytes.length - n)) ? n : 0;
  }
  return 0;
}

/** Whether an incomplete sequence can still become a character: its lossy decoding is then a single U+FFFD. */
function isPrefix(bytes: Uint8Array): boolean {
  const lead = bytes[0] as number;
  return lead >= 0xc2 && lead <= 0xf4 && host.utf8Decode(bytes).length === 1;
}
