/** Values as text for a person to read, in the form that developers know from Node's console. */

import { WORKER_ROOT } from "../paths";

/** A platform object answers this method with what to show of it (its state lives in getters and private fields). */
export const inspected = Symbol("inspected");

/** Lines of a stack that are the runtime's, and properties that Pyodide's errors have for itself. */
const RUNTIME_FRAME = /^ +at .*\((?:wasm:|taipan:|\/pyodide\/)/;
const HIDDEN = ["stack", "message", "cause", "errors", "__error_address"];

const MAX_ITEMS = 100;
const LINE = 72;

export function inspect(value: unknown, depth = 2): string {
  return format(value, depth, [], "");
}

/** Python's exception in JavaScript: its message is the traceback, which says it all. */
function pythonText(error: Error): string {
  return `PythonError: ${error.message.trimEnd().replaceAll(`File "${WORKER_ROOT}/`, 'File "')}`;
}

/** The first line says what happened, in all engines; then the stack, the cause and the like. */
export function errorText(error: Error, depth = 2, seen: object[] = [error], indent = ""): string {
  if (error.name === "PythonError" && error.message.startsWith("Traceback")) return pythonText(error);
  const header = String(error);
  let stack = typeof error.stack === "string" ? error.stack.replace(/\n$/, "") : "";
  // QuickJS's stack holds the frames only; V8's begins with the error.
  if (!stack.startsWith(header)) stack = stack ? `${header}\n${stack}` : header;
  const lines = stack.split("\n").filter((line) => !RUNTIME_FRAME.test(line));
  let text = lines.join(`\n${indent}`);
  const extra: string[] = [];
  for (const key of Object.keys(error)) {
    if (HIDDEN.includes(key)) continue;
    extra.push(property(error, key, depth, seen, indent));
  }
  const { cause, errors } = error as { cause?: unknown; errors?: unknown };
  if (cause !== undefined) extra.push(`[cause]: ${format(cause, depth, seen, `${indent}  `)}`);
  if (Array.isArray(errors)) extra.push(`[errors]: ${format(errors, depth, seen, `${indent}  `)}`);
  if (extra.length) text += ` {\n${extra.map((line) => `${indent}  ${line}`).join(",\n")}\n${indent}}`;
  return text;
}

function format(value: unknown, depth: number, seen: object[], indent: string): string {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "bigint":
      return `${value}n`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "symbol":
      return value.toString();
    case "object":
    case "function":
      break;
    default:
      return String(value);
  }
  if (value === null) return "null";
  if (seen.includes(value)) return "[Circular]";
  try {
    return formatObject(value, depth, [...seen, value], indent);
  } catch (error) {
    // A getter, a proxy trap or a toString of the user's.
    return `[object that cannot be shown: ${String(error)}]`;
  }
}

function quote(text: string): string {
  const mark = !text.includes("'") ? "'" : !text.includes('"') ? '"' : !text.includes("`") ? "`" : "'";
  const body = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
  return mark + (mark === "'" ? body.replaceAll("'", "\\'") : body) + mark;
}

function className(value: object): string | null {
  const prototype = Object.getPrototypeOf(value) as { constructor?: unknown } | null;
  if (!prototype) return null;
  const name = typeof prototype.constructor === "function" ? prototype.constructor.name : "";
  return name || "Object";
}

function formatObject(value: object, depth: number, seen: object[], indent: string): string {
  const tag = (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  // A Python object: its own text says more than its attributes, which are not cheap to list either.
  if (tag === "PyProxy" || (typeof tag === "string" && tag.startsWith("PyProxy"))) return String(value);
  if (value instanceof Error) return errorText(value, depth, seen, indent);

  const name = className(value);
  const hook = (value as { [inspected]?: () => object })[inspected];
  if (typeof hook === "function" && name !== null) {
    const shown = hook.call(value);
    if (depth < 0) return `[${name}]`;
    return `${name} ${braces(ownProperties(shown, depth, seen, indent), "{", "}", indent)}`;
  }
  if (typeof value === "function") return withProperties(functionHead(value), value, depth, seen, indent);
  if (value instanceof Date) {
    return withProperties(
      Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString(),
      value,
      depth,
      seen,
      indent,
    );
  }
  if (value instanceof RegExp) return withProperties(String(value), value, depth, seen, indent);
  if (value instanceof String || value instanceof Number || value instanceof Boolean) {
    return `[${name}: ${format(value.valueOf(), depth, seen, indent)}]`;
  }
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) {
    return `${name} {}`;
  }
  const isPlain = name === "Object" && (tag === undefined || tag === "Object");
  const size =
    value instanceof Map || value instanceof Set
      ? value.size
      : Array.isArray(value) || isTypedArray(value)
        ? value.length
        : undefined;
  const label = [
    name === null ? "[Object: null prototype]" : isPlain || (name === "Array" && Array.isArray(value)) ? "" : name,
    size === undefined || (name === "Array" && Array.isArray(value)) ? "" : `(${size})`,
    typeof tag === "string" && tag !== name && !isTypedArray(value) && !isPlain ? ` [${tag}]` : "",
  ].join("");
  const head = label && `${label} `;
  if (depth < 0) return `[${label || "Object"}]`.replace("[Object]", Array.isArray(value) ? "[Array]" : "[Object]");

  if (Array.isArray(value) || isTypedArray(value)) {
    const items = arrayItems(value, depth, seen, indent);
    return head + braces([...items, ...ownProperties(value, depth, seen, indent, true)], "[", "]", indent);
  }
  if (value instanceof Map) {
    const items: string[] = [];
    for (const [k, v] of value) {
      if (items.length === MAX_ITEMS) break;
      items.push(`${format(k, depth - 1, seen, `${indent}  `)} => ${format(v, depth - 1, seen, `${indent}  `)}`);
    }
    return head + braces([...more(items, value.size), ...ownProperties(value, depth, seen, indent)], "{", "}", indent);
  }
  if (value instanceof Set) {
    const items: string[] = [];
    for (const v of value) {
      if (items.length === MAX_ITEMS) break;
      items.push(format(v, depth - 1, seen, `${indent}  `));
    }
    return head + braces([...more(items, value.size), ...ownProperties(value, depth, seen, indent)], "{", "}", indent);
  }
  if (value instanceof ArrayBuffer || value instanceof DataView) {
    return `${head}{ byteLength: ${value.byteLength} }`;
  }
  return head + braces(ownProperties(value, depth, seen, indent), "{", "}", indent);
}

