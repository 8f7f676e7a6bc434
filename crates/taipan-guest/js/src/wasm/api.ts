/**
 * The `WebAssembly` JavaScript API, as far as Pyodide's glue uses it, over the host's numbered entities.
 *
 * There is one memory and it is already there: the main module is compiled and instantiated before JavaScript
 * runs, so "instantiating" it here means binding the glue's functions to its imports and wrapping its exports.
 * Side modules are compiled by the host for real.
 */
import { applyWithoutSwitching, suspension } from "./suspend";
import type { Host } from "../host";
import { customSections, trampolineSignature } from "./binary";

type ValueKind = "i32" | "i64" | "f32" | "f64" | "externref" | "anyfunc" | "funcref";
type Query =
  | { op: "main" }
  | { op: "module"; module: number }
  | { op: "instantiate"; module: number; imports: ImportValue[] };
type ImportValue = { kind: "js" | "memory" } | { kind: "function" | "global" | "table" | "tag"; handle: number };
/** f function, g global, t table, m memory, x tag. */
type Kind = "f" | "g" | "t" | "m" | "x";
interface ExportInfo { name: string; kind: Kind; handle: number; signature: string }
interface MainInfo { exports: ExportInfo[]; imports: (ExportInfo & { module: string })[] }
interface ItemInfo { module: string | null; name: string; kind: Kind }
interface ModuleInfo { imports: ItemInfo[]; exports: ItemInfo[] }
interface Instantiated { exports: ExportInfo[]; slots: ({ slot: number; signature: string } | null)[] }
type Imports = Record<string, Record<string, unknown>>;

const TYPE_OF: Record<string, ValueKind> = { i: "i32", j: "i64", f: "f32", d: "f64", e: "externref", F: "anyfunc" };
const CODE_OF: Partial<Record<string, string>> = { i32: "i", i64: "j", f32: "f", f64: "d" };
const KIND_NAME: Record<Kind, string> = { f: "function", g: "global", t: "table", m: "memory", x: "tag" };
const MAIN = 0;
/** The host's mark for an address that it does not know. */
const UNPLACED = -1;
/** The glue's functions by which Python calls JavaScript functions. */
const CALLERS = new Set(["JsvFunction_CallBound", "JsvFunction_Call_OneArg", "JsvFunction_Construct"]);

const bytesOf = (source: BufferSource): Uint8Array =>
  source instanceof Uint8Array
    ? source
    : ArrayBuffer.isView(source)
      ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
      : new Uint8Array(source);

export type BufferSource = ArrayBuffer | ArrayBufferView;

/** Functions of the main module, once it is bound. */
export const mainExports: Record<string, Function> = Object.create(null);

