/**
 * HTMLRewriter. The host parses and stands still wherever a handler has to be called; what the handler does to an element
 * is noted, and told to the host when the handler is done.
 */
import { bodyOfResponse, Response } from "./response";
import { host, syncOp } from "./host";
import { ReadableStream } from "./streams";
import { describe, need, usv } from "./webidl";
import { Body } from "./body";

const openOp = syncOp("html.open");
const dropOp = syncOp("html.drop");

// What the host asks for, and which handlers there are: see `taipan-bindings/src/ops/html.rs`.
const DONE = 0, ELEMENT = 1, COMMENT = 2, TEXT = 3, DOCTYPE = 4, DOCUMENT_END = 5, END_TAG = 6;
const HAS_ELEMENT = 1, HAS_COMMENTS = 2, HAS_TEXT = 4, HAS_DOCTYPE = 8, HAS_END = 16;

type Answer = unknown[];
type Callback = (unit: unknown) => unknown;

interface Handlers {
  element?: Callback;
  comments?: Callback;
  text?: Callback;
  doctype?: Callback;
  end?: Callback;
}

/** Changes as the host takes them: name, text, text. Content that is a stream is read when the handler is done. */
class Changes {
  #list: Promise<string[]>[] = [];
  #isOver = false;

  add(name: string, first = "", second = ""): void {
    this.#open();
    this.#list.push(Promise.resolve([name, first, second]));
  }
  addContent(name: string, content: unknown, options: unknown): void {
    this.#open();
    const kind = (options as { html?: unknown } | null | undefined)?.html ? "html" : "text";
    if (content instanceof Response || content instanceof ReadableStream) {
      const text = content instanceof Response ? content.text() : Body.of({ stream: content }).readText();
      text.catch(() => undefined);
      this.#list.push(text.then((content) => [name, content, kind]));
    } else {
      this.add(name, usv(content), kind);
    }
  }
  /** All of them; from now on there can be no more. */
  async take(): Promise<string[]> {
    this.#isOver = true;
    return (await Promise.all(this.#list)).flat();
  }
  #open(): void {
    if (this.#isOver) throw new TypeError("This is not valid any more: it can be changed only until its handler is done");
  }
}

/** Of what a unit is made: its changes, and the rewriter that it belongs to. */
interface Context {
  changes: Changes;
  onEndTag(handler: Callback): string;
}

const KEY = Symbol("HTMLRewriter");

/** What elements, comments and text have in common. */
abstract class Unit {
  #changes: Changes;
  #removed: boolean;
  constructor(key: unknown, context: Context, removed: unknown) {
    if (key !== KEY) throw new TypeError("Illegal constructor");
    this.#changes = context.changes;
    this.#removed = removed === 1;
  }
  get removed(): boolean {
    return this.#removed;
  }
  before(content: unknown, options: unknown = undefined): this {
    return this.change("before", content, options);
  }
  after(content: unknown, options: unknown = undefined): this {
    return this.change("after", content, options);
  }
  replace(content: unknown, options: unknown = undefined): this {
    this.#removed = true;
    return this.change("replace", content, options);
  }
  remove(): this {
    this.#removed = true;
    this.#changes.add("remove");
    return this;
  }
  /** For subclasses. */
  protected change(name: string, content: unknown, options: unknown): this {
    this.#changes.addContent(name, content, options);
    return this;
  }
  protected note(name: string, first = "", second = ""): this {
    this.#changes.add(name, first, second);
    return this;
  }
  protected markRemoved(): void {
    this.#removed = true;
  }
}

class Element extends Unit {
  #tagName: string;
  #namespace: string;
  #attributes: [string, string][] = [];
  #context: Context;
  #isSelfClosing: boolean;
  #canHaveContent: boolean;
  constructor(key: unknown, context: Context, [tag, namespace, removed, selfClosing, canHaveContent, ...attributes]: Answer) {
    super(key, context, removed);
    this.#context = context;
    this.#tagName = tag as string;
    this.#namespace = namespace as string;
    this.#isSelfClosing = selfClosing === 1;
    this.#canHaveContent = canHaveContent === 1;
    for (let i = 0; i < attributes.length; i += 2) this.#attributes.push([attributes[i] as string, attributes[i + 1] as string]);
  }
  get tagName(): string {
    return this.#tagName;
  }
  set tagName(name: string) {
    const text = usv(name);
    if (!/^[a-z][^\s/>\0]*$/i.test(text)) throw new TypeError(`This is not the name of a tag: ${text}`);
    this.#tagName = text;
    this.note("tagName", text);
  }
  get namespaceURI(): string {
    return this.#namespace;
  }
  get selfClosing(): boolean {
    return this.#isSelfClosing;
  }
  get attributes(): IterableIterator<[string, string]> {
    return this.#attributes.map(([name, value]): [string, string] => [name, value])[Symbol.iterator]();
  }
  getAttribute(name: string): string | null {
    return this.#find(name)?.[1] ?? null;
  }
  hasAttribute(name: string): boolean {
    return this.#find(name) !== undefined;
  }
  setAttribute(name: string, value: string): this {
    need(arguments.length, 2, "setAttribute");
    const [key, text] = [usv(name).toLowerCase(), usv(value)];
    if (!/^[^\s/>=\0]+$/.test(key)) throw new TypeError(`This is not the name of an attribute: ${key}`);
    const known = this.#find(key);
    if (known) known[1] = text;
    else this.#attributes.push([key, text]);
    return this.note("setAttribute", key, text);
  }
  removeAttribute(name: string): this {
    const key = usv(name).toLowerCase();
    this.#attributes = this.#attributes.filter(([known]) => known !== key);
    return this.note("removeAttribute", key);
  }
  prepend(content: unknown, options: unknown = undefined): this {
    return this.change("prepend", content, options);
  }
  append(content: unknown, options: unknown = undefined): this {
    return this.change("append", content, options);
  }
  setInnerContent(content: unknown, options: unknown = undefined): this {
    return this.change("setInnerContent", content, options);
  }
  removeAndKeepContent(): this {
    this.markRemoved();
    return this.note("removeAndKeepContent");
  }
  onEndTag(handler: Callback): void {
    if (typeof handler !== "function") throw new TypeError("The handler of an end tag is not a function");
    if (!this.#canHaveContent) throw new TypeError(`This element has no end tag: ${this.#tagName}`);
    this.note("onEndTag", this.#context.onEndTag(handler));
  }
  #find(name: string): [string, string] | undefined {
    const key = usv(name).toLowerCase();
    return this.#attributes.find(([known]) => known === key);
  }
}
describe(Element, "Element");

class EndTag extends Unit {
  #name: string;
  constructor(key: unknown, context: Context, [name, removed]: Answer) {
    super(key, context, removed);
    this.#name = name as string;
  }
  get name(): string {
    return this.#name;
  }
  set name(name: string) {
    this.#name = usv(name);
    this.note("name", this.#name);
  }
}
describe(EndTag, "EndTag");

class Comment extends Unit {
  #text: string;
  constructor(key: unknown, context: Context, [text, removed]: Answer) {
    super(key, context, removed);
    this.#text = text as string;
  }
  get text(): string {
    return this.#text;
  }
  set text(text: string) {
    const given = usv(text);
    if (given.includes("-->")) throw new TypeError("The text of a comment cannot end it");
    this.#text = given;
    this.note("text", given);
  }
}
describe(Comment, "Comment");

class Text extends Unit {
  #text: string;
  #isLast: boolean;
  constructor(key: unknown, context: Context, [text, last, removed]: Answer) {
    super(key, context, removed);
    this.#text = text as string;
    this.#isLast = last === 1;
  }
  get text(): string {
    return this.#text;
  }
  get lastInTextNode(): boolean {
    return this.#isLast;
  }
}
describe(Text, "Text");

class Doctype {
  #parts: (string | null)[];
  constructor(key: unknown, _context: Context, parts: Answer) {
    if (key !== KEY) throw new TypeError("Illegal constructor");
    this.#parts = parts as (string | null)[];
  }
  get name(): string | null {
    return this.#parts[0] ?? null;
  }
  get publicId(): string | null {
    return this.#parts[1] ?? null;
  }
  get systemId(): string | null {
    return this.#parts[2] ?? null;
  }
}
describe(Doctype, "Doctype");

class DocumentEnd {
  #changes: Changes;
  constructor(key: unknown, context: Context) {
    if (key !== KEY) throw new TypeError("Illegal constructor");
    this.#changes = context.changes;
  }
  append(content: unknown, options: unknown = undefined): this {
    this.#changes.addContent("append", content, options);
    return this;
  }
}
describe(DocumentEnd, "DocumentEnd");

const UNITS = {
  [ELEMENT]: { make: Element, handler: "element" },
  [COMMENT]: { make: Comment, handler: "comments" },
  [TEXT]: { make: Text, handler: "text" },
  [DOCTYPE]: { make: Doctype, handler: "doctype" },
  [DOCUMENT_END]: { make: DocumentEnd, handler: "end" },
  [END_TAG]: { make: EndTag, handler: "end tag" },
} as const;

interface Entry {
  /** None: of the document. */
  selector: string | null;
  handlers: Handlers;
}

const forgotten = new FinalizationRegistry<number>((number) => void dropOp(number));

/** Rewrites what is read from the body, when the result is read. */
function rewrite(body: ReadableStream<unknown>, entries: Entry[]): ReadableStream<Uint8Array> {
  const has = ({ handlers, selector }: Entry) =>
    (handlers.element && selector !== null ? HAS_ELEMENT : 0) |
    (handlers.comments ? HAS_COMMENTS : 0) |
    (handlers.text ? HAS_TEXT : 0) |
    (handlers.doctype && selector === null ? HAS_DOCTYPE : 0) |
    (handlers.end && selector === null ? HAS_END : 0);
  const number = openOp(...entries.flatMap((entry) => [entry.selector, has(entry)]))[0] as number;
  const reader = body.getReader();
  const endTags: Callback[] = [];
  const token = {};
  const ask = (verb: string, ...fields: (string | Uint8Array)[]) => host.opAsync(host.opNumber(`html.${verb}`), number, host.cause(), ...fields);
  const drop = () => {
    forgotten.unregister(token);
    dropOp(number);
  };

  async function call([kind, , index, ...about]: Answer): Promise<string[]> {
    const { make, handler } = UNITS[kind as keyof typeof UNITS];
    const context: Context = { changes: new Changes(), onEndTag: (callback) => String(endTags.push(callback) - 1) };
    const unit = new make(KEY, context, about);
    if (kind === END_TAG) {
      await endTags[index as number]?.(unit);
    } else {
      const handlers = entries[index as number]?.handlers as Record<string, Callback>;
      // As a method: the handlers are often an instance of a class.
      await handlers[handler]?.(unit);
    }
    return context.changes.take();
  }

  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (;;) {
            const { done, value } = await reader.read();
            let answer: Answer = done ? await ask("end") : await ask("write", chunk(value));
            const outputs: Uint8Array[] = [];
            const take = () => (answer[1] as ArrayBuffer).byteLength && outputs.push(new Uint8Array(answer[1] as ArrayBuffer));
            for (; answer[0] !== DONE; answer = await ask("reply", ...(await call(answer)))) take();
            take();
            for (const output of outputs) controller.enqueue(output);
            if (done) {
              drop();
              return controller.close();
            }
            if (outputs.length) return;
          }
        } catch (error) {
          drop();
          void reader.cancel(error).catch(() => undefined);
          throw error;
        }
      },
      cancel(reason) {
        drop();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  forgotten.register(stream, number, token);
  return stream;
}

function chunk(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return new Uint8Array(host.utf8Encode(value));
  throw new TypeError("The body's stream gave something that is not a Uint8Array");
}

export class HTMLRewriter {
  #entries: Entry[] = [];

  on(selector: string, handlers: Handlers): this {
    need(arguments.length, 2, "on");
    const text = usv(selector);
    // What is no selector is said here, not when something is transformed.
    dropOp(openOp(text, 0)[0] as number);
    this.#entries.push({ selector: text, handlers: checked(handlers) });
    return this;
  }
  onDocument(handlers: Handlers): this {
    need(arguments.length, 1, "onDocument");
    this.#entries.push({ selector: null, handlers: checked(handlers) });
    return this;
  }
  transform(response: Response): Response {
    if (!(response instanceof Response)) throw new TypeError("Only a Response can be transformed");
    const body = bodyOfResponse(response);
    if (body.isNull) return new Response(null, response);
    if (body.isUnusable) throw new TypeError("The response's body has been read already");
    const stream = rewrite(response.body as ReadableStream<unknown>, [...this.#entries]);
    const transformed = new Response(stream, response);
    // It will have another length.
    transformed.headers.delete("content-length");
    return transformed;
  }
}
describe(HTMLRewriter, "HTMLRewriter");

function checked(handlers: unknown): Handlers {
  if ((typeof handlers !== "object" && typeof handlers !== "function") || handlers === null) throw new TypeError("The handlers are not an object");
  return handlers as Handlers;
}
