// The npm package `pyodide` behind node:http. Arguments: the package's folder, the port.
import { createServer } from "node:http";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, port] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(resolve(folder), "pyodide.mjs")));
const pyodide = await loadPyodide();
const fetch = pyodide.runPython(`
from js import Response

async def fetch(request):
    return Response.new("Hello from Python!")

fetch
`);
createServer(async (request, response) => {
  const answer = await fetch(new Request(`http://${request.headers.host}${request.url}`));
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.end(Buffer.from(await answer.arrayBuffer()));
}).listen(Number(port), "127.0.0.1");
