/** The host's `crypto.*` operations, which all have the same fields. */
import type { FieldOut } from "../../host";
import { host } from "../host";

export interface Task {
  algorithm?: string;
  hash?: string | undefined;
  curve?: string | undefined;
  key?: Uint8Array | undefined;
  data?: Uint8Array | undefined;
  extra?: Uint8Array | undefined;
  info?: Uint8Array | undefined;
  size?: number | undefined;
  rounds?: number | undefined;
  parts?: Uint8Array[];
}

export type Verb = "hash" | "encrypt" | "decrypt" | "sign" | "verify" | "derive" | "generate" | "import" | "export";

const NOTHING = new Uint8Array();

export function compute(verb: Verb, task: Task): Promise<FieldOut[]> {
  const { algorithm = "", hash = "", curve = "", key = NOTHING, data = NOTHING, extra, info, size = 0, rounds = 0, parts = [] } = task;
  return host.opAsync(host.opNumber(`crypto.${verb}`), algorithm, hash, curve, key, data, extra, info, size, rounds, host.cause(), ...parts);
}
