/** Observers of marks and measures, the only entries there are. */
import type { PerformanceEntry } from "./performance";
import { setImmediate } from "./timers";
import { describe, dictionary, need } from "./webidl";

const TYPES: readonly string[] = Object.freeze(["mark", "measure"]);

type Callback = (list: PerformanceObserverEntryList, observer: PerformanceObserver) => void;
interface ObserveOptions {
  entryTypes?: Iterable<string>;
  type?: string;
  buffered?: boolean;
}

const KEY = Symbol("PerformanceObserverEntryList");

const byTime = (entries: readonly PerformanceEntry[]): PerformanceEntry[] =>
  entries.toSorted((a, b) => a.startTime - b.startTime);

export class PerformanceObserverEntryList {
  #entries: PerformanceEntry[];
  constructor(key: symbol | undefined = undefined, entries: PerformanceEntry[] = []) {
    if (key !== KEY) throw new TypeError("Illegal constructor");
    this.#entries = byTime(entries);
  }
  getEntries(): PerformanceEntry[] {
    return [...this.#entries];
  }
  getEntriesByType(type: string): PerformanceEntry[] {
    need(arguments.length, 1, "getEntriesByType");
    return this.#entries.filter((entry) => entry.entryType === type);
  }
  getEntriesByName(name: string, type: string | undefined = undefined): PerformanceEntry[] {
    need(arguments.length, 1, "getEntriesByName");
    return this.#entries.filter((entry) => entry.name === name && (type === undefined || entry.entryType === type));
  }
}
describe(PerformanceObserverEntryList, "PerformanceObserverEntryList");

/** Those that observe something. */
const observers = new Set<PerformanceObserver>();
/** All entries so far, for who asks for what was before. */
let buffered: () => readonly PerformanceEntry[] = () => [];
let queue!: (observer: PerformanceObserver, entry: PerformanceEntry) => void;

export class PerformanceObserver {
  #callback: Callback;
  #types = new Set<string>();
  /** Whether it observes by one `type` after the other or by `entryTypes`; it cannot change. */
  #isSingle: boolean | undefined;
  #records: PerformanceEntry[] = [];
  #isScheduled = false;

  static {
    queue = (observer, entry) => {
      if (!observer.#types.has(entry.entryType)) return;
      observer.#records.push(entry);
      if (observer.#isScheduled) return;
      observer.#isScheduled = true;
      setImmediate(() => {
        observer.#isScheduled = false;
        const records = observer.takeRecords();
        if (records.length) observer.#callback(new PerformanceObserverEntryList(KEY, records), observer);
      });
    };
  }

  static get supportedEntryTypes(): readonly string[] {
    return TYPES;
  }
  constructor(callback: Callback) {
    need(arguments.length, 1, "PerformanceObserver");
    if (typeof callback !== "function") throw new TypeError("The observer's callback is not a function");
    this.#callback = callback;
  }
  observe(options: ObserveOptions | null = {}): void {
    const { entryTypes, type, buffered: wantsOld } = dictionary(options, "The options");
    if ((entryTypes === undefined) === (type === undefined)) {
      throw new TypeError("An observer takes either entryTypes or a type");
    }
    if (entryTypes !== undefined && wantsOld !== undefined) throw new TypeError("buffered goes with a type only");
    if (entryTypes !== undefined && typeof entryTypes !== "object") throw new TypeError("entryTypes is not a sequence");
    const isSingle = type !== undefined;
    if (this.#isSingle !== undefined && this.#isSingle !== isSingle) {
      throw new DOMException("The observer began with the other of entryTypes and type", "InvalidModificationError");
    }
    this.#isSingle = isSingle;
    const known = [...(entryTypes ?? [type as string])].map(String).filter((name) => TYPES.includes(name));
    // What is not known is ignored.
    if (!known.length) return;
    if (!isSingle) this.#types.clear();
    for (const name of known) this.#types.add(name);
    observers.add(this);
    if (wantsOld) for (const entry of buffered()) if (entry.entryType === type) queue(this, entry);
  }
  disconnect(): void {
    observers.delete(this);
    this.#types.clear();
    this.#records = [];
    this.#isSingle = undefined;
  }
  takeRecords(): PerformanceEntry[] {
    return this.#records.splice(0);
  }
}
describe(PerformanceObserver, "PerformanceObserver");

/** Tells observers of a new entry. */
export function observed(entry: PerformanceEntry, all: () => readonly PerformanceEntry[]): void {
  buffered = all;
  for (const observer of observers) queue(observer, entry);
}
