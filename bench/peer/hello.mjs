// Boots the npm package `pyodide`, answers one request with a Python function, prints the response, and stays until the end of
// standard input. Argument: the package's folder.
import { helloFunction } from "./hello_function.mjs";

const fetch = await helloFunction(process.argv[2]);
const response = await fetch(new Request("http://localhost/"));
console.log(await response.text());
process.stdin.resume();
