/** High-resolution time and user timing. What is marked is kept up to a bound: nobody may ever ask for it. */
import { EventTarget } from "./events";
import { host } from "./host";
import { structuredClone } from "./structured-clone";
import { observed } from "./performance-observer";
import { describe, dictionary, need } from "./webidl";

const MOST_ENTRIES = 10_000;

export interface MarkOptions {
  detail?: unknown;
  startTime?: number;
}

export interface MeasureOptions {
  detail?: unknown;
  start?: string | number;
  duration?: number;
  end?: string | number;
}

/** What only this module can construct with. */
const KEY = Symbol("performance");

export class PerformanceEntry {
  #name: string;
  #type: string;
  #start: number;
  #duration: number;
  constructor(name = "", type = "", start = 0, duration = 0, key: symbol | undefined = undefined) {
    if (key !== KEY) throw new TypeError("Illegal constructor");
    this.#name = name;
    this.#type = type;
    this.#start = start;
    this.#duration = duration;
  }
  get name(): string {
    return this.#name;
  }
  get entryType(): string {
    return this.#type;
  }
  get startTime(): number {
    return this.#start;
  }
  get duration(): number {
    return this.#duration;
  }
  toJSON(): object {
    return { name: this.#name, entryType: this.#type, startTime: this.#start, duration: this.#duration };
  }
}
describe(PerformanceEntry, "PerformanceEntry");

function detailOf(detail: unknown): unknown {
  return detail === undefined || detail === null ? null : structuredClone(detail);
}

export class PerformanceMark extends PerformanceEntry {
  #detail: unknown;
  constructor(name: string, options: MarkOptions | null = {}) {
    need(arguments.length, 1, "PerformanceMark");
    const { startTime, detail } = dictionary(options, "The mark's options");
    const start = startTime === undefined ? host.now(1) : Number(startTime);
    if (!(start >= 0)) throw new TypeError(`A mark's time is not negative: ${start}`);
    super(`${name}`, "mark", start, 0, KEY);
    this.#detail = detailOf(detail);
  }
  get detail(): unknown {
    return this.#detail;
  }
}
describe(PerformanceMark, "PerformanceMark");

let makeMeasure!: (name: string, start: number, duration: number, detail: unknown) => PerformanceMeasure;

export class PerformanceMeasure extends PerformanceEntry {
  #detail: unknown = null;
  static {
    makeMeasure = (name, start, duration, detail) => {
      const measure = new PerformanceMeasure(name, "measure", start, duration, KEY);
      measure.#detail = detail;
      return measure;
    };
  }
  get detail(): unknown {
    return this.#detail;
  }
}
describe(PerformanceMeasure, "PerformanceMeasure");

export class Performance extends EventTarget {
  #entries: PerformanceEntry[] = [];

  constructor(key: symbol | undefined = undefined) {
    super();
    if (key !== KEY) throw new TypeError("Illegal constructor");
  }
  /** Unix time in milliseconds at which `now()` was 0: the monotonic clock's start, so it survives a snapshot. */
  get timeOrigin(): number {
    return host.now(0) - host.now(1);
  }
  now(): number {
    return host.now(1);
  }
  mark(name: string, options: MarkOptions | null = {}): PerformanceMark {
    need(arguments.length, 1, "mark");
    return this.#add(new PerformanceMark(name, options));
  }
  measure(name: string, startOrOptions: string | MeasureOptions | undefined = undefined, endMark: string | undefined = undefined): PerformanceMeasure {
    need(arguments.length, 1, "measure");
    const isMark = typeof startOrOptions !== "object" && startOrOptions !== undefined;
    const options: MeasureOptions = isMark ? { start: startOrOptions } : dictionary(startOrOptions, "The measure's options");
    const { start, duration } = options;
    const says = !isMark && [start, duration, options.end, options.detail].some((value) => value !== undefined);
    if (says && endMark !== undefined) throw new TypeError("A measure's end is either in its options or a mark's name");
    if (says && start === undefined && options.end === undefined) throw new TypeError("A measure's options have a start or an end");
    if (start !== undefined && duration !== undefined && options.end !== undefined) throw new TypeError("A measure has start, duration or end, but not all of them");
    const last = endMark ?? options.end;
    const end = last !== undefined ? this.#time(last) : start !== undefined && duration !== undefined ? this.#time(start) + duration : host.now(1);
    const begin = start !== undefined ? this.#time(start) : duration !== undefined ? end - duration : 0;
    return this.#add(makeMeasure(`${name}`, begin, end - begin, detailOf(options.detail)));
  }
  clearMarks(name: string | undefined = undefined): void {
    this.#clear("mark", name);
  }
  clearMeasures(name: string | undefined = undefined): void {
    this.#clear("measure", name);
  }
  getEntries(): PerformanceEntry[] {
    return this.#entries.toSorted((a, b) => a.startTime - b.startTime);
  }
  getEntriesByType(type: string): PerformanceEntry[] {
    need(arguments.length, 1, "getEntriesByType");
    return this.getEntries().filter((entry) => entry.entryType === type);
  }
  getEntriesByName(name: string, type: string | undefined = undefined): PerformanceEntry[] {
    need(arguments.length, 1, "getEntriesByName");
    return this.getEntries().filter((entry) => entry.name === name && (type === undefined || entry.entryType === type));
  }
  toJSON(): object {
    return { timeOrigin: this.timeOrigin };
  }

  #add<E extends PerformanceEntry>(entry: E): E {
    if (this.#entries.length >= MOST_ENTRIES) this.#entries.shift();
    this.#entries.push(entry);
    observed(entry, () => this.#entries);
    return entry;
  }
  #clear(type: string, name: string | undefined): void {
    this.#entries = this.#entries.filter((entry) => entry.entryType !== type || (name !== undefined && entry.name !== `${name}`));
  }
  #time(mark: string | number): number {
    if (typeof mark === "number") {
      if (!(mark >= 0)) throw new TypeError(`A measure's time is not negative: ${mark}`);
      return mark;
    }
    const found = this.#entries.findLast((entry) => entry.entryType === "mark" && entry.name === `${mark}`);
    if (!found) throw new DOMException(`There is no such mark: ${mark}`, "SyntaxError");
    return found.startTime;
  }
}
describe(Performance, "Performance");

export const performance = new Performance(KEY);
