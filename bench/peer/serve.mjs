// The npm package `pyodide` behind node:http. Arguments: the package's folder, the port.
import { createServer } from "node:http";
import { helloFunction } from "./hello_function.mjs";

const [folder, port] = process.argv.slice(2);
const fetch = await helloFunction(folder);
createServer(async (request, response) => {
  const answer = await fetch(new Request(`http://${request.headers.host}${request.url}`));
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.end(Buffer.from(await answer.arrayBuffer()));
}).listen(Number(port), "127.0.0.1");
