/** Rate limits and data points. */
import { bytesOf, describe } from "../web/webidl";
import type { Access } from "./access";

// Taken before any code of the Worker can change the globals.
const { btoa } = globalThis as unknown as { btoa: (text: string) => string };

export class Ratelimit {
  #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  async limit(options: { key: string }): Promise<{ success: boolean }> {
    if (typeof options?.key !== "string") throw new TypeError("limit() takes an object with a key, which is a string");
    return { success: this.#access.askNow("ratelimit.limit", options.key.toWellFormed())[0] === 1 };
  }
}
describe(Ratelimit, "Ratelimit");

export function rateLimitForPython({ askNow }: Access): object {
  return { limit: async (key: string) => askNow("ratelimit.limit", key)[0] };
}

interface DataPoint {
  blobs?: (string | ArrayBuffer | null)[];
  doubles?: (number | null)[];
  indexes?: (string | ArrayBuffer | null)[];
}

function blob(value: unknown): unknown {
  const bytes = bytesOf(value);
  return bytes ? { b: btoa(String.fromCharCode(...bytes)) } : value;
}

export class AnalyticsEngineDataset {
  #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  writeDataPoint(point?: DataPoint): void {
    const { blobs, doubles, indexes } = point ?? {};
    const sent = { blobs: (blobs ?? []).map(blob), doubles: doubles ?? [], indexes: (indexes ?? []).map(blob) };
    this.#access.askNow("analytics.note", JSON.stringify(sent));
  }
}
describe(AnalyticsEngineDataset, "AnalyticsEngineDataset");

export function analyticsForPython({ askNow }: Access): object {
  return { note: (point: string) => void askNow("analytics.note", point) };
}