/** Makes the API and defines `globalThis.WebAssembly`. */
export function installWebAssembly(H: Host): void {
  function ask(query: { op: "main" }): MainInfo;
  function ask(query: { op: "module"; module: number }): ModuleInfo;
  function ask(query: { op: "instantiate"; module: number; imports: ImportValue[] }): Instantiated;
  function ask(query: Query): unknown {
    const answer = JSON.parse(H.wasmQuery(JSON.stringify(query)));
    if (answer.error !== undefined) throw new LinkError(answer.error);
    return answer;
  }

  class CompileError extends Error {
    override get name() { return "CompileError"; }
  }
  class LinkError extends Error {
    override get name() { return "LinkError"; }
  }
  class RuntimeError extends Error {
    override get name() { return "RuntimeError"; }
  }

  class Module {
    readonly #bytes: Uint8Array;
    readonly number: number = -1;
    /** Set for the one-function modules by which Emscripten turns a JavaScript function into a WebAssembly one. */
    readonly trampoline: string | undefined;

    constructor(source: BufferSource) {
      this.#bytes = bytesOf(source);
      this.trampoline = trampolineSignature(this.#bytes);
      if (this.trampoline !== undefined) return;
      try {
        this.number = H.moduleNew(this.#bytes);
      } catch (e) {
        throw new CompileError((e as Error).message);
      }
    }

    static customSections(module: Module, name: string): ArrayBuffer[] {
      return customSections(module.#bytes, name, b => H.utf8Decode(b));
    }
    static imports(module: Module) {
      return ask({ op: "module", module: module.number }).imports.map(i => ({ module: i.module, name: i.name, kind: KIND_NAME[i.kind] }));
    }
    static exports(module: Module) {
      return ask({ op: "module", module: module.number }).exports.map(e => ({ name: e.name, kind: KIND_NAME[e.kind] }));
    }
  }

  /** A global that no module knows yet is a plain value; it gets a number when it is first imported. */
  class Global {
    number = -1;
    #value: unknown;
    #type: ValueKind;
    #mutable: boolean;

    constructor(descriptor: { value: ValueKind; mutable?: boolean }, value?: unknown) {
      this.#type = descriptor.value;
      this.#mutable = !!descriptor.mutable;
      this.#value = value ?? (descriptor.value === "i64" ? 0n : descriptor.value === "externref" ? undefined : 0);
    }
    static of(number: number, signature: string): Global {
      const global = new Global({ value: TYPE_OF[signature[0]!]!, mutable: signature[1] === "m" });
      global.number = number;
      return global;
    }
    /** The host's number, made on first use. */
    bound(): number {
      if (this.number < 0) {
        const code = CODE_OF[this.#type];
        if (code === undefined) throw new LinkError(`a global of type ${this.#type} cannot be imported`);
        this.number = H.globalNew(code, this.#mutable, this.#value);
      }
      return this.number;
    }
    /** Becomes the global that the main module already imports; returns the value it had so far. */
    adopt(number: number): unknown {
      this.number = number;
      return this.#value;
    }
    get mutable(): boolean { return this.#mutable; }
    get value(): unknown { return this.number < 0 ? this.#value : H.globalGet(this.number); }
    set value(value: unknown) {
      if (!this.#mutable) throw new TypeError("the global is immutable");
      if (this.number >= 0) H.globalSet(this.number, value);
      else this.#value = this.#type === "i32" ? (value as number) | 0 : value;
    }
    valueOf(): unknown { return this.value; }
    get [Symbol.toStringTag]() { return "WebAssembly.Global"; }
  }

  class Table {
    readonly number: number = 0;
    get length(): number { return H.tableSize(this.number); }
    get(index: number): Function | null { return H.tableGet(this.number, index); }
    set(index: number, value: Function | null = null): void { H.tableSet(this.number, index, value); }
    grow(by: number): number {
      const old = H.tableGrow(this.number, by);
      if (old < 0) throw new RangeError("the table cannot grow that far");
      return old;
    }
  }

  /** Code has one memory, the isolate's. One made by JavaScript is a buffer that no module can import. */
  class Memory {
    #own: ArrayBuffer | SharedArrayBuffer | undefined;
    constructor(descriptor?: { initial: number; shared?: boolean }) {
      if (descriptor === undefined) return;
      const size = descriptor.initial * 65536;
      this.#own = descriptor.shared ? new SharedArrayBuffer(size) : new ArrayBuffer(size);
    }
    get buffer(): ArrayBuffer | SharedArrayBuffer { return this.#own ?? H.memoryBuffer(); }
    grow(): number { throw new RangeError("the memory grows by itself"); }
  }

  /** One that JavaScript makes is nobody's until the main module is bound, which has it under a name. */
  class Tag {
    number = -1;
    constructor(type?: { parameters: ValueKind[] }) {
      // Pyodide then catches exceptions in JavaScript, which it does by a module of its own for each signature otherwise.
      if (type?.parameters.includes("externref")) throw new TypeError("exceptions of JavaScript have no tag");
    }
    static of(number: number): Tag {
      return Object.assign(new Tag(), { number });
    }
  }

  /** Objects of this class come from the shim; they refer to an exception in the host. */
  class Exception extends Error {
    constructor() {
      super();
      throw new TypeError("WebAssembly exceptions are made by WebAssembly code");
    }
    is(tag: Tag): boolean { return H.exceptionIs(this, tag.number); }
    getArg(tag: Tag, index: number): unknown { return H.exceptionArg(this, tag.number, index); }
  }
  H.setExceptionPrototype(Exception.prototype);

  const memory = new Memory();

  function wrapExports(list: ExportInfo[]): Record<string, unknown> {
    const exports: Record<string, unknown> = Object.create(null);
    for (const { name, kind, handle, signature } of list) exports[name] = wrap(kind, handle, signature);
    return exports;
  }
  function wrap(kind: Kind, handle: number, signature: string): unknown {
    switch (kind) {
      case "f": return H.wasmFunction(handle);
      case "g": return Global.of(handle, signature);
      case "t": return Object.defineProperty(new Table(), "number", { value: handle });
      case "x": return Tag.of(handle);
      default: return memory;
    }
  }

  function valueOfImport(kind: Kind, value: unknown, name: string): ImportValue {
    switch (kind) {
      case "f": {
        if (typeof value !== "function") throw new LinkError(`import ${name} is not a function`);
        const handle = H.wasmFunctionHandle(value);
        return handle >= 0 ? { kind: "function", handle } : { kind: "js" };
      }
      case "g":
        return { kind: "global", handle: value instanceof Global ? value.bound() : H.globalNew("i", false, value) };
      case "t": return { kind: "table", handle: (value as Table).number };
      case "x":
        if (!(value instanceof Tag)) throw new LinkError(`import ${name} is not a tag`);
        return { kind: "tag", handle: value.number };
      default: return { kind: "memory" };
    }
  }

  function bindMain(imports: Imports): Record<string, unknown> {
    const main = ask({ op: "main" });
    for (const { module, name, kind, handle, signature } of main.imports) {
      const value = suspension[name] ?? imports[module]?.[name];
      if (kind === "f") {
        if (typeof value !== "function") throw new LinkError(`import ${module}.${name} is not a function`);
        H.bindImport(handle, value, signature, CALLERS.has(name), name);
      } else if (kind === "g" && value instanceof Global) {
        const [before, now] = [value.adopt(handle), value.value];
        // Addresses that others know are in a table of the glue's, where it puts them later.
        const expected = module === "env" ? before : imports["env"]?.[name];
        if (now === UNPLACED) {
          if (typeof before === "number") value.value = before;
        } else if (typeof expected === "number" && expected !== now) {
          throw new LinkError(`${name} is at ${now}, and Pyodide expects it at ${expected}`);
        }
      }
    }
    // The value that C code returns for "an exception is pending".
    const marker = (imports["env"]?.["Jsv_GetError_import"] ?? imports["sentinel"]?.["create_sentinel"]) as (() => unknown) | undefined;
    const value = marker?.();
    if (typeof value === "symbol") H.setErrorMarker(value);
    const exports = wrapExports(main.exports);
    // What a main module imported before the host rewrote it, and exports now, is not an export for the glue.
    for (const [name, item] of Object.entries(exports)) {
      const given = imports["env"]?.[name];
      if (item instanceof Tag && given instanceof Tag) given.number = item.number;
      else if (!(item instanceof Table && given instanceof Table)) continue;
      delete exports[name];
    }
    relocateOnce(exports);
    applyWithoutSwitching(exports, H);
    for (const name of ["pythonexc2js", "_iscoroutinefunction"]) mainExports[name] = exports[name] as Function;
    return exports;
  }

  /**
   * The host has relocated the data of a main module that needs it, to be able to allocate memory. The glue does it again, when
   * it knows where functions are; where the heap ends must survive that.
   */
  function relocateOnce(exports: Record<string, unknown>): void {
    const relocate = exports["__wasm_apply_data_relocs"] as (() => void) | undefined;
    const heapEnd = exports["emscripten_get_sbrk_ptr"] as (() => number) | undefined;
    if (relocate === undefined || heapEnd === undefined) return;
    exports["__wasm_apply_data_relocs"] = () => {
      const at = heapEnd();
      const end = new DataView(H.memoryBuffer()).getUint32(at, true);
      relocate();
      new DataView(H.memoryBuffer()).setUint32(at, end, true);
    };
  }

  class Instance {
    readonly exports: Record<string, unknown>;
    constructor(module: Module, imports: Imports = {}) {
      if (module.trampoline !== undefined) {
        const f = imports["e"]!["f"] as Function;
        this.exports = { f: H.wasmFunctionHandle(f) >= 0 ? f : H.newTrampoline(module.trampoline, f) };
      } else if (module.number === MAIN) {
        this.exports = bindMain(imports);
      } else {
        const wanted = ask({ op: "module", module: module.number }).imports;
        const values = wanted.map(i => imports[i.module!]?.[i.name]);
        const done = ask({
          op: "instantiate",
          module: module.number,
          imports: wanted.map((i, k) => valueOfImport(i.kind, values[k], `${i.module}.${i.name}`)),
        });
        done.slots.forEach((slot, k) => {
          if (slot) H.bindImport(slot.slot, values[k] as Function, slot.signature, false);
        });
        this.exports = wrapExports(done.exports);
      }
    }
  }

  const api = {
    Module, Instance, Global, Table, Memory, Tag, Exception, CompileError, LinkError, RuntimeError,
    validate(source: BufferSource): boolean {
      try {
        new Module(source);
        return true;
      } catch {
        return false;
      }
    },
    async compile(source: BufferSource) { return new Module(source); },
    async instantiateStreaming(source: Promise<{ arrayBuffer(): Promise<ArrayBuffer> }>, imports?: Imports) {
      return api.instantiate(await (await source).arrayBuffer(), imports);
    },
    async instantiate(source: BufferSource | Module, imports?: Imports): Promise<any> {
      if (source instanceof Module) return new Instance(source, imports);
      const module = new Module(source);
      return { module, instance: new Instance(module, imports) };
    },
  };
  Object.defineProperty(globalThis, "WebAssembly", { value: api, writable: true, configurable: true, enumerable: false });
}
