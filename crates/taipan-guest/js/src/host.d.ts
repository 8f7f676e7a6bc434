/**
 * The one intrinsic object that the C shim (`engine/`) hands to the bundle. Everything the sandbox knows of the
 * outside goes through it; it is never reachable from user code.
 */
export interface Host {
  /** 0: milliseconds since the epoch; 1: monotonic milliseconds. Both with fractions. */
  now(clock: 0 | 1): number;
  /** 0 debug, 1 log, 2 info, 3 warning, 4 error. */
  log(level: number, line: string): void;
  /** Fills the bytes with randomness from the operating system. */
  random(bytes: Uint8Array): void;
  /** UTF-8; lone surrogates become U+FFFD. */
  utf8Encode(text: string): ArrayBuffer;
  /** WHATWG lossy decoding; keeps a byte order mark. */
  utf8Decode(bytes: Uint8Array): string;
  utf8Valid(bytes: Uint8Array): boolean;
  /** A file of the runtime or of the Worker by its virtual path; undefined when there is none. */
  readFile(path: string): ArrayBuffer | undefined;

  /**
   * Reads a volume's file from `position` on straight into a buffer, at `offset` and for at most `length` bytes. How many were
   * read, fewer only at the end of the file; −1 when it cannot be read.
   */
  readAt(volume: number, path: string, position: number, buffer: ArrayBufferLike, offset: number, length: number): number;
  /**
   * Makes whole pages of the linear memory, from the address `at` on, those of a volume's file, of which only what is touched takes
   * memory. How many bytes from `at` on are the file's then; the rest has to be read.
   */
  mapAt(volume: number, path: string, position: number, at: number, length: number): number;

  /** The number of an operation of `taipan_guest::ops::OPS`; throws for an unknown name. */
  opNumber(name: string): number;
  /** Asks the host for a synchronous operation; throws what the host says. */
  opSync(op: number, ...fields: FieldIn[]): FieldOut[];
  /** Asks the host for an asynchronous operation. */
  opAsync(op: number, ...fields: FieldIn[]): Promise<FieldOut[]>;
  /** Called once: where events other than completions go. Kinds: 2 fetch, 3 disconnected. */
  onEvent(handler: (kind: number, id: number, fields: FieldOut[]) => void): void;
  /** Called once: `runDue(now)` runs one due timer and says whether it did; `nextDue()` is when the next is due. */
  onTimers(runDue: (now: number) => boolean, nextDue: () => number | undefined): void;
  /** There are timers: both are asked until `nextDue()` says that there is none. */
  awaitTimers(): void;
  /** Called once: `rejected(reason)` is told of promise rejections nobody handled. */
  onUnhandledRejection(report: (reason: unknown) => void): void;
  /** Called once: `find(name)` gives the text of a module that is no file of the host's, and what it finds as `import.meta.platform`. */
  onModule(find: (name: string) => [source: string, platform?: object] | undefined): void;

  promiseState(promise: Promise<unknown>): 0 | 1 | 2;
  promiseResult(promise: Promise<unknown>): unknown;
  /**
   * Runs jobs, timers and completions re-entrantly until the promise has settled. False: nothing is left that
   * could settle it.
   */
  runUntilSettled(promise: Promise<unknown>): boolean;
  /** The request for which the running code works, 0 for none: the host charges it the CPU time. Operations remember it. */
  cause(): number;
  setCause(request: number): void;
  /** Gives all Python objects this reference count, with which they are immortal; `code` is the address of their type. */
  immortalize(count: number, code: number, most: number): void;
  /** Collects garbage, and makes what is left exempt from collection. */
  freezeObjects(): void;
  /** Makes Python's built-in module `_taipan`. */
  startPython(): void;
  /** Gives away all gaps in the heap, so that what is allocated from now on lies together. */
  plugHeap(): void;
  /**
   * Tells the host that booting has ended; with a report (JSON, as for `http.fail`) when it failed. Or, with a reason,
   * that the isolate cannot become a snapshot.
   */
  booted(report: string | null): void;
  /** Stops the isolate: 0 exit, 1 abort. Never returns. */
  exit(kind: 0 | 1, reason: string): never;

  // WebAssembly entities are numbers; signatures are strings such as "iie:j" (i i32, j i64, f f32, d f64,
  // e externref, F funcref, v nothing).
  memoryBuffer(): ArrayBuffer;
  wasmFunction(handle: number): Function;
  /** −1 when it is not an exported WebAssembly function. */
  wasmFunctionHandle(value: unknown): number;
  wasmSignature(handle: number): string;
  /**
   * `caller`: the function calls its first argument, which makes it the place to bound the nesting of calls. `name`: of an
   * import of the main module.
   */
  bindImport(slot: number, value: Function, signature: string, caller: boolean, name?: string): void;
  /** Has the engine do what it can do in place of Pyodide's JavaScript (`engine/src/natives.c`). */
  enableNatives(pyodide: {
    /** `Module.novalue` and `Module.handle_js_error`. */
    noValue: object;
    onError: (e: unknown) => void;
    /** The prototypes on which those of all PyProxys stand. */
    proxy: object;
    callable: object;
    /** The symbol by which a PyProxy's target has what the glue knows of it. */
    attrs: symbol;
    /** The handler with which the glue makes PyProxys. */
    handler: object;
    /** The main module's `pythonexc2js`. */
    throwPython: Function;
    /** What the glue does with a PyProxy that Python has returned. */
    onResult: (callee: number, result: any) => unknown;
    /** `API.fatal_error`. */
    onFatal: (e: unknown) => void;
    /** The address of the type `JsProxy` where freeing one forgets the exception that is pending; otherwise 0. */
    forgetfulType: number;
  }): void;
  /** A WebAssembly function that calls `value`. */
  newTrampoline(signature: string, value: Function): Function;
  tableGet(table: number, index: number): Function | null;
  tableSet(table: number, index: number, value: Function | null): void;
  tableSize(table: number): number;
  /** −1 when the table cannot grow. */
  tableGrow(table: number, by: number): number;
  globalNew(type: string, mutable: boolean, value: unknown): number;
  globalGet(global: number): unknown;
  globalSet(global: number, value: unknown): void;
  /** Throws an Error whose message says what is wrong with the module. */
  moduleNew(bytes: Uint8Array): number;
  /** Structured questions about modules and instances, as JSON both ways (see `wasm/instance.ts`). */
  wasmQuery(request: string): string;
  /** The exception object's tag and values; only for objects of class WebAssembly.Exception. */
  exceptionIs(exception: object, tag: number): boolean;
  exceptionArg(exception: object, tag: number, index: number): unknown;
  /** Makes `marker` the value that C code recognises as "an error was thrown"; without one it is null. */
  setErrorMarker(marker: symbol): void;
  /** Sets the prototype of thrown WebAssembly exceptions. */
  setExceptionPrototype(prototype: object): void;
}

export type FieldIn = null | undefined | string | number | ArrayBuffer | Uint8Array;
export type FieldOut = null | string | number | ArrayBuffer;
