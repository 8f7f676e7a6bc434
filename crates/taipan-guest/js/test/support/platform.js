// Builds src/web and installs it into an object, so that it stands beside Node's own in one realm.
import { build } from "esbuild";
import { randomFillSync } from "node:crypto";

// QuickJS-ng has it, Node 20 does not.
ArrayBuffer.prototype.transfer ??= function () {
  return structuredClone(this, { transfer: [this] });
};

const { outputFiles } = await build({
  entryPoints: [new URL("../../src/web/index.ts", import.meta.url).pathname],
  bundle: true,
  format: "esm",
  target: "es2023",
  minifySyntax: true,
  write: false,
  logLevel: "warning",
});
const code = Buffer.from(outputFiles[0].contents).toString("base64");
const { installWeb } = await import(`data:text/javascript;base64,${code}`);

/** What was logged: `[level, line]`. */
export const logged = [];
/** Time stands still unless a test moves it; in milliseconds. */
export const clock = { now: 1000 };

const PARTS = [
  "href",
  "protocol",
  "username",
  "password",
  "host",
  "hostname",
  "port",
  "pathname",
  "search",
  "hash",
  "origin",
];
const parts = (url) => PARTS.map((part) => url[part]);

const operations = {
  "url.parse": (href, base) => parts(base === null ? new URL(href) : new URL(href, base)),
  "url.set": (href, part, value) => {
    const url = new URL(href);
    url[part] = value;
    return parts(url);
  },
  "text.label": (label) => [new TextDecoder(label).encoding],
  "text.decode": (encoding, bytes, fatal, keepMark) => [
    new TextDecoder(encoding, { fatal: Boolean(fatal), ignoreBOM: Boolean(keepMark) }).decode(bytes),
  ],
};
const names = Object.keys(operations);

let cause = 0;

/** How often the turn loop was told that there are timers. */
export const told = { ofTimers: 0 };

export const host = {
  awaitTimers: () => void told.ofTimers++,
  now: (which) => (which ? clock.now : 1.7e12 + clock.now),
  log: (level, line) => void logged.push([level, line]),
  cause: () => cause,
  setCause: (request) => void (cause = request),
  random: (bytes) => void randomFillSync(bytes),
  utf8Encode: (text) => new Uint8Array(new TextEncoder().encode(text)).buffer,
  utf8Decode: (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes),
  utf8Valid(bytes) {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes);
      return true;
    } catch {
      return false;
    }
  },
  opNumber(name) {
    if (!names.includes(name)) throw new Error(`unknown operation: ${name}`);
    return names.indexOf(name);
  },
  opSync: (number, ...fields) => operations[names[number]](...fields),
};

/** The globals as the sandbox has them. */
export const web = {};
export const internals = installWeb(host, web);

/** Runs all that is due, with microtasks in between, as the turn loop does. */
export async function runDue() {
  while (internals.timers.runDue(clock.now)) await drain();
}

/** Lets promise jobs run; Node's own setImmediate comes after all of them. */
export const drain = () => new Promise((resolve) => setImmediate(resolve));

/** The result of a function, or the class of what it threw: for comparing two implementations. */
export function outcome(run) {
  try {
    return { value: run() };
  } catch (error) {
    return { threw: error instanceof DOMException ? error.name : error.constructor.name };
  }
}

export async function outcomeAsync(run) {
  try {
    return { value: await run() };
  } catch (error) {
    return { threw: error instanceof DOMException ? error.name : error.constructor.name };
  }
}
