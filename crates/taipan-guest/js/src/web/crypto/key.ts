/** CryptoKey. Its material is bytes in the guest, in the form that the host's operations take (`taipan-bindings/src/ops/crypto`). */
import { inspected } from "../inspect";
import { describe } from "../webidl";

export type KeyType = "secret" | "private" | "public";

export interface KeyAlgorithm {
  readonly name: string;
  readonly hash?: { readonly name: string };
  readonly length?: number;
  readonly namedCurve?: string;
  readonly modulusLength?: number;
  readonly publicExponent?: Uint8Array;
}

export interface KeyInit {
  type: KeyType;
  extractable: boolean;
  algorithm: KeyAlgorithm;
  usages: string[];
  material: Uint8Array;
}

const SECRET = Symbol("CryptoKey");
let make!: (init: KeyInit) => CryptoKey;
let materialOf!: (key: CryptoKey) => Uint8Array;

export class CryptoKey {
  #init: KeyInit;

  static {
    make = (init) => new (CryptoKey as unknown as new (secret: symbol, init: KeyInit) => CryptoKey)(SECRET, init);
    materialOf = (key) => key.#init.material;
  }

  constructor(secret: unknown = undefined, init: unknown = undefined) {
    if (secret !== SECRET) throw new TypeError("Illegal constructor: keys are made by crypto.subtle");
    this.#init = init as KeyInit;
  }
  get type(): KeyType {
    return this.#init.type;
  }
  get extractable(): boolean {
    return this.#init.extractable;
  }
  get algorithm(): KeyAlgorithm {
    return this.#init.algorithm;
  }
  get usages(): string[] {
    return this.#init.usages;
  }
}
describe(CryptoKey, "CryptoKey");
Object.defineProperty(CryptoKey.prototype, inspected, {
  value(this: CryptoKey) {
    const { type, extractable, algorithm, usages } = this;
    return { type, extractable, algorithm, usages };
  },
});

export { make as makeKey, materialOf };
