// The value is a function that runs a suite and gives what failed, as JSON. A small relative of testharness.js.
async source => {
  const tests = [];
  const test = (name, run) => tests.push([name, run]);
  const show = value => {
    if (value instanceof ArrayBuffer) value = new Uint8Array(value);
    if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${[...value]})`;
    if (typeof value === "bigint" || typeof value === "undefined" || value instanceof Error) return String(value);
    return JSON.stringify(value, (_, v) => (v === undefined ? "(undefined)" : typeof v === "bigint" ? `${v}n` : v));
  };
  const equal = (got, expected, what = "") => {
    if (show(got) !== show(expected)) throw new Error(`${what} ${show(got)} is not ${show(expected)}`.trim());
  };
  const ok = (value, what = "it is not so") => {
    if (!value) throw new Error(what);
  };
  /** The call fails, at once or later, with an error of that name. */
  const fails = async (name, run) => {
    let result;
    try {
      result = await run();
    } catch (e) {
      const got = e instanceof DOMException ? e.name : e?.constructor?.name;
      if (got !== name) throw new Error(`it failed with ${got} (${e?.message ?? e}), not with ${name}`);
      return;
    }
    throw new Error(`it gave ${show(result)} and should have failed with ${name}`);
  };
  const hex = text => Uint8Array.from(text.match(/../g) ?? [], pair => parseInt(pair, 16));
  const toHex = data => [...new Uint8Array(data.buffer ?? data)].map(b => b.toString(16).padStart(2, "0")).join("");
  const utf8 = text => new TextEncoder().encode(text);
  const text = data => new TextDecoder().decode(data);
  const collect = async stream => new Uint8Array(await new Response(stream).arrayBuffer());
  Function("test", "equal", "ok", "fails", "hex", "toHex", "utf8", "text", "collect", source)(test, equal, ok, fails, hex, toHex, utf8, text, collect);
  const failures = {};
  for (const [name, run] of tests) {
    try {
      await run();
    } catch (e) {
      failures[name] = e instanceof Error ? `${e.name}: ${e.message}` : String(e);
    }
  }
  return JSON.stringify({ tests: tests.length, failures });
}
