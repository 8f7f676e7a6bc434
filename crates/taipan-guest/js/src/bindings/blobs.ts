/** Streams whose bytes are the host's. */
import type { PullSource } from "../web/body";
import { streamFrom, untouchedPull } from "../web/body";
import type { ReadableStream } from "../web/streams";
import { bytesOf } from "../web/webidl";
import type { Access, Blobs } from "./access";

/** Blobs that nobody will read. */
const dropped = new FinalizationRegistry<{ blobs: Blobs; blob: number }>(({ blobs, blob }) => blobs.drop(blob));

/** Has the blob dropped once nobody can ask `owner` for it any more. */
export const dropWith = (owner: object, { blobs }: Access, blob: number): void => dropped.register(owner, { blobs, blob }, owner);

/** Calls that off. */
export const keep = (owner: object): boolean => dropped.unregister(owner);

/** The bytes of a blob as a stream. Whoever answers a request with them untouched has the host send them. */
export function readable({ blobs }: Access, blob: number): ReadableStream<Uint8Array> {
  let isUntouched = true;
  const pull: PullSource = async () => {
    isUntouched = false;
    const piece = await blobs.read(blob);
    return piece ? new Uint8Array(piece) : null;
  };
  pull.cancel = () => blobs.drop(blob);
  pull.release = () => {
    if (!isUntouched) return undefined;
    isUntouched = false;
    return blobs.pass(blob);
  };
  dropped.register(pull, { blobs, blob });
  return streamFrom(pull);
}

/** Moves a stream's bytes to the host, into `blob`. Gives the blob. */
export async function upload({ blobs }: Access, stream: ReadableStream<unknown>, blob = blobs.begin()): Promise<number> {
  const saved = untouchedPull(stream)?.save?.(blob);
  const reader = stream.getReader();
  try {
    await saved;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return blob;
      const bytes = bytesOf(value);
      if (!bytes) throw new TypeError("The stream gave something that is not bytes");
      await blobs.write(blob, bytes);
    }
  } catch (e) {
    blobs.drop(blob);
    void reader.cancel(e).catch(() => undefined);
    throw e;
  }
}
