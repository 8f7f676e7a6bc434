/** The console: formats in the sandbox, because only there are values; the host gets finished lines. */
import { host } from "./host";
import { errorText, inspect } from "./inspect";

const DEBUG = 0;
const LOG = 1;
const INFO = 2;
const WARN = 3;
const ERROR = 4;

let indent = "";
const counts = new Map<string, number>();
const started = new Map<string, number>();

function emit(level: number, text: string): void {
  host.log(level, indent ? indent + text.replaceAll("\n", `\n${indent}`) : text);
}

function show(value: unknown): string {
  return typeof value === "string" ? value : inspect(value);
}

/** The console standard's Formatter: `%s %d %i %f %o %O %j %c %%` in the first argument, the others appended. */
function formatArguments(args: readonly unknown[]): string {
  const [first, ...rest] = args;
  if (typeof first !== "string" || !first.includes("%")) return args.map(show).join(" ");
  let used = 0;
  const text = first.replace(/%([sdifoOjc%])/g, (directive, kind: string) => {
    if (kind === "%") return "%";
    if (used === rest.length) return directive;
    return substitute(kind, rest[used++]);
  });
  return [text, ...rest.slice(used).map(show)].join(" ");
}

function substitute(kind: string, value: unknown): string {
  switch (kind) {
    case "s":
      return typeof value === "object" && value !== null
        ? inspect(value, 0)
        : typeof value === "bigint"
          ? `${value}n`
          : String(value);
    case "d":
      return typeof value === "bigint"
        ? `${value}n`
        : typeof value === "symbol" || typeof value === "object"
          ? "NaN"
          : String(Number(value));
    case "i":
      return typeof value === "bigint"
        ? `${value}n`
        : typeof value === "symbol"
          ? "NaN"
          : String(parseInt(String(value), 10));
    case "f":
      return typeof value === "symbol" ? "NaN" : String(parseFloat(String(value)));
    case "j":
      return JSON.stringify(value) ?? "undefined";
    case "o":
      return inspect(value, 4);
    case "O":
      return inspect(value);
    default:
      return ""; // %c: styles mean nothing to a terminal
  }
}

/** An exception that nobody caught: never lost. */
export function reportError(error: unknown): void {
  let text: string;
  try {
    text = error instanceof Error ? errorText(error) : inspect(error);
  } catch {
    text = "an exception that cannot be shown";
  }
  host.log(ERROR, `Uncaught ${text}`);
}

function elapsed(label: string): string | undefined {
  const start = started.get(label);
  if (start === undefined) {
    emit(WARN, `Timer '${label}' does not exist`);
    return undefined;
  }
  return `${label}: ${(host.now(1) - start).toFixed(3)}ms`;
}

function table(data: unknown, columns?: readonly string[]): void {
  if (typeof data !== "object" || data === null) return emit(LOG, show(data));
  const rows: [string, unknown][] =
    data instanceof Map
      ? [...data].map(([k, v]) => [show(k), v])
      : data instanceof Set
        ? [...data].map((v, i) => [String(i), v])
        : Object.entries(data);
  const names = new Set<string>(columns);
  let hasValues = false;
  for (const [, row] of rows) {
    if (typeof row !== "object" || row === null) hasValues = true;
    else if (!columns) for (const name of Object.keys(row)) names.add(name);
  }
  const header = ["(index)", ...names, ...(hasValues ? ["Values"] : [])];
  const lines = rows.map(([index, row]) => {
    const isObject = typeof row === "object" && row !== null;
    const cells = [...names].map((n) => (isObject && n in row ? inspect((row as Record<string, unknown>)[n], 0) : ""));
    return [index, ...cells, ...(hasValues ? [isObject ? "" : inspect(row, 0)] : [])];
  });
  const widths = header.map((name, i) => Math.max(name.length, ...lines.map((line) => line[i]?.length ?? 0)));
  const draw = (cells: string[]) => `│ ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" │ ")} │`;
  const rule = (left: string, cross: string, right: string) =>
    left + widths.map((w) => "─".repeat(w + 2)).join(cross) + right;
  emit(
    LOG,
    [rule("┌", "┬", "┐"), draw(header), rule("├", "┼", "┤"), ...lines.map(draw), rule("└", "┴", "┘")].join("\n"),
  );
}

const at =
  (level: number) =>
  (...args: unknown[]) =>
    emit(level, formatArguments(args));

function group(...label: unknown[]): void {
  if (label.length) emit(LOG, formatArguments(label));
  indent += "  ";
}

export const console = {
  debug: at(DEBUG),
  log: at(LOG),
  info: at(INFO),
  warn: at(WARN),
  error: at(ERROR),
  trace(...args: unknown[]) {
    const frames = (new Error().stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
    const text = formatArguments(args);
    emit(DEBUG, [text ? `Trace: ${text}` : "Trace", ...frames.slice(1)].join("\n"));
  },
  assert(condition?: unknown, ...args: unknown[]) {
    if (condition) return;
    if (typeof args[0] === "string") args[0] = `Assertion failed: ${args[0]}`;
    else args.unshift("Assertion failed");
    emit(ERROR, formatArguments(args));
  },
  clear() {
    indent = "";
  },
  dir(value?: unknown, options?: { depth?: number | null } | null) {
    emit(LOG, inspect(value, options?.depth === null ? Infinity : (options?.depth ?? 2)));
  },
  dirxml: at(LOG),
  table,
  group,
  groupCollapsed: group.bind(undefined),
  groupEnd() {
    indent = indent.slice(2);
  },
  /** Marks for a profiler's sake; there is none. */
  timeStamp() {},
  profile() {},
  profileEnd() {},
  count(label: unknown = "default") {
    const key = String(label);
    const n = (counts.get(key) ?? 0) + 1;
    counts.set(key, n);
    emit(INFO, `${key}: ${n}`);
  },
  countReset(label: unknown = "default") {
    if (!counts.delete(String(label))) emit(WARN, `Count for '${String(label)}' does not exist`);
  },
  time(label: unknown = "default") {
    const key = String(label);
    if (started.has(key)) emit(WARN, `Timer '${key}' already exists`);
    else started.set(key, host.now(1));
  },
  timeLog(label: unknown = "default", ...args: unknown[]) {
    const text = elapsed(String(label));
    if (text !== undefined) emit(LOG, [text, ...args.map(show)].join(" "));
  },
  timeEnd(label: unknown = "default") {
    const text = elapsed(String(label));
    if (text !== undefined) emit(INFO, text);
    started.delete(String(label));
  },
};
for (const [name, method] of Object.entries(console)) Object.defineProperty(method, "name", { value: name });
// As the console standard has it: a namespace object whose prototype is an object of its own.
Object.setPrototypeOf(console, {});
Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });
