/**
 * The web platform in the sandbox: everything a Worker expects beside the language itself, except what needs the
 * network. `atob`, `btoa` and `DOMException` are the engine's own.
 */
import type { Host } from "../host";
import { AbortController, AbortSignal } from "./abort";
import { Blob, File } from "./blob";
import { Cache, CacheStorage, caches } from "./caches";
import { CompressionStream, DecompressionStream } from "./compression";
import { console, reportError } from "./console";
import { Crypto } from "./crypto/crypto";
import { CryptoKey } from "./crypto/key";
import { SubtleCrypto } from "./crypto/subtle";
import { TextDecoder, TextEncoder } from "./encoding";
import { EventSource } from "./event-source";
import { CustomEvent, Event, EventTarget, MessageEvent } from "./events";
import { fetch, fetchFrom } from "./fetch";
import { ExtendableEvent, PromiseRejectionEvent, dispatchRejection } from "./global-events";
import { FormData } from "./formdata";
import { define } from "./global";
import { Headers, flattenHeaders, makeHeaders } from "./headers";
import { setHost } from "./host";
import { HTMLRewriter } from "./html-rewriter";
import { errorText, inspect } from "./inspect";
import { MessageChannel, MessagePort } from "./message-channel";
import { installNavigator } from "./navigator";
import { Performance, PerformanceEntry, PerformanceMark, PerformanceMeasure, performance } from "./performance";
import { PerformanceObserver, PerformanceObserverEntryList } from "./performance-observer";
import { FixedLengthStream, IdentityTransformStream } from "./pipes";
import { Request, makeIncomingRequest } from "./request";
import { Response, isEncodedResponse } from "./response";
import { Scheduler } from "./scheduler";
import * as streams from "./streams";
import { deserialize } from "./serialize";
import { structuredClone } from "./structured-clone";
import { isPlainBody, releaseBody, takeBody } from "./take-body";
import * as timers from "./timers";
import { URL } from "./url";
import { URLPattern } from "./url-pattern";
import { URLSearchParams } from "./url-search-params";
import { CloseEvent, ErrorEvent, WebSocket, WebSocketPair, socketAccess } from "./web-socket";

export type { IncomingRequest } from "./request";
export type { PullSource } from "./body";

/** What the rest of the bundle uses of the modules here, and users cannot reach. */
const internals = {
  console,
  deserialize,
  dispatchRejection,
  errorText,
  fetchFrom,
  flattenHeaders,
  inspect,
  installNavigator,
  isEncodedResponse,
  isPlainBody,
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
  const { exhaust: _exhaust, isDisturbed: _isDisturbed, ...streamClasses } = streams;
  define(global, {
    AbortController,
    AbortSignal,
    Blob,
    Cache,
    CacheStorage,
    CloseEvent,
    CompressionStream,
    Crypto,
    CryptoKey,
    CustomEvent,
    DecompressionStream,
    ErrorEvent,
    Event,
    EventSource,
    EventTarget,
    ExtendableEvent,
    File,
    FixedLengthStream,
    FormData,
    HTMLRewriter,
    Headers,
    IdentityTransformStream,
    MessageChannel,
    MessageEvent,
    MessagePort,
    Performance,
    PerformanceEntry,
    PerformanceMark,
    PerformanceMeasure,
    PerformanceObserver,
    PerformanceObserverEntryList,
    PromiseRejectionEvent,
    Request,
    Response,
    Scheduler,
    SubtleCrypto,
    TextDecoder,
    TextEncoder,
    URL,
    URLPattern,
    URLSearchParams,
    WebSocket,
    WebSocketPair,
    ...streamClasses,
    caches,
    clearImmediate: timers.clearImmediate,
    clearInterval: timers.clearInterval,
    clearTimeout: timers.clearTimeout,
    console,
    crypto: new Crypto(),
    fetch,
    performance,
    queueMicrotask: timers.queueMicrotask,
    reportError,
    self: global,
    scheduler: new Scheduler(),
    setImmediate: timers.setImmediate,
    setInterval: timers.setInterval,
    setTimeout: timers.setTimeout,
    structuredClone,
  });
  return internals;
}
