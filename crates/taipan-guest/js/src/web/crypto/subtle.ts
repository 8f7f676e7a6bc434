/**
 * `crypto.subtle`: checks and conversions of the Web Cryptography standard; the host computes.
 *
 * What a caller passes is handed to the host before the method returns, so that later changes of it have no effect.
 */
import { host, syncOp } from "../host";
import { bytesOf, describe, need } from "../webidl";
import type { Params } from "./algorithms";
import { blockSize, can, checkUsages, normalize, unsupported, usageList, usagesFor } from "./algorithms";
import type { Task } from "./compute";
import { compute } from "./compute";
import { badKey, checkAlg, keyType, parseJwk, readJwk, writeJwk } from "./jwk";
import type { KeyAlgorithm, KeyType } from "./key";
import { CryptoKey, makeKey, materialOf } from "./key";

const equalOp = syncOp("crypto.equal");

type Format = "raw" | "pkcs8" | "spki" | "jwk";

function bytes(value: unknown, what: string): Uint8Array {
  const found = bytesOf(value);
  if (!found) throw new TypeError(`${what} is neither an ArrayBuffer nor a view of one`);
  return found;
}

function keyFor(key: unknown, name: string | undefined, usage: string): CryptoKey {
  if (!(key instanceof CryptoKey)) throw new TypeError("The key is not a CryptoKey");
  const wrong = (message: string) => new DOMException(message, "InvalidAccessError");
  if (name !== undefined && key.algorithm.name !== name) throw wrong(`The key is for ${key.algorithm.name}, not for ${name}`);
  if (!key.usages.includes(usage)) throw wrong(`The key is not for this: ${usage}`);
  return key;
}

/** What the host needs to know for an operation of a cipher or a signature. */
function taskOf(params: Params, key: CryptoKey, data: Uint8Array): Task {
  const { name } = params;
  const task: Task = { algorithm: name, key: materialOf(key), data, hash: key.algorithm.hash?.name, curve: curveOf(key.algorithm) };
  switch (name) {
    case "AES-GCM":
      return { ...task, extra: params.iv, info: params.additionalData, size: params.tagLength ?? 128 };
    case "AES-CBC":
      return { ...task, extra: params.iv };
    case "AES-CTR":
      return { ...task, extra: params.counter, size: params.length };
    case "RSA-OAEP":
      return { ...task, extra: params.label };
    case "RSA-PSS":
      return { ...task, size: params.saltLength };
    case "ECDSA":
      return { ...task, hash: params.hash?.name };
    default:
      return task;
  }
}

/** What the host calls the kind of key. */
function curveOf(algorithm: KeyAlgorithm): string {
  const type = keyType(algorithm.name);
  return type === "RSA" ? "RSA" : type === "OKP" ? algorithm.name : (algorithm.namedCurve ?? "");
}

function checkCurve(params: Params): void {
  if (params.namedCurve !== undefined && !["P-256", "P-384", "P-521"].includes(params.namedCurve)) throw unsupported(`There is no such curve: ${params.namedCurve}`);
}

function aesLength(length: number | undefined): number {
  if (length !== 128 && length !== 192 && length !== 256) throw new DOMException(`A key of AES has 128, 192 or 256 bits, not ${String(length)}`, "OperationError");
  return length;
}

/** The standard's "get key length": how many bits a derived key has. */
function derivedLength(params: Params): number | null {
  if (params.name.startsWith("AES")) return aesLength(params.length);
  if (params.name !== "HMAC") return null;
  if (params.length === 0) throw new TypeError("A key has one bit at least");
  return params.length ?? blockSize(params.hash?.name ?? "");
}

function checkNotEmpty(type: KeyType, usages: string[]): void {
  if (type !== "public" && !usages.length) throw new DOMException(`A ${type} key needs a usage`, "SyntaxError");
}

