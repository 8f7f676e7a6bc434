/** What the bindings have in common: the way to the host, and when it is open. */
import type { FieldIn, FieldOut, Host } from "../host";

/** A binding, as the configuration declares it. */
export interface Declared {
  name: string;
  /** What it is; a key of `KINDS` in `index.ts`. */
  kind: string;
}

/** One binding's way to the host. */
export interface Access {
  readonly name: string;
  /** Asks for an operation on the binding. */
  ask(op: string, ...fields: FieldIn[]): Promise<FieldOut[]>;
  /** The same, on the spot. */
  askNow(op: string, ...fields: FieldIn[]): FieldOut[];
  /** Throws while module scope runs. */
  check(): void;
  /** The host's bytes that a stream's are. */
  readonly blobs: Blobs;
}

/** Bytes that stay with the host (see `taipan-bindings/src/blobs.rs`), by number. */
export interface Blobs {
  begin(): number;
  write(blob: number, bytes: Uint8Array): Promise<unknown>;
  /** undefined at the end. */
  read(blob: number): Promise<ArrayBuffer | undefined>;
  drop(blob: number): void;
  /** Makes it a fetch's body, for whoever answers with it. */
  pass(blob: number): number;
}

/** Module scope runs: what it computes is kept. */
let isImporting = false;

export function setImporting(value: boolean): void {
  isImporting = value;
}

function check(name: string): void {
  if (!isImporting) return;
  throw new Error(
    `env.${name} is a binding, which module scope cannot use: what it computes is kept in a snapshot, while data changes. ` +
      "Use it in a handler",
  );
}

/** Gives numbers of operations; the host is asked once for each. */
export function opNumbers(H: Host): (op: string) => number {
  const numbers = new Map<string, number>();
  return op => {
    let known = numbers.get(op);
    if (known === undefined) numbers.set(op, (known = H.opNumber(op)));
    return known;
  };
}

export function makeAccess(H: Host): (name: string) => Access {
  const number = opNumbers(H);
  const blobs: Blobs = {
    begin: () => H.opSync(number("blob.new"))[0] as number,
    write: (blob, bytes) => H.opAsync(number("blob.write"), blob, bytes),
    read: async blob => (await H.opAsync(number("blob.read"), blob))[0] as ArrayBuffer | undefined,
    drop: blob => void H.opSync(number("blob.drop"), blob),
    pass: blob => H.opSync(number("blob.pass"), blob)[0] as number,
  };
  return name => ({
    name,
    blobs,
    check: () => check(name),
    async ask(op, ...fields) {
      check(name);
      return H.opAsync(number(op), name, ...fields);
    },
    askNow(op, ...fields) {
      check(name);
      return H.opSync(number(op), name, ...fields);
    },
  });
}
