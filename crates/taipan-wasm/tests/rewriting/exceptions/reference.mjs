// Runs programs (see mod.rs) with Node's own implementation of legacy exceptions.
// node reference.mjs MANIFEST: prints one line for each call.
import fs from 'node:fs';
import path from 'node:path';

const { programs, args } = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const folder = path.dirname(process.argv[2]);
const lines = [];

function instantiate(modules) {
  const tags = {
    't0/1': new WebAssembly.Tag({ parameters: ['i32'] }),
    't1/2': new WebAssembly.Tag({ parameters: ['i32', 'i64'] }),
  };
  const imports = {};
  let exports;
  modules.forEach((module, index) => {
    let instance;
    const host = (x, j) => instance.exports.cb(x, j);
    instance = new WebAssembly.Instance(module, { ...imports, env: { ...tags, host } });
    exports = imports[`m${index}`] = instance.exports;
  });
  return { tags, exports };
}

function outcome(run, arg, tags) {
  try {
    return `returned ${run(arg)}`;
  } catch (error) {
    if (error instanceof WebAssembly.Exception) {
      for (const [name, tag] of Object.entries(tags)) {
        if (error.is(tag)) {
          const values = Array.from({ length: Number(name.split('/')[1]) }, (_, i) => error.getArg(tag, i));
          return `threw ${name} [${values.join(', ')}]`;
        }
      }
      return 'threw a private tag';
    }
    if (error instanceof WebAssembly.RuntimeError) {
      return `trapped: ${/unreachable|divide by zero/.exec(error.message) ?? error.message}`;
    }
    throw error;
  }
}

for (const { name, files } of programs) {
  const modules = files.map(file => new WebAssembly.Module(fs.readFileSync(path.join(folder, file))));
  const described = WebAssembly.Module.exports(modules.at(-1));
  for (const { name: run } of described.filter(e => e.kind === 'function' && e.name.startsWith('run'))) {
    for (const arg of args) {
      const { tags, exports } = instantiate(modules);
      for (const { name: tag } of described.filter(e => e.kind === 'tag')) tags[tag] = exports[tag];
      const result = outcome(exports[run], arg, tags);
      const globals = described.filter(e => e.kind === 'global').map(e => ` ${e.name}=${exports[e.name].value}`);
      lines.push(`${name} ${run}(${arg}): ${result};${globals.join('')}`);
    }
  }
}
process.stdout.write(lines.join('\n') + '\n');
