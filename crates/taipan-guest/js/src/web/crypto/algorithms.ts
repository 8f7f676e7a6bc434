/** Which algorithms there are, what they can do, and what their parameters are: the tables of the Web Cryptography standard. */
import { bytesOf, dictionary } from "../webidl";
import { CryptoKey } from "./key";

export function unsupported(message: string): DOMException {
  return new DOMException(message, "NotSupportedError");
}

/** How to convert a parameter; with `?` it may be missing. */
type Conversion = "bytes" | "bytes?" | "number" | "number?" | "hash" | "string" | "exponent" | "key";

export interface Params {
  name: string;
  hash?: { name: string };
  iv?: Uint8Array;
  counter?: Uint8Array;
  label?: Uint8Array;
  salt?: Uint8Array;
  info?: Uint8Array;
  additionalData?: Uint8Array;
  length?: number;
  tagLength?: number;
  saltLength?: number;
  iterations?: number;
  modulusLength?: number;
  publicExponent?: Uint8Array;
  namedCurve?: string;
  public?: CryptoKey;
}

type Shape = Partial<Record<Exclude<keyof Params, "name">, Conversion>>;

export type Operation = "digest" | "encrypt" | "sign" | "generate" | "import" | "derive" | "wrap" | "length";

const NONE: Shape = {};
const RSA_KEY: Shape = { hash: "hash", modulusLength: "number", publicExponent: "exponent" };
const CURVE: Shape = { namedCurve: "string" };
const HASHED: Shape = { hash: "hash" };
const LENGTH: Shape = { length: "number" };

/** What each algorithm can do, and with which parameters. `encrypt` and `sign` stand for their opposites, too. */
const ALGORITHMS: Record<string, Partial<Record<Operation, Shape>>> = {
  MD5: { digest: NONE },
  "SHA-1": { digest: NONE },
  "SHA-256": { digest: NONE },
  "SHA-384": { digest: NONE },
  "SHA-512": { digest: NONE },
  "AES-CBC": { encrypt: { iv: "bytes" }, generate: LENGTH, import: NONE, length: LENGTH },
  "AES-CTR": { encrypt: { counter: "bytes", length: "number" }, generate: LENGTH, import: NONE, length: LENGTH },
  "AES-GCM": { encrypt: { iv: "bytes", additionalData: "bytes?", tagLength: "number?" }, generate: LENGTH, import: NONE, length: LENGTH },
  "AES-KW": { wrap: NONE, generate: LENGTH, import: NONE, length: LENGTH },
  HMAC: { sign: NONE, generate: { hash: "hash", length: "number?" }, import: { hash: "hash", length: "number?" }, length: { hash: "hash", length: "number?" } },
  "RSASSA-PKCS1-v1_5": { sign: NONE, generate: RSA_KEY, import: HASHED },
  "RSA-PSS": { sign: { saltLength: "number" }, generate: RSA_KEY, import: HASHED },
  "RSA-OAEP": { encrypt: { label: "bytes?" }, generate: RSA_KEY, import: HASHED },
  ECDSA: { sign: HASHED, generate: CURVE, import: CURVE },
  ECDH: { derive: { public: "key" }, generate: CURVE, import: CURVE },
  Ed25519: { sign: NONE, generate: NONE, import: NONE },
  X25519: { derive: { public: "key" }, generate: NONE, import: NONE },
  HKDF: { derive: { hash: "hash", salt: "bytes", info: "bytes" }, import: NONE, length: NONE },
  PBKDF2: { derive: { hash: "hash", salt: "bytes", iterations: "number" }, import: NONE, length: NONE },
};

const BY_UPPER = new Map(Object.keys(ALGORITHMS).map((name) => [name.toUpperCase(), name]));

/** The standard's "normalize an algorithm". */
export function normalize(operation: Operation, algorithm: unknown): Params {
  const isObject = typeof algorithm === "object" && algorithm !== null;
  const given = isObject ? (dictionary(algorithm, "The algorithm") as Record<string, unknown>) : { name: `${algorithm as string}` };
  if (given.name === undefined) throw new TypeError("The algorithm has no name");
  const name = BY_UPPER.get(`${given.name as string}`.toUpperCase());
  const shape = name === undefined ? undefined : ALGORITHMS[name]?.[operation];
  if (name === undefined || !shape) throw unsupported(`There is no such algorithm for this: ${given.name as string}`);
  const params: Record<string, unknown> = { name };
  for (const [key, conversion] of Object.entries(shape)) params[key] = convert(name, key, conversion, given[key]);
  return params as unknown as Params;
}

