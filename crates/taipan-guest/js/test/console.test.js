import assert from "node:assert/strict";
import test from "node:test";
import { format, inspect as nodeInspect } from "node:util";
import { clock, internals, logged, web } from "./support/platform.js";

const { inspect } = internals;
const { console } = web;

/** What a call logs. */
function log(run) {
  logged.length = 0;
  run();
  return logged.map(([level, line]) => `${level} ${line}`).join("\n");
}

class Point {
  x = 1;
}
class Sub extends Map {}
const cycle = { name: "c" };
cycle.self = cycle;

for (const [what, value] of Object.entries({
  string: "it's",
  "both quotes": `'"`,
  "line break": "a\nb",
  numbers: [1, -0, NaN, 1.5, 10n],
  nothing: [null, undefined],
  symbol: Symbol("s"),
  empty: [{}, [], new Map(), new Set()],
  object: { a: 1, "b-c": "x" },
  nested: { a: { b: { c: { d: 1 } } } },
  "nested lists": [[[[1]]]],
  holes: [1, , , 4],
  "list with a name": Object.assign([1], { x: 2 }),
  map: new Map([["a", { b: 1 }]]),
  set: new Set([1, "x"]),
  bytes: new Uint8Array([1, 2]),
  floats: new Float64Array([1.5]),
  date: new Date(0),
  "bad date": new Date(NaN),
  regexp: /a+/g,
  function: function name() {},
  arrow: (
    () => () =>
      1
  )(),
  async: async function later() {},
  class: Point,
  subclass: Sub,
  instance: new Point(),
  "subclass instance": new Sub([[1, 2]]),
  "null prototype": Object.assign(Object.create(null), { a: 1 }),
  accessors: {
    get a() {
      return 1;
    },
    set b(_) {},
    get c() {
      return 1;
    },
    set c(_) {},
  },
  box: Object("x"),
})) {
  test(`inspect: ${what}`, () => assert.equal(inspect(value), nodeInspect(value)));
}
test("inspect: symbols as keys", () => assert.equal(inspect({ [Symbol("s")]: 2 }), "{ [Symbol(s)]: 2 }"));
test("inspect: cycles", () => assert.equal(inspect(cycle), "{ name: 'c', self: [Circular] }"));
test("inspect: long values go over lines", () => {
  const value = { first: "x".repeat(40), second: "y".repeat(40), inner: { a: 1 } };
  assert.equal(inspect(value), nodeInspect(value));
});
test("inspect: long lists end early", () => {
  assert.match(inspect(Array.from({ length: 150 }, (_, i) => i)), /99,?\s+\.\.\. 50 more items\s\]$/);
  assert.match(inspect(new Uint8Array(1e6)), /\.\.\. 999900 more items\s\]$/);
  assert.match(inspect(new Set(Array(200).keys())), /\.\.\. 100 more items\s\}$/);
});
test("inspect: errors", () => {
  const error = new TypeError("boo", { cause: new Error("why") });
  error.code = "E1";
  const text = inspect(error);
  assert.match(text, /^TypeError: boo\n\s+at .*console\.test\.js/);
  assert.match(text, /code: 'E1',\n\s+\[cause\]: Error: why\n\s+at /);
  const bare = new Error("x");
  bare.stack = "    at f (a.js:1:2)\n"; // QuickJS's form
  assert.equal(inspect(bare), "Error: x\n    at f (a.js:1:2)");
  assert.equal(inspect({ bare }), "{\n  bare: Error: x\n      at f (a.js:1:2)\n}");
  delete bare.stack;
  bare.stack = undefined;
  assert.equal(inspect(bare), "Error: x");
  assert.match(inspect(new AggregateError([new Error("one")], "all")), /\[errors\]: \[\n\s+Error: one/);
});
test("inspect: what throws when it is looked at", () => {
  const hostile = new Proxy(
    {},
    {
      ownKeys() {
        throw new Error("no");
      },
    },
  );
  assert.match(inspect(hostile), /^\[object that cannot be shown: Error: no\]$/);
});
test("inspect: Python objects show themselves", () => {
  assert.equal(inspect({ [Symbol.toStringTag]: "PyProxy", toString: () => "<Thing>" }), "<Thing>");
});
test("inspect: platform objects", () => {
  assert.equal(inspect(new web.Headers({ b: "2", a: "1" })), "Headers { a: '1', b: '2' }");
  assert.equal(inspect(new web.URLSearchParams("a=1")), "URLSearchParams { a: '1' }");
  assert.match(inspect(new web.Response("x", { status: 201 })), /^Response \{\n  status: 201,/);
  assert.match(
    inspect(new web.Request("https://h/")),
    /^Request \{ method: 'GET', url: 'https:\/\/h\/', headers: Headers \{\}/,
  );
  assert.match(inspect(new web.URL("https://h/x")), /^URL \{\n  href: 'https:\/\/h\/x',/);
  assert.equal(
    inspect(new web.File(["x"], "n", { lastModified: 1 })),
    "File { name: 'n', size: 1, type: '', lastModified: 1 }",
  );
  const response = new web.Response("x");
  inspect(response);
  assert.equal(internals.takeBody(response), "x"); // looking makes no stream
});

for (const args of [
  [],
  ["a", 1, "b"],
  ["%s and %s", "x"],
  ["%s", "x", "y"],
  ["%d|%i|%f", "42.5", "42.5", "42.5"],
  ["%d", {}],
  ["%i", 12n],
  ["%j", { a: [1] }],
  ["%% %s %%", 1],
  ["%c red", "color: red"],
  ["%x %s", 1],
  ["100%", 1],
  ["%s", null],
  ["%s", undefined],
  ["%s", Symbol("s")],
  ["%s", -5],
  ["%O", { a: { b: 1 } }],
  [{ a: "x" }, "%s"],
  ["%s", () => 1].slice(0, 1),
  ["%d", "x"],
]) {
  test(`format ${args.map(String).join(" ")}`, () =>
    assert.equal(
      log(() => console.log(...args)),
      `1 ${format(...args)}`,
    ));
}
test("levels", () => {
  assert.equal(
    log(() => {
      for (const level of ["debug", "log", "info", "warn", "error"]) console[level](level);
    }),
    "0 debug\n1 log\n2 info\n3 warn\n4 error",
  );
});
test("groups indent", () => {
  assert.equal(
    log(() => {
      console.group("outer");
      console.log("a\nb");
      console.groupCollapsed();
      console.warn("c");
      console.groupEnd();
      console.groupEnd();
      console.groupEnd();
      console.log("d");
    }),
    "1 outer\n1   a\n  b\n3     c\n1 d",
  );
});
test("assert", () => {
  assert.equal(
    log(() => {
      console.assert(true, "no");
      console.assert(false);
      console.assert(0, "why %s", "x");
      console.assert("", { a: 1 });
    }),
    "4 Assertion failed\n4 Assertion failed: why x\n4 Assertion failed { a: 1 }",
  );
});
test("count", () => {
  assert.equal(
    log(() => {
      console.count();
      console.count("x");
      console.count();
      console.countReset();
      console.count();
      console.countReset("none");
    }),
    "2 default: 1\n2 x: 1\n2 default: 2\n2 default: 1\n3 Count for 'none' does not exist",
  );
});
test("time", () => {
  assert.equal(
    log(() => {
      console.time("t");
      console.time("t");
      clock.now += 1.5;
      console.timeLog("t", "so far", { a: 1 });
      clock.now += 1;
      console.timeEnd("t");
      console.timeEnd("t");
    }),
    "3 Timer 't' already exists\n1 t: 1.500ms so far { a: 1 }\n2 t: 2.500ms\n3 Timer 't' does not exist",
  );
});
test("table", () => {
  assert.equal(
    log(() => console.table([{ a: 1, b: "x" }, { a: 2 }, 5])),
    `1 ┌─────────┬───┬─────┬────────┐
│ (index) │ a │ b   │ Values │
├─────────┼───┼─────┼────────┤
│ 0       │ 1 │ 'x' │        │
│ 1       │ 2 │     │        │
│ 2       │   │     │ 5      │
└─────────┴───┴─────┴────────┘`,
  );
  assert.match(
    log(() => console.table([{ a: 1, b: 2 }], ["b"])),
    /│ \(index\) │ b │/,
  );
  assert.equal(
    log(() => console.table("x")),
    "1 x",
  );
});
test("trace and dir", () => {
  assert.match(
    log(() => console.trace("why %s", "x")),
    /^0 Trace: why x\n\s+at .*console\.test\.js/,
  );
  assert.equal(
    log(() => console.dir({ a: { b: { c: { d: 1 } } } }, { depth: null })),
    "1 {\n  a: { b: { c: { d: 1 } } }\n}".replace(/\n\s*/g, (m) => (m === "\n" ? " " : " ")),
  );
});
