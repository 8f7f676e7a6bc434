// Reports of failures: what their author sees.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker, skip } from "./harness.mjs";

const IMPORTS = "from workers import Response, WorkerEntrypoint\n";
const IN_CLASS = "\nclass Default(WorkerEntrypoint):\n    async def fetch(self, request):\n";

/** The failure of a request to a Worker whose handler is this code, or of its start. */
async function failureOf(body, { head = "", files = {} } = {}) {
  const indented = body.split("\n").map(line => `        ${line}`).join("\n");
  const worker = await Worker.start({ "entry.py": `${IMPORTS}${head}${IN_CLASS}${indented}\n`, ...files });
  if (worker.failure) return worker.failure;
  const { failure, status } = await worker.fetch("/");
  assert.equal(status, undefined);
  return failure;
}

function clean({ text }) {
  assert.doesNotMatch(text, /wasm|pyodide|_taipan|\/taipan\/|workers\//);
  return text;
}

test("an exception", { skip }, async () => {
  const failure = await failureOf("value = (1 / 0) + 2\nreturn value");
  assert.equal(
    clean(failure),
    `Traceback (most recent call last):
  File "entry.py", line 5, in fetch
    value = (1 / 0) + 2
             ~~^~~
ZeroDivisionError: division by zero
`
  );
  const { text: _, ...rest } = failure;
  assert.deepEqual(rest, {
    kind: "exception",
    type: "ZeroDivisionError",
    message: "division by zero",
    frames: [
      { file: "entry.py", line: 5, column: 17, end_column: 22, function: "fetch", source: "        value = (1 / 0) + 2", user: true },
    ],
    notes: [],
    cause: null,
    hint: null,
  });
});

test("columns count characters", { skip }, async () => {
  const { frames } = await failureOf('return "äöü🐍" + str(1 / 0)');
  assert.deepEqual([frames[0].column, frames[0].end_column], [28, 33]);
});

test("a chain of exceptions, with notes, through a module and the standard library", { skip }, async () => {
  const failure = await failureOf("import helper\nhelper.parse('{')", {
    files: {
      "helper.py": `import json
def parse(text):
    try:
        return json.loads(text)
    except ValueError as error:
        wrong = RuntimeError("no JSON")
        wrong.add_note("a note")
        raise wrong from error
`,
    },
  });
  assert.match(clean(failure), /JSONDecodeError: Expecting[^]*direct cause[^]*File "helper.py", line 8, in parse\n[^]*RuntimeError: no JSON\na note\n$/);
  assert.deepEqual(failure.notes, ["a note"]);
  assert.deepEqual(failure.frames.map(f => [f.file, f.function]), [["entry.py", "fetch"], ["helper.py", "parse"]]);
  assert.equal(failure.cause.relation, "cause");
  assert.equal(failure.cause.type, "json.decoder.JSONDecodeError");
  assert.equal(failure.cause.frames[0].user, true);
  assert.equal(failure.cause.frames.at(-1).user, false);
  assert.equal(failure.cause.text, "");
});

test("context and suppressed context", { skip }, async () => {
  const context = await failureOf("try:\n    {}['k']\nexcept KeyError:\n    None.x");
  assert.equal(context.cause.relation, "context");
  assert.match(clean(context), /During handling of the above exception/);
  const suppressed = await failureOf("try:\n    {}['k']\nexcept KeyError:\n    raise ValueError('v') from None");
  assert.equal(suppressed.cause, null);
  assert.doesNotMatch(clean(suppressed), /KeyError/);
});

test("an exception group", { skip }, async () => {
  const failure = await failureOf("raise ExceptionGroup('both', [ValueError('one'), TypeError('two')])");
  assert.match(clean(failure), /Exception Group Traceback[^]*both \(2 sub-exceptions\)[^]*ValueError: one[^]*TypeError: two/);
});

test("an exception of JavaScript", { skip }, async () => {
  globalThis.thrower = function thrower() {
    null.x;
  };
  const failure = await failureOf("import js\njs.thrower()");
  assert.equal(failure.type, "JsException");
  assert.match(failure.message, /TypeError: Cannot read properties of null/);
  assert.match(clean(failure), /File "entry.py", line 6[^]*\nJsException: TypeError: Cannot read[^]*JavaScript stack:\n  at (globalThis\.)?thrower/);
});

test("an exception that went through JavaScript", { skip }, async () => {
  const failure = await failureOf('from pyodide.code import run_js\ndef fail(): raise KeyError("k")\nrun_js("f => f()")(fail)');
  assert.equal(failure.type, "KeyError");
  assert.deepEqual(failure.frames.map(f => f.function), ["fetch", "fail"]);
  clean(failure);
});

test("exits and cancellation are failures of the request only", { skip }, async () => {
  const exit = await failureOf("import sys\nsys.exit(3)");
  assert.equal(exit.type, "SystemExit");
  assert.match(exit.hint, /no process/);
  assert.equal((await failureOf("raise KeyboardInterrupt")).type, "KeyboardInterrupt");
  assert.equal((await failureOf("import asyncio\nraise asyncio.CancelledError")).type, "asyncio.exceptions.CancelledError");
});

test("endless recursion has a short report", { skip }, async () => {
  const failure = await failureOf("def down(n): return down(n + 1)\ndown(0)");
  assert.equal(failure.type, "RecursionError");
  assert.match(clean(failure), /Previous line repeated \d+ more times/);
  assert.ok(failure.frames.length <= 80 && failure.text.length < 3000);
});

test("an exception that cannot be shown", { skip }, async () => {
  const failure = await failureOf("raise Bad()", { head: "class Bad(Exception):\n    def __str__(self): raise ValueError\n    __repr__ = __str__\n" });
  assert.equal(failure.type, "entry.Bad");
  assert.match(failure.message, /str\(\) failed/);
});

test("running out of memory lets go of what filled it", { skip }, async () => {
  const head = `import weakref
class Block: pass
class OutOfMemory(MemoryError):
    def __str__(self): return "freed" if self.block() is None else "still there"
`;
  const failure = await failureOf("block = Block()\nerror = OutOfMemory()\nerror.block = weakref.ref(block)\nraise error", { head });
  assert.equal(failure.message, "freed");
  assert.equal(failure.frames[0].source.trim(), "raise error");
});

test("a method that takes too much", { skip }, async () => {
  const worker = await Worker.start({ "entry.py": `${IMPORTS}class Default(WorkerEntrypoint):\n    def fetch(self, a, b, c, d): pass\n` });
  const { failure } = await worker.fetch("/");
  assert.match(clean(failure), /^TypeError: Default\.fetch\(\) missing 1 required positional argument: 'd'\n$/);
});

const RETURNS = {
  "": ["Default.fetch returned None, not a Response", /return statement/],
  "return {}": ["Default.fetch returned dict, not a Response", /Response\.json/],
  "return 'text'": ["Default.fetch returned str, not a Response", /return Response\(/],
  "return object()": ["Default.fetch returned object, not a Response", /return a Response/],
  "return Response": ["Default.fetch returned type, not a Response", /return a Response/],
  "import js; return js.Date.new()": ["Default.fetch returned Date, not a Response", /return a Response/],
  "from pyodide.ffi import jsnull; return jsnull": ["Default.fetch returned JsNull, not a Response", /return a Response/],
};
for (const [code, [message, hint]] of Object.entries(RETURNS)) {
  test(`a handler that ends with: ${code || "nothing"}`, { skip }, async () => {
    const failure = await failureOf(code || "pass");
    assert.equal(failure.kind, "bad_return");
    assert.equal(failure.message, message);
    assert.match(failure.hint, hint);
    assert.equal(failure.text, `TypeError: ${message}\n  File "entry.py", line 4, in Default.fetch\n    async def fetch(self, request):\n`);
    assert.deepEqual([failure.frames[0].file, failure.frames[0].line, failure.frames[0].column], ["entry.py", 4, 4]);
  });
}

test("a syntax error", { skip }, async () => {
  const { failure } = await Worker.start({ "src/entry.py": "x = 1\ndef f(self request):\n    pass\n" });
  assert.equal(failure.kind, "syntax");
  assert.equal(failure.text, '  File "src/entry.py", line 2\n    def f(self request):\n               ^^^^^^^\nSyntaxError: invalid syntax\n');
  assert.deepEqual(failure.frames, [
    { file: "src/entry.py", line: 2, column: 11, end_column: 18, function: "", source: "def f(self request):", user: true },
  ]);
});

test("a syntax error in an imported module", { skip }, async () => {
  const { failure } = await Worker.start({ "entry.py": "import other\n", "other.py": "if True:\nx = 1\n" });
  assert.equal(failure.kind, "syntax");
  assert.equal(failure.type, "IndentationError");
  assert.deepEqual(failure.frames.map(f => [f.file, f.line]), [["entry.py", 1], ["other.py", 2]]);
  clean(failure);
});

test("missing modules", { skip }, async () => {
  const hints = {
    "import halper": /^did you mean 'helper'\?$/,
    "import src.helper": /^modules beside src\/entry\.py are imported without the folder's name: leave out src\.$/,
    "from src.helper import X": /leave out src\.$/,
    "import frobnicate": /^there is neither a file frobnicate\.py beside src\/entry\.py nor an installed package/,
    "import curses": /^curses is a module of the standard library that is not available/,
  };
  for (const [line, hint] of Object.entries(hints)) {
    const { failure } = await Worker.start({ "src/entry.py": `${line}\n`, "src/helper.py": "X = 1\n" });
    assert.equal(failure.kind, "import");
    assert.match(failure.hint, hint);
    assert.equal(failure.frames[0].source, line);
    assert.doesNotMatch(failure.text, /_taipan|frozen/);
  }
});

test("a vendored package is no code of the author's", { skip }, async () => {
  const worker = await Worker.start(
    { "src/entry.py": `import vendored\n${IMPORTS}${IN_CLASS}        vendored.fail()\n`, "python_modules/vendored.py": "def fail():\n    1 / 0\n" },
    { main: "./src/entry.py" }
  );
  assert.equal(worker.failure, null);
  const { failure } = await worker.fetch("/");
  assert.deepEqual(failure.frames.map(f => [f.file, f.user]), [["src/entry.py", true], ["python_modules/vendored.py", false]]);
});

test("an exception at import", { skip }, async () => {
  const { failure } = await Worker.start({ "entry.py": "DIVISOR = 1 / 0\n" });
  assert.equal(failure.kind, "startup");
  assert.match(clean(failure), /^Traceback[^]*File "entry.py", line 1, in <module>\n    DIVISOR = 1 \/ 0\n[^]*ZeroDivisionError: division by zero\n$/);
});

test("no entrypoint", { skip }, async () => {
  const start = async (source, options) => (await Worker.start({ "entry.py": source }, options)).failure;
  const none = await start("def fetch(request): pass\n");
  assert.equal(none.kind, "no_handler");
  assert.equal(none.message, "entry.py has no entrypoint: there is no class Default in it");
  assert.match(none.hint, /class Default\(WorkerEntrypoint\)/);
  const both = await start(`${IMPORTS}class Default(WorkerEntrypoint): pass\ndef on_fetch(request): pass\n`, { globalHandlers: true });
  assert.match(both.text, /TypeError: Cannot define multiple default entrypoints: entry.py has both the class Default and on_fetch/);
  assert.match((await start(`${IMPORTS}class Default: pass\n`)).message, /not a class derived from WorkerEntrypoint/);
  const old = await start("def on_fetch(request): pass\n");
  assert.match(old.message, /defines on_fetch, which this compatibility date does not call/);
  assert.match(old.hint, /disable_python_no_global_handlers/);
  assert.equal((await Worker.start({ "a.txt": "" })).failure.message, "the main module is not a .py file: a.txt");
  assert.equal((await Worker.start({ "a.py": "" }, { main: "b.py" })).failure.message, "the main module does not exist: b.py");
  assert.match((await Worker.start({ "json.py": "" })).failure.message, /has the name of a module that Python needs: json\.py/);
  assert.match((await start(`${IMPORTS}__all__ = ["on_fetch"]\n`)).text, /AttributeError: module 'entry' has no attribute 'on_fetch'/);
});

test("a Worker without a handler for requests", { skip }, async () => {
  const message = async source => {
    const worker = await Worker.start({ "entry.py": source }, { globalHandlers: true });
    assert.equal(worker.failure, null);
    return (await worker.fetch("/")).failure.message;
  };
  assert.match(await message(`${IMPORTS}class Default(WorkerEntrypoint):\n    def scheduled(self, c): pass\n`), /class Default has no method "fetch"/);
  assert.match(await message("def on_scheduled(c): pass\n"), /does not export a handler named "on_fetch"/);
  assert.match(await message(`${IMPORTS}class Other(WorkerEntrypoint): pass\n`), /does not export a class named "Default"/);
});
