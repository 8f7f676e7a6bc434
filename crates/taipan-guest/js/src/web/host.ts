/** The host as the modules of this folder see it. Set once, before anything else runs. */
import type { FieldIn, FieldOut, Host } from "../host";

export let host: Host;

export function setHost(h: Host): void {
  host = h;
}

/** A synchronous operation by name. Its number is looked up at the first call: modules load before there is a host. */
export function syncOp(name: string): (...fields: FieldIn[]) => FieldOut[] {
  let number: number | undefined;
  return (...fields) => host.opSync((number ??= host.opNumber(name)), ...fields);
}

/** The same for an asynchronous operation. */
export function asyncOp(name: string): (...fields: FieldIn[]) => Promise<FieldOut[]> {
  let number: number | undefined;
  return (...fields) => host.opAsync((number ??= host.opNumber(name)), ...fields);
}