/** Whether the algorithm can do it. */
export function can(operation: Operation, algorithm: unknown): boolean {
  const given = typeof algorithm === "object" && algorithm !== null ? (algorithm as { name?: unknown }).name : algorithm;
  const name = BY_UPPER.get(String(given).toUpperCase());
  return name !== undefined && ALGORITHMS[name]?.[operation] !== undefined;
}

function convert(name: string, key: string, conversion: Conversion, value: unknown): unknown {
  if (value === undefined) {
    if (conversion.endsWith("?")) return undefined;
    throw new TypeError(`${name} needs a parameter: ${key}`);
  }
  switch (conversion) {
    case "bytes":
    case "bytes?": {
      const bytes = bytesOf(value);
      if (!bytes) throw new TypeError(`This parameter of ${name} is no buffer: ${key}`);
      return bytes.slice();
    }
    case "exponent":
      if (!(value instanceof Uint8Array)) throw new TypeError(`This parameter of ${name} is no Uint8Array: ${key}`);
      return value.slice();
    case "number":
    case "number?": {
      const number = Math.trunc(Number(value));
      if (!(number >= 0 && number <= 0xffffffff)) throw new TypeError(`This parameter of ${name} is no whole number: ${key}`);
      return number;
    }
    case "hash": {
      const hash = normalize("digest", value).name;
      // It is there to check what others have published, and for nothing else.
      if (hash === "MD5") throw unsupported(`There is no such hash for ${name}: MD5`);
      return { name: hash };
    }
    case "string":
      return `${value as string}`;
    case "key":
      if (!(value instanceof CryptoKey)) throw new TypeError(`This parameter of ${name} is no CryptoKey: ${key}`);
      return value;
  }
}

const CRYPT = ["encrypt", "decrypt", "wrapKey", "unwrapKey"];
const DERIVE = ["deriveKey", "deriveBits"];
const ALL_USAGES = [...CRYPT.slice(0, 2), "sign", "verify", ...DERIVE, ...CRYPT.slice(2)];

/** What a key of this kind may be used for. */
function usagesOf(name: string, type: string): readonly string[] {
  switch (name) {
    case "AES-KW":
      return CRYPT.slice(2);
    case "HMAC":
      return ["sign", "verify"];
    case "RSASSA-PKCS1-v1_5":
    case "RSA-PSS":
    case "ECDSA":
    case "Ed25519":
      return type === "private" ? ["sign"] : ["verify"];
    case "RSA-OAEP":
      return type === "private" ? ["decrypt", "unwrapKey"] : ["encrypt", "wrapKey"];
    case "ECDH":
    case "X25519":
      return type === "private" ? DERIVE : [];
    case "HKDF":
    case "PBKDF2":
      return DERIVE;
    default:
      return CRYPT;
  }
}

/** The usages, each once and in the standard's order. */
export function usageList(usages: unknown): string[] {
  if (typeof usages !== "object" || usages === null || !(Symbol.iterator in usages)) throw new TypeError("The usages are not a sequence");
  const given = Array.from(usages as Iterable<unknown>, String);
  const wrong = given.find((usage) => !ALL_USAGES.includes(usage));
  if (wrong !== undefined) throw new TypeError(`There is no such usage: ${wrong}`);
  return ALL_USAGES.filter((usage) => given.includes(usage));
}

/** Throws when a key cannot be used for one of these. */
export function checkUsages(name: string, type: string, usages: string[]): void {
  const wrong = usages.find((usage) => !usagesOf(name, type).includes(usage));
  if (wrong !== undefined) throw new DOMException(`A ${type} key of ${name} is not for this: ${wrong}`, "SyntaxError");
}

/** Those of a new pair's usages that the half can have. */
export function usagesFor(name: string, type: string, usages: string[]): string[] {
  return usages.filter((usage) => usagesOf(name, type).includes(usage));
}

/** In bits, as HMAC's keys have them by default. */
export function blockSize(hash: string): number {
  return hash === "SHA-384" || hash === "SHA-512" ? 1024 : 512;
}
