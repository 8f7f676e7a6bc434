/** `crypto.DigestStream`, of Workers: a WritableStream that gives the digest of what was written. */
import { host } from "../host";
import { WritableStream } from "../streams";
import { bytesOf, describe, usv } from "../webidl";
import { normalize } from "./algorithms";
import { compute } from "./compute";

const NOTHING = new Uint8Array();

export class DigestStream extends WritableStream<unknown> {
  #digest: Promise<ArrayBuffer>;
  #written = 0n;

  constructor(algorithm: unknown, strategy: object = {}) {
    const hash = normalize("digest", algorithm).name;
    const { promise, resolve, reject } = Promise.withResolvers<ArrayBuffer>();
    // The host keeps no state: it comes back with each answer, and goes along with the next piece.
    let state: Uint8Array = NOTHING;
    let count!: (bytes: number) => void;
    super(
      {
        async write(chunk) {
          const bytes = typeof chunk === "string" ? new Uint8Array(host.utf8Encode(usv(chunk))) : bytesOf(chunk);
          if (!bytes) throw new TypeError("A DigestStream takes bytes or strings");
          count(bytes.length);
          const [next] = await compute("hash", { hash, key: state, data: bytes, size: 1 });
          state = new Uint8Array(next as ArrayBuffer);
        },
        async close() {
          const [digest] = await compute("hash", { hash, key: state });
          resolve(digest as ArrayBuffer);
        },
        abort(reason) {
          reject(reason);
        },
      },
      strategy,
    );
    count = (bytes) => (this.#written += BigInt(bytes));
    // Who looks at the stream only need not look at this, too.
    promise.catch(() => undefined);
    this.#digest = promise;
  }
  get digest(): Promise<ArrayBuffer> {
    return this.#digest;
  }
  get bytesWritten(): bigint {
    return this.#written;
  }
}
describe(DigestStream, "DigestStream");
