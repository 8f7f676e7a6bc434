// Runs the cases in the npm package `pyodide` on Node: they say what Pyodide does on V8, so all must pass there.
// Arguments: the package's folder, and what a case's name must contain.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [packageFolder, filter = ""] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(resolve(packageFolder), "pyodide.mjs")));
const lines = [];
const pyodide = await loadPyodide({ stdout: line => lines.push(line), stderr: line => lines.push(line) });

pyodide.FS.mkdirTree("/ffi/cases");
for (const folder of [".", "cases"]) {
  for (const entry of readdirSync(join(here, folder), { withFileTypes: true })) {
    if (entry.isFile()) pyodide.FS.writeFile(`/ffi/${folder}/${entry.name}`, readFileSync(join(here, folder, entry.name)));
  }
}
pyodide.runPython("import sys; sys.path.insert(0, '/ffi')");
const suite = pyodide.pyimport("suite");
suite.load("node");
process.on("unhandledRejection", () => {});

const failed = [];
const names = suite.names().toJs().filter(name => name.includes(filter));
for (const name of names) {
  lines.length = 0;
  if (process.env.TRACE) console.error(name);
  let report;
  try {
    report = await suite.run(name);
  } catch (e) {
    console.log(`── ${name} ends Pyodide: ${e}`);
    process.exit(1);
  }
  if (report === undefined) continue;
  failed.push(name);
  console.log(`── ${name}\n${report}${lines.join("\n")}`);
}
console.log(`${names.length - failed.length} passed, ${failed.length} failed${failed.map(name => `\n  ${name}`).join("")}`);
process.exit(failed.length ? 1 : 0);
