/** JSON Web Keys, as far as they are text: which members there are, and what they say about a key. */
import { host } from "../host";
import { dictionary } from "../webidl";
import type { KeyAlgorithm } from "./key";

export type Jwk = Record<string, unknown>;

export function badKey(message: string): DOMException {
  return new DOMException(message, "DataError");
}

export function base64Url(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8190) text += btoa(String.fromCharCode(...bytes.subarray(at, at + 8190)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromBase64Url(text: string, what: string): Uint8Array {
  if (!/^[\w-]*$/.test(text)) throw badKey(`This member of the key is no base64url: ${what}`);
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  } catch {
    throw badKey(`This member of the key is no base64url: ${what}`);
  }
}

/** The members that hold numbers, in the order that the host's operations have them. */
const NUMBERS: Record<string, { public: string[]; private: string[] }> = {
  RSA: { public: ["n", "e"], private: ["n", "e", "d", "p", "q", "dp", "dq", "qi"] },
  EC: { public: ["x", "y"], private: ["x", "y", "d"] },
  OKP: { public: ["x"], private: ["x", "d"] },
  oct: { public: ["k"], private: ["k"] },
};

export function keyType(name: string): string {
  if (name.startsWith("RSA")) return "RSA";
  if (name === "ECDSA" || name === "ECDH") return "EC";
  return name === "Ed25519" || name === "X25519" ? "OKP" : "oct";
}

/** The name that a JWK has for an algorithm; undefined where it has none. */
function algName({ name, hash, length }: KeyAlgorithm): string | undefined {
  const bits = hash?.name.slice(4);
  switch (name) {
    case "HMAC":
      return `HS${bits}`;
    case "RSASSA-PKCS1-v1_5":
      return `RS${bits}`;
    case "RSA-PSS":
      return `PS${bits}`;
    case "RSA-OAEP":
      return bits === "1" ? "RSA-OAEP" : `RSA-OAEP-${bits}`;
    case "AES-CBC":
    case "AES-CTR":
    case "AES-GCM":
    case "AES-KW":
      return `A${length}${name.slice(4)}`;
    case "Ed25519":
      return "Ed25519";
    default:
      return undefined;
  }
}

/** What a JWK says, checked against what the caller wants of it. */
export function readJwk(data: unknown, algorithm: KeyAlgorithm, extractable: boolean, usages: string[]): { isPrivate: boolean; parts: Uint8Array[]; jwk: Jwk } {
  const jwk = dictionary(data as Jwk, "The JSON Web Key") as Jwk;
  const type = keyType(algorithm.name);
  if (jwk.kty !== type) throw badKey(`The key has another type than ${type}: ${String(jwk.kty)}`);
  const isPrivate = type !== "oct" && jwk.d !== undefined;
  const use = algorithm.name === "RSA-OAEP" || algorithm.name.startsWith("AES") || algorithm.name === "ECDH" || algorithm.name === "X25519" ? "enc" : "sig";
  if (usages.length && jwk.use !== undefined && jwk.use !== use) throw badKey(`The key is for another use: ${String(jwk.use)}`);
  if (jwk.key_ops !== undefined) {
    const ops = Array.from(jwk.key_ops as Iterable<unknown>, String);
    const missing = usages.find((usage) => !ops.includes(usage));
    if (missing !== undefined) throw badKey(`The key's key_ops do not have this: ${missing}`);
    if (new Set(ops).size !== ops.length) throw badKey("The key's key_ops name something twice");
  }
  if (jwk.ext === false && extractable) throw badKey("The key is not extractable, by its ext");
  const curve = algorithm.namedCurve ?? (type === "OKP" ? algorithm.name : undefined);
  if (curve !== undefined && jwk.crv !== curve) throw badKey(`The key is on another curve than ${curve}: ${String(jwk.crv)}`);
  const names = NUMBERS[type]?.[isPrivate ? "private" : "public"] ?? [];
  const needed = type === "RSA" && isPrivate && names.slice(3).every((name) => jwk[name] === undefined) ? names.slice(0, 3) : names;
  if (jwk.oth !== undefined) throw new DOMException("RSA keys of more than two primes are not supported", "NotSupportedError");
  const parts = needed.map((name) => {
    if (typeof jwk[name] !== "string") throw badKey(`The key has no member ${name}`);
    return fromBase64Url(jwk[name], name);
  });
  return { isPrivate, parts, jwk };
}

/** Once it is known which algorithm a JWK is imported for, its `alg` must be that. */
export function checkAlg(jwk: Jwk, algorithm: KeyAlgorithm): void {
  const alg = algName(algorithm);
  if (jwk.alg === undefined || alg === undefined || jwk.alg === alg) return;
  if (algorithm.name === "Ed25519" && jwk.alg === "EdDSA") return;
  throw badKey(`The key is for another algorithm than ${alg}: ${String(jwk.alg)}`);
}

export function writeJwk(parts: Uint8Array[], algorithm: KeyAlgorithm, isPrivate: boolean, usages: string[], extractable: boolean): Jwk {
  const type = keyType(algorithm.name);
  const jwk: Jwk = { key_ops: [...usages], ext: extractable, kty: type };
  const curve = algorithm.namedCurve ?? (type === "OKP" ? algorithm.name : undefined);
  if (curve) jwk.crv = curve;
  const names = NUMBERS[type]?.[isPrivate ? "private" : "public"] ?? [];
  names.forEach((name, i) => (jwk[name] = base64Url(parts[i] as Uint8Array)));
  const alg = algName(algorithm);
  if (alg) jwk.alg = alg;
  return jwk;
}

export function parseJwk(bytes: ArrayBuffer): unknown {
  try {
    return JSON.parse(host.utf8Decode(new Uint8Array(bytes)));
  } catch {
    throw badKey("The unwrapped data is no JSON Web Key");
  }
}
