// Runs the benchmarks of bench/worker in the npm package `pyodide` on Node.
// Arguments: the package's folder, the benchmarks' folder. Each line of standard input is a question for
// `sample.answer`, each line of standard output the answer.
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [packageFolder, benchFolder] = process.argv.slice(2).map((path) => resolve(path));
const { loadPyodide } = await import(pathToFileURL(join(packageFolder, "pyodide.mjs")));
const pyodide = await loadPyodide({ stdout: (line) => console.error(line) });

pyodide.FS.mkdir("/bench");
for (const name of readdirSync(benchFolder)) {
  if (name.endsWith(".py")) pyodide.FS.writeFile(`/bench/${name}`, readFileSync(join(benchFolder, name)));
}
pyodide.runPython("import sys; sys.path.insert(0, '/bench')");
const { answer } = pyodide.pyimport("sample");

for await (const question of createInterface({ input: process.stdin })) {
  process.stdout.write(`${await answer(question)}\n`);
}
