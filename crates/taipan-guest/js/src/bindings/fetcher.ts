/** What answers requests in the network's place: assets, another Worker. */
import type { FieldIn } from "../host";
import type { Request, Response, WebInternals } from "../web/index";
import { describe } from "../web/webidl";
import type { Access } from "./access";

export class Fetcher {
  #access: Access;
  #web: WebInternals;
  #opensSockets: boolean;

  constructor(access: Access, web: WebInternals, opensSockets = false) {
    this.#access = access;
    this.#web = web;
    this.#opensSockets = opensSockets;
  }

  async fetch(input: Request | string, init?: object | null): Promise<Response> {
    const open = (...fields: FieldIn[]) => this.#access.askNow("fetcher.open", ...fields);
    const connect = (...fields: FieldIn[]) => this.#access.ask("service.socket", ...fields);
    return this.#web.fetchFrom(input, init, open, this.#opensSockets ? connect : undefined);
  }
}
describe(Fetcher, "Fetcher");

/** The object itself: requests and responses cross the border as objects anyway. */
export function fetcherForPython(access: Access, web: WebInternals): object {
  const fetcher = new Fetcher(access, web);
  return { fetch: (request: Request) => fetcher.fetch(request) };
}