async function deriveBits(params: Params, key: CryptoKey, length: number | null): Promise<ArrayBuffer> {
  const { name } = params;
  const fails = (message: string) => new DOMException(message, "OperationError");
  const task: Task = { algorithm: name, key: materialOf(key), hash: params.hash?.name };
  if (name === "HKDF" || name === "PBKDF2") {
    if (length === null || length % 8) throw fails("The length is not a multiple of 8 bits");
    if (name === "PBKDF2" && !params.iterations) throw fails("PBKDF2 needs one iteration at least");
    if (!length) return new ArrayBuffer(0);
    const [bits] = await compute("derive", { ...task, extra: params.salt, info: params.info, size: length, rounds: params.iterations });
    return bits as ArrayBuffer;
  }
  const peer = params.public as CryptoKey;
  const wrong = (message: string) => new DOMException(message, "InvalidAccessError");
  if (key.type !== "private" || peer.type !== "public") throw wrong("A private key and the peer's public key are needed");
  if (peer.algorithm.name !== key.algorithm.name || peer.algorithm.namedCurve !== key.algorithm.namedCurve) {
    throw wrong("The peer's key is for another algorithm or curve");
  }
  const [secret] = (await compute("derive", { ...task, curve: curveOf(key.algorithm), extra: materialOf(peer) })) as [ArrayBuffer];
  if (length === null) return secret;
  if (length > secret.byteLength * 8) throw fails(`There are ${secret.byteLength * 8} bits only, not ${length}`);
  const cut = secret.slice(0, Math.ceil(length / 8));
  if (length % 8) {
    const view = new Uint8Array(cut);
    view[view.length - 1] = (view[view.length - 1] as number) & (0xff << (8 - (length % 8)));
  }
  return cut;
}

async function importKey(format: Format, data: unknown, params: Params, extractable: boolean, usages: string[]): Promise<CryptoKey> {
  checkCurve(params);
  const { name } = params;
  const type = keyType(name);
  const parsed = format === "jwk" ? readJwk(data, params, extractable, usages) : undefined;
  if (type === "oct") {
    if (format !== "raw" && (format !== "jwk" || name === "HKDF" || name === "PBKDF2")) throw unsupported(`Keys of ${name} do not come as ${format}`);
    checkUsages(name, "secret", usages);
    const material = (parsed ? (parsed.parts[0] as Uint8Array) : bytes(data, "The key data")).slice();
    let algorithm: KeyAlgorithm = { name };
    if (name === "HMAC") {
      const length = params.length ?? material.length * 8;
      if (!material.length || length > material.length * 8 || length <= material.length * 8 - 8) throw badKey(`The key has ${material.length} bytes, which is not ${length} bits`);
      if (length % 8) material[material.length - 1] = (material[material.length - 1] as number) & (0xff << (8 - (length % 8)));
      algorithm = { name, hash: params.hash as { name: string }, length };
    } else if (name.startsWith("AES")) {
      if (![16, 24, 32].includes(material.length)) throw badKey(`A key of AES has 128, 192 or 256 bits, not ${material.length * 8}`);
      algorithm = { name, length: material.length * 8 };
    } else if (extractable) {
      throw new DOMException(`A key of ${name} cannot be extractable`, "SyntaxError");
    }
    if (parsed) checkAlg(parsed.jwk, algorithm);
    checkNotEmpty("secret", usages);
    return makeKey({ type: "secret", extractable, algorithm, usages, material });
  }
  if (format === "raw" && type === "RSA") throw unsupported("RSA keys do not come as raw");
  const isPrivate = parsed ? parsed.isPrivate : format === "pkcs8";
  const kind: KeyType = isPrivate ? "private" : "public";
  checkUsages(name, kind, usages);
  if (parsed) checkAlg(parsed.jwk, params);
  const task: Task = { algorithm: format, curve: curveOf(params), size: Number(isPrivate), parts: parsed?.parts ?? [] };
  if (!parsed) task.data = bytes(data, "The key data");
  const [material, bits, exponent] = (await compute("import", task)) as [ArrayBuffer, number, ArrayBuffer];
  checkNotEmpty(kind, usages);
  let algorithm: KeyAlgorithm = { name };
  if (params.namedCurve) algorithm = { name, namedCurve: params.namedCurve };
  if (type === "RSA") algorithm = { name, modulusLength: bits, publicExponent: new Uint8Array(exponent), hash: params.hash as { name: string } };
  return makeKey({ type: kind, extractable, algorithm, usages, material: new Uint8Array(material) });
}

