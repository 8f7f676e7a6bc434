// Boots the npm package `pyodide`, answers one request with a Python function, prints the response, and stays until the end of
// standard input. Argument: the package's folder.
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const { loadPyodide } = await import(pathToFileURL(join(resolve(process.argv[2]), "pyodide.mjs")));
const pyodide = await loadPyodide();
const fetch = pyodide.runPython(`
from js import Response

async def fetch(request):
    return Response.new("Hello from Python!")

fetch
`);
const response = await fetch(new Request("http://localhost/"));
console.log(await response.text());
process.stdin.resume();
