import { env, waitUntil } from "cloudflare:workers";
import { double } from "./inner/double.js";

let count = 0;
export const next = () => double(++count);
export const variable = () => env.NAME;
export const names = () => Object.keys(env);
export const url = import.meta.url;
export function later(log) {
  const copy = log.copy();
  waitUntil(
    new Promise((resolve) => setTimeout(resolve, 5)).then(() => {
      copy("from a module");
      copy.destroy();
    })
  );
}
export default class Thing {
  constructor(x) {
    this.x = x;
  }
}
