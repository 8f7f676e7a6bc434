/** The structured clone algorithm for values that never leave this realm. */
import { Blob, File } from "./blob";
import { dictionary, need } from "./webidl";

const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

function notCloneable(value: unknown): DOMException {
  const what =
    typeof value === "function" ? `the function ${value.name || "(anonymous)"}` : `a value of type ${typeof value}`;
  return new DOMException(
    `This cannot be cloned: ${typeof value === "object" ? Object.prototype.toString.call(value) : what}`,
    "DataCloneError",
  );
}

/** A class whose objects can be transferred. */
interface Movable<T extends object> {
  Class: new (...args: never[]) => T;
  /** Why one cannot be, if so. */
  obstacle(object: T): string | undefined;
  /** Makes the object's heir; the object itself is of no use afterwards. */
  move(object: T): T;
}

const movables: Movable<any>[] = [];

/** Lets objects of a class be transferred. */
export function transferable<T extends object>(movable: Movable<T>): void {
  movables.push(movable);
}

transferable({
  Class: ArrayBuffer,
  obstacle: (buffer) => (buffer.detached ? "An ArrayBuffer can be transferred only once" : undefined),
  move: (buffer) => buffer.transfer(),
});

export function structuredClone<T>(value: T, options: { transfer?: Iterable<unknown> } | null = {}): T {
  need(arguments.length, 1, "structuredClone");
  return cloneWithTransfer(value, options).value;
}

/** The clone, and what has been made of the objects that were transferred. */
export function cloneWithTransfer<T>(
  value: T,
  options: { transfer?: Iterable<unknown> } | null | undefined,
): { value: T; moved: object[] } {
  const { transfer } = dictionary(options, "The options");
  const objects = transfer === undefined ? [] : ([...transfer] as object[]);
  const refuse = (message: string) => new DOMException(message, "DataCloneError");
  const moves = objects.map((object, i) => {
    const movable = movables.find(({ Class }) => object instanceof Class);
    if (!movable) throw refuse(`This cannot be transferred: ${Object.prototype.toString.call(object)}`);
    const obstacle = objects.indexOf(object) === i ? movable.obstacle(object) : "An object is to be transferred twice";
    if (obstacle !== undefined) throw refuse(obstacle);
    return (): object => movable.move(object) as object;
  });
  if (!objects.length) return { value: cloneValue(value, new Map(), new Map()) as T, moved: [] };
  // Objects move only after everything could be cloned. Until then the clone has the originals in it; the second pass, in which
  // none of the user's code runs, puts the moved ones in their places.
  const layouts: Layouts = new Map();
  const draft = cloneValue(value, new Map(objects.map((object) => [object, object])), layouts);
  const moved = moves.map((move) => move());
  const pairs = objects.map((object, i): [object, object] => [object, moved[i] as object]);
  return { value: cloneValue(draft, new Map(pairs), layouts) as T, moved };
}

/** Cloned objects by their originals. */
type Seen = Map<object, object>;
/** Byte offset and length in elements of cloned views, which a view loses when its buffer moves. */
type Layouts = Map<ArrayBufferView, { offset: number; length: number; buffer: ArrayBuffer }>;

function cloneValue(value: unknown, seen: Seen, layouts: Layouts): unknown {
  if (typeof value === "function" || typeof value === "symbol") throw notCloneable(value);
  if (typeof value !== "object" || value === null) return value;
  const known = seen.get(value);
  if (known) return known;
  const remember = <O extends object>(copy: O): O => {
    seen.set(value, copy);
    return copy;
  };

  if (value instanceof Boolean || value instanceof Number || value instanceof String || value instanceof BigInt) {
    return remember(Object(value.valueOf()) as object);
  }
  if (value instanceof Date) return remember(new Date(value.getTime()));
  if (value instanceof RegExp) return remember(new RegExp(value.source, value.flags));
  if (value instanceof ArrayBuffer) return remember(cloneBuffer(value));
  if (ArrayBuffer.isView(value)) {
    const length = value instanceof DataView ? value.byteLength : (value as Uint8Array).length;
    const layout = layouts.get(value) ?? { offset: value.byteOffset, length, buffer: value.buffer as ArrayBuffer };
    const buffer = cloneValue(layout.buffer, seen, layouts) as ArrayBuffer;
    const View = value.constructor as new (buffer: ArrayBuffer, offset: number, length: number) => ArrayBufferView;
    const copy = remember(new View(buffer, layout.offset, layout.length));
    layouts.set(copy, { ...layout, buffer });
    return copy;
  }
  if (value instanceof Map) {
    const copy = remember(new Map<unknown, unknown>());
    for (const [k, v] of [...value]) copy.set(cloneValue(k, seen, layouts), cloneValue(v, seen, layouts));
    return copy;
  }
  if (value instanceof Set) {
    const copy = remember(new Set<unknown>());
    for (const v of [...value]) copy.add(cloneValue(v, seen, layouts));
    return copy;
  }
  if (value instanceof DOMException) return remember(new DOMException(value.message, value.name));
  if (value instanceof Error) return cloneError(value, seen, layouts);
  if (value instanceof File) {
    const { name, type, lastModified } = value;
    return remember(new File([value], name, { type, lastModified }));
  }
  if (value instanceof Blob) return remember(value.slice(0, value.size, value.type));
  if (Array.isArray(value)) return cloneProperties(value, remember(new Array<unknown>(value.length)), seen, layouts);
  if (!isPlain(value)) throw notCloneable(value);
  return cloneProperties(value, remember({}), seen, layouts);
}

function cloneBuffer(buffer: ArrayBuffer): ArrayBuffer {
  if (buffer.detached) throw new DOMException("A detached ArrayBuffer cannot be cloned", "DataCloneError");
  if (!buffer.resizable) return buffer.slice(0);
  const copy = new ArrayBuffer(buffer.byteLength, { maxByteLength: buffer.maxByteLength });
  new Uint8Array(copy).set(new Uint8Array(buffer));
  return copy;
}

function cloneError(error: Error, seen: Seen, layouts: Layouts): Error {
  const copy = new (ERRORS[error.name as keyof typeof ERRORS] ?? Error)();
  seen.set(error, copy);
  const define = (name: string, value: unknown) =>
    Object.defineProperty(copy, name, { value, writable: true, configurable: true, enumerable: false });
  if (typeof error.stack === "string") define("stack", error.stack);
  for (const name of ["message", "cause"]) {
    const property = Object.getOwnPropertyDescriptor(error, name);
    if (!property || !("value" in property)) continue;
    define(name, name === "cause" ? cloneValue(property.value, seen, layouts) : String(property.value));
  }
  return copy;
}

/** Only ordinary objects, or those of a user's class, which come out as ordinary ones. */
function isPlain(value: object): boolean {
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef)
    return false;
  for (let p = Object.getPrototypeOf(value) as object | null; p; p = Object.getPrototypeOf(p) as object | null) {
    if (p !== Object.prototype && Object.hasOwn(p, Symbol.toStringTag)) return false;
  }
  return true;
}

function cloneProperties(from: object, to: object, seen: Seen, layouts: Layouts): object {
  for (const key of Object.keys(from)) {
    const value = cloneValue((from as Record<string, unknown>)[key], seen, layouts);
    Object.defineProperty(to, key, { value, writable: true, enumerable: true, configurable: true });
  }
  return to;
}