async function exportKey(format: Format, key: CryptoKey): Promise<unknown> {
  if (!key.extractable) throw new DOMException("The key is not extractable", "InvalidAccessError");
  const { algorithm, type, usages } = key;
  const material = materialOf(key);
  const isPrivate = type === "private";
  if (type === "secret") {
    if (format === "raw") return material.slice().buffer;
    if (format === "jwk") return writeJwk([material], algorithm, false, usages, true);
    throw unsupported(`Keys of ${algorithm.name} are not exported as ${format}`);
  }
  const fits = format === "jwk" || (isPrivate ? format === "pkcs8" : format === "spki" || (format === "raw" && keyType(algorithm.name) !== "RSA"));
  if (!fits) throw new DOMException(`A ${type} key of ${algorithm.name} is not exported as ${format}`, format === "raw" && keyType(algorithm.name) === "RSA" ? "NotSupportedError" : "InvalidAccessError");
  const parts = (await compute("export", { algorithm: format, curve: curveOf(algorithm), key: material, size: Number(isPrivate) })) as ArrayBuffer[];
  if (format !== "jwk") return parts[0];
  return writeJwk(parts.map((part) => new Uint8Array(part)), algorithm, isPrivate, usages, true);
}

function formatOf(format: unknown): Format {
  const text = `${format as string}`;
  if (!["raw", "pkcs8", "spki", "jwk"].includes(text)) throw new TypeError(`There is no such format of keys: ${text}`);
  return text as Format;
}

/** For wrapping: whatever is not made for it can be encrypted. */
function normalizeWrapping(algorithm: unknown): Params {
  return normalize(can("wrap", algorithm) ? "wrap" : "encrypt", algorithm);
}

export class SubtleCrypto {
  async digest(algorithm: unknown, data: unknown): Promise<ArrayBuffer> {
    const { name } = normalize("digest", algorithm);
    const [digest] = await compute("hash", { hash: name, data: bytes(data, "The data") });
    return digest as ArrayBuffer;
  }

  async encrypt(algorithm: unknown, key: CryptoKey, data: unknown): Promise<ArrayBuffer> {
    const params = normalize("encrypt", algorithm);
    const [result] = await compute("encrypt", taskOf(params, keyFor(key, params.name, "encrypt"), bytes(data, "The data")));
    return result as ArrayBuffer;
  }

  async decrypt(algorithm: unknown, key: CryptoKey, data: unknown): Promise<ArrayBuffer> {
    const params = normalize("encrypt", algorithm);
    const [result] = await compute("decrypt", taskOf(params, keyFor(key, params.name, "decrypt"), bytes(data, "The data")));
    return result as ArrayBuffer;
  }

  async sign(algorithm: unknown, key: CryptoKey, data: unknown): Promise<ArrayBuffer> {
    const params = normalize("sign", algorithm);
    const [result] = await compute("sign", taskOf(params, keyFor(key, params.name, "sign"), bytes(data, "The data")));
    return result as ArrayBuffer;
  }

  async verify(algorithm: unknown, key: CryptoKey, signature: unknown, data: unknown): Promise<boolean> {
    const params = normalize("sign", algorithm);
    const extra = bytes(signature, "The signature");
    const [result] = await compute("verify", { ...taskOf(params, keyFor(key, params.name, "verify"), bytes(data, "The data")), extra });
    return result === 1;
  }

  async generateKey(algorithm: unknown, extractable: boolean, usages: Iterable<string>): Promise<CryptoKey | { publicKey: CryptoKey; privateKey: CryptoKey }> {
    const params = normalize("generate", algorithm);
    const wanted = usageList(usages);
    checkCurve(params);
    const { name } = params;
    if (keyType(name) === "oct") {
      checkUsages(name, "secret", wanted);
      if (params.length === 0) throw new DOMException("A key has one bit at least", "OperationError");
      const length = derivedLength(params) as number;
      checkNotEmpty("secret", wanted);
      const material = new Uint8Array(Math.ceil(length / 8));
      host.random(material);
      const keyAlgorithm = name === "HMAC" ? { name, hash: params.hash as { name: string }, length } : { name, length };
      return makeKey({ type: "secret", extractable: Boolean(extractable), algorithm: keyAlgorithm, usages: wanted, material });
    }
    const unusable = wanted.find((usage) => !usagesFor(name, "private", [usage]).length && !usagesFor(name, "public", [usage]).length);
    if (unusable !== undefined) throw new DOMException(`A key of ${name} is not for this: ${unusable}`, "SyntaxError");
    const privateUsages = usagesFor(name, "private", wanted);
    checkNotEmpty("private", privateUsages);
    const { modulusLength, publicExponent } = params;
    const pair = await compute("generate", { curve: curveOf(params), size: modulusLength, extra: publicExponent });
    const [privateMaterial, publicMaterial] = pair as [ArrayBuffer, ArrayBuffer];
    let keyAlgorithm: KeyAlgorithm = { name };
    if (params.namedCurve) keyAlgorithm = { name, namedCurve: params.namedCurve };
    if (modulusLength && publicExponent) keyAlgorithm = { name, modulusLength, publicExponent, hash: params.hash as { name: string } };
    const half = (type: KeyType, material: ArrayBuffer, isExtractable: boolean, its: string[]) =>
      makeKey({ type, extractable: isExtractable, algorithm: keyAlgorithm, usages: its, material: new Uint8Array(material) });
    return {
      publicKey: half("public", publicMaterial, true, usagesFor(name, "public", wanted)),
      privateKey: half("private", privateMaterial, Boolean(extractable), privateUsages),
    };
  }

