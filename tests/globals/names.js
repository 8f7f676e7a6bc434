/**
 * Names of what the global scope has, and of what that has: `URL`, `URL.canParse`, `URL.prototype.host`. Runs in workerd as a module, and in our
 * Worker as a script that ends with it.
 */
export function names() {
  const found = [];
  const members = (path, object) => {
    for (const key of Reflect.ownKeys(object)) {
      if (typeof key === "string" && !["constructor", "length", "name", "prototype", "arguments", "caller"].includes(key)) found.push(`${path}.${key}`);
    }
  };
  for (let scope = globalThis; scope && scope !== Object.prototype; scope = Object.getPrototypeOf(scope)) {
    for (const name of Object.getOwnPropertyNames(scope)) {
      if (name === "constructor") continue;
      found.push(name);
      let value;
      try {
        value = globalThis[name];
      } catch {
        continue;
      }
      if (typeof value === "function") {
        members(name, value);
        if (value.prototype) members(`${name}.prototype`, value.prototype);
      } else if (typeof value === "object" && value !== null && value !== globalThis) {
        for (let o = value; o && o !== Object.prototype; o = Object.getPrototypeOf(o)) members(name, o);
      }
    }
  }
  return [...new Set(found)].sort();
}