function functionHead(value: Function): string {
  const name = value.name ? `: ${value.name}` : " (anonymous)";
  if (/^class\b/.test(Function.prototype.toString.call(value))) {
    const parent = Object.getPrototypeOf(value) as Function | null;
    const base = parent && parent !== Function.prototype && parent.name ? ` extends ${parent.name}` : "";
    return `[class ${value.name || "(anonymous)"}${base}]`;
  }
  return `[${className(value) ?? "Function"}${name}]`;
}

type TypedArray = Uint8Array | Float64Array | BigInt64Array;

function isTypedArray(value: unknown): value is TypedArray {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

function arrayItems(value: unknown[] | TypedArray, depth: number, seen: object[], indent: string): string[] {
  const items: string[] = [];
  const end = Math.min(value.length, MAX_ITEMS);
  for (let i = 0; i < end; i++) {
    let holes = 0;
    while (i < end && !(i in value)) (i++, holes++);
    if (holes) items.push(`<${holes} empty item${holes > 1 ? "s" : ""}>`);
    if (i < end) items.push(format(value[i], depth - 1, seen, `${indent}  `));
  }
  if (value.length > end) items.push(remaining(value.length - end));
  return items;
}

function more(items: string[], size: number): string[] {
  return size > MAX_ITEMS ? [...items, remaining(size - MAX_ITEMS)] : items;
}

function remaining(n: number): string {
  return `... ${n} more item${n > 1 ? "s" : ""}`;
}

function ownProperties(value: object, depth: number, seen: object[], indent: string, isList = false): string[] {
  // A typed array's indices are its items already, and there may be millions of them.
  if (isTypedArray(value)) return [];
  const keys: (string | symbol)[] = Object.keys(value);
  for (const symbol of Object.getOwnPropertySymbols(value)) {
    if (Object.prototype.propertyIsEnumerable.call(value, symbol)) keys.push(symbol);
  }
  const named = isList ? keys.filter((key) => typeof key === "symbol" || !/^(0|[1-9]\d*)$/.test(key)) : keys;
  return named.map((key) => property(value, key, depth, seen, indent));
}

function property(value: object, key: string | symbol, depth: number, seen: object[], indent: string): string {
  const descriptor = Object.getOwnPropertyDescriptor(value, key);
  const name = typeof key === "symbol" ? `[${key.toString()}]` : /^[A-Za-z_$][\w$]*$/.test(key) ? key : quote(key);
  if (descriptor && (descriptor.get || descriptor.set)) {
    const kinds = [descriptor.get && "Getter", descriptor.set && "Setter"].filter(Boolean);
    return `${name}: [${kinds.join("/")}]`;
  }
  return `${name}: ${format((value as Record<string | symbol, unknown>)[key], depth - 1, seen, `${indent}  `)}`;
}

function withProperties(head: string, value: object, depth: number, seen: object[], indent: string): string {
  const properties = depth < 0 ? [] : ownProperties(value, depth, seen, indent);
  return properties.length ? `${head} ${braces(properties, "{", "}", indent)}` : head;
}

function braces(items: string[], open: string, close: string, indent: string): string {
  if (!items.length) return open + close;
  const length = items.reduce((sum, item) => sum + item.length + 2, indent.length);
  if (length <= LINE && !items.some((item) => item.includes("\n"))) return `${open} ${items.join(", ")} ${close}`;
  // Many short items, such as numbers: several to a line.
  const widest = items.reduce((max, item) => Math.max(max, item.length), 0);
  const perLine = items.length > 6 && widest <= 12 ? Math.max(1, Math.floor(LINE / (widest + 2))) : 1;
  const lines: string[] = [];
  for (let i = 0; i < items.length; i += perLine) lines.push(`${indent}  ${items.slice(i, i + perLine).join(", ")}`);
  return `${open}\n${lines.join(",\n")}\n${indent}${close}`;
}