  async importKey(format: string, data: unknown, algorithm: unknown, extractable: boolean, usages: Iterable<string>): Promise<CryptoKey> {
    return importKey(formatOf(format), data, normalize("import", algorithm), Boolean(extractable), usageList(usages));
  }

  async exportKey(format: string, key: CryptoKey): Promise<unknown> {
    if (!(key instanceof CryptoKey)) throw new TypeError("The key is not a CryptoKey");
    return exportKey(formatOf(format), key);
  }

  async deriveBits(algorithm: unknown, baseKey: CryptoKey, length: number | null = null): Promise<ArrayBuffer> {
    const params = normalize("derive", algorithm);
    return deriveBits(params, keyFor(baseKey, params.name, "deriveBits"), length === null ? null : Number(length) >>> 0);
  }

  async deriveKey(algorithm: unknown, baseKey: CryptoKey, derivedKeyType: unknown, extractable: boolean, usages: Iterable<string>): Promise<CryptoKey> {
    const params = normalize("derive", algorithm);
    const derived = normalize("import", derivedKeyType);
    const length = derivedLength(normalize("length", derivedKeyType));
    const wanted = usageList(usages);
    const bits = await deriveBits(params, keyFor(baseKey, params.name, "deriveKey"), length);
    return importKey("raw", bits, derived, Boolean(extractable), wanted);
  }

  async wrapKey(format: string, key: CryptoKey, wrappingKey: CryptoKey, algorithm: unknown): Promise<ArrayBuffer> {
    const params = normalizeWrapping(algorithm);
    if (!(key instanceof CryptoKey)) throw new TypeError("The key is not a CryptoKey");
    const wrapping = keyFor(wrappingKey, params.name, "wrapKey");
    const exported = await exportKey(formatOf(format), key);
    const data = new Uint8Array(exported instanceof ArrayBuffer ? exported : host.utf8Encode(JSON.stringify(exported)));
    const [wrapped] = await compute("encrypt", taskOf(params, wrapping, data));
    return wrapped as ArrayBuffer;
  }

  async unwrapKey(
    format: string,
    wrappedKey: unknown,
    unwrappingKey: CryptoKey,
    unwrapAlgorithm: unknown,
    unwrappedKeyAlgorithm: unknown,
    extractable: boolean,
    usages: Iterable<string>,
  ): Promise<CryptoKey> {
    const params = normalizeWrapping(unwrapAlgorithm);
    const imported = normalize("import", unwrappedKeyAlgorithm);
    const wanted = usageList(usages);
    const form = formatOf(format);
    const task = taskOf(params, keyFor(unwrappingKey, params.name, "unwrapKey"), bytes(wrappedKey, "The wrapped key"));
    const [data] = (await compute("decrypt", task)) as [ArrayBuffer];
    return importKey(form, form === "jwk" ? parseJwk(data) : data, imported, Boolean(extractable), wanted);
  }

  /** Of Workers: as long for what differs as for what does not. */
  timingSafeEqual(a: unknown, b: unknown): boolean {
    need(arguments.length, 2, "timingSafeEqual");
    const [left, right] = [bytes(a, "The first argument"), bytes(b, "The second argument")];
    if (left.length !== right.length) throw new TypeError("The arguments differ in length");
    return equalOp(left, right)[0] === 1;
  }
}
describe(SubtleCrypto, "SubtleCrypto");
