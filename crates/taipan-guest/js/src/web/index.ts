/**
 * The web platform in the sandbox: everything a Worker expects beside the language itself, except what needs the
 * network. `atob`, `btoa` and `DOMException` are the engine's own.
 */
import type { Host } from "../host";
import { AbortController, AbortSignal } from "./abort";
import { Blob, File } from "./blob";
import { console, reportError } from "./console";
import { Crypto } from "./crypto";
import { TextDecoder, TextEncoder } from "./encoding";
import { CustomEvent, Event, EventTarget, MessageEvent } from "./events";
import { fetch } from "./fetch";
import { FormData } from "./formdata";
import { define } from "./global";
import { Headers, flattenHeaders, makeHeaders } from "./headers";
import { setHost } from "./host";
import { errorText, inspect } from "./inspect";
import { MessageChannel, MessagePort } from "./message-channel";
import { installNavigator } from "./navigator";
import { Performance } from "./performance";
import { Request, makeIncomingRequest } from "./request";
import { Response } from "./response";
import * as streams from "./streams";
import { structuredClone } from "./structured-clone";
import { releaseBody, takeBody } from "./take-body";
import * as timers from "./timers";
import { URL } from "./url";
import { URLSearchParams } from "./url-search-params";
import { CloseEvent, ErrorEvent, WebSocket, WebSocketPair, connectSocket, socketAccess } from "./web-socket";

export type { IncomingRequest } from "./request";
export type { PullSource } from "./body";

/** What the rest of the bundle uses of the modules here, and users cannot reach. */
const internals = {
  connectSocket,
  console,
  errorText,
  flattenHeaders,
  inspect,
  installNavigator,
  makeHeaders,
  makeIncomingRequest,
  releaseBody,
  reportError,
  socketAccess,
  takeBody,
  timers: { nextDue: timers.nextDue, runDue: timers.runDue },
};
export type WebInternals = typeof internals;
export {
  Headers,
  Request,
  Response,
  errorText,
  flattenHeaders,
  inspect,
  installNavigator,
  makeHeaders,
  makeIncomingRequest,
  reportError,
  takeBody,
};
export { nextDue, runDue } from "./timers";

/** Defines the globals. To be called once, before anything that uses them. */
export function installWeb(host: Host, global: object = globalThis): WebInternals {
  setHost(host);
  const { isDisturbed: _, ...streamClasses } = streams;
  define(global, {
    AbortController,
    AbortSignal,
    Blob,
    CloseEvent,
    Crypto,
    CustomEvent,
    ErrorEvent,
    Event,
    EventTarget,
    File,
    FormData,
    Headers,
    MessageChannel,
    MessageEvent,
    MessagePort,
    Performance,
    Request,
    Response,
    TextDecoder,
    TextEncoder,
    URL,
    URLSearchParams,
    WebSocket,
    WebSocketPair,
    ...streamClasses,
    clearImmediate: timers.clearImmediate,
    clearInterval: timers.clearInterval,
    clearTimeout: timers.clearTimeout,
    console,
    crypto: new Crypto(),
    fetch,
    performance: new Performance(),
    queueMicrotask: timers.queueMicrotask,
    reportError,
    self: global,
    setImmediate: timers.setImmediate,
    setInterval: timers.setInterval,
    setTimeout: timers.setTimeout,
    structuredClone,
  });
  return internals;
}
