// The Python function that Node answers requests with, in the npm package `pyodide`.
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** Boots the package in the folder and gives the function. */
export async function helloFunction(folder) {
  const { loadPyodide } = await import(pathToFileURL(join(resolve(folder), "pyodide.mjs")));
  const pyodide = await loadPyodide();
  return pyodide.runPython(`
from js import Response

async def fetch(request):
    return Response.new("Hello from Python!")

fetch
`);
}
