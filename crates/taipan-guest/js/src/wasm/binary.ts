/** The little that JavaScript must read from WebAssembly binaries itself. */

function leb(bytes: Uint8Array, at: { i: number }): number {
  let value = 0, shift = 0, byte;
  do {
    byte = bytes[at.i++]!;
    value |= (byte & 127) << shift;
    shift += 7;
  } while (byte & 128);
  return value >>> 0;
}

export function customSections(bytes: Uint8Array, name: string, decode: (b: Uint8Array) => string): ArrayBuffer[] {
  const found: ArrayBuffer[] = [];
  const at = { i: 8 };
  while (at.i < bytes.length) {
    const id = bytes[at.i++];
    const length = leb(bytes, at);
    const end = at.i + length;
    if (id === 0) {
      const nameLength = leb(bytes, at);
      const nameEnd = at.i + nameLength;
      if (decode(bytes.subarray(at.i, nameEnd)) === name) found.push(bytes.slice(nameEnd, end).buffer);
    }
    at.i = end;
  }
  return found;
}

/** Import "e"."f", export "f": all that follows the type in a module that Emscripten makes around a function. */
const TRAMPOLINE_TAIL = [2, 7, 1, 1, 101, 1, 102, 0, 0, 7, 5, 1, 1, 102, 0, 0];
const TYPE_CODES: Record<number, string> = { 127: "i", 126: "j", 125: "f", 124: "d", 111: "e" };

/**
 * The signature of such a module; undefined for any other. There are some 260 at boot, and compiling each would take
 * longer than all the rest.
 */
export function trampolineSignature(bytes: Uint8Array): string | undefined {
  const tail = bytes.length - TRAMPOLINE_TAIL.length;
  if (tail < 12 || tail > 110 || bytes[8] !== 1) return undefined;
  if (!TRAMPOLINE_TAIL.every((byte, k) => bytes[tail + k] === byte)) return undefined;
  const at = { i: 9 };
  leb(bytes, at); // the section's length
  if (leb(bytes, at) !== 1 || bytes[at.i++] !== 0x60) return undefined;
  const types = () => {
    let text = "";
    for (let n = leb(bytes, at); n > 0; n--) text += TYPE_CODES[bytes[at.i++]!] ?? "?";
    return text;
  };
  const params = types(), results = types();
  if (at.i !== tail || params.includes("?") || results.includes("?") || results.length > 1) return undefined;
  return `${params}:${results || "v"}`;
}
