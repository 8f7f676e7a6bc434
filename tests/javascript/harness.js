// Runs tests of others inside an isolate; an expression whose value is called by the Worker in `javascript.rs`.
//
// The guest has no way to parse without running. Function() compiles a function's body and runs nothing, and differs from a script
// in what it allows beside: `return` and `new.target`. So a script that must parse is given to Function(); one that must not is
// given to Function() and, where that has no objection, to an indirect eval(). Modules are imported.
async ({ parser, modules, scripts }) => {
  // Of QuickJS-ng's command line. Enough garbage in cycles that the collector has to run.
  globalThis.print = () => {};
  globalThis.gc = () => {
    for (let i = 0; i < 64; i++) {
      const cycle = { bytes: new ArrayBuffer(1 << 20) };
      cycle.self = cycle;
    }
  };
  const failures = {};
  const check = async (name, test) => {
    try {
      await test();
    } catch (e) {
      failures[name] = e instanceof Error ? `${e.name}: ${e.message}` : `not an error: ${String(e)}`;
    }
  };
  const expect = async (type, test) => {
    try {
      await test();
    } catch (e) {
      if (e?.name === type) return;
      throw e;
    }
    throw new Error("it was accepted");
  };
  const indirectEval = eval;

  for (const [name, { source, valid, path }] of Object.entries(parser)) {
    await check(name, async () => {
      if (path && valid) {
        await import(path).catch(e => {
          // What it imports does not exist, and what it does need not work.
          if (e instanceof SyntaxError) throw e;
        });
      } else if (path) {
        await expect("SyntaxError", () => import(path));
      } else if (valid) {
        Function(source);
      } else {
        await expect("SyntaxError", () => {
          Function(source);
          indirectEval(source);
        });
      }
    });
  }
  for (const [name, { path, negative }] of Object.entries(modules)) {
    await check(name, () => (negative ? expect(negative, () => import(path)) : import(path)));
  }
  for (const [name, { source, negative }] of Object.entries(scripts)) {
    await check(name, () => (negative ? expect(negative, () => indirectEval(source)) : indirectEval(source)));
  }
  return JSON.stringify(failures);
}
