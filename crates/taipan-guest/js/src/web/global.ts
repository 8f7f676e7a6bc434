/** Defines globals as Web IDL wants interfaces and namespaces defined: there for all, listed for none. */
export function define(global: object, values: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(global, name, { value, writable: true, configurable: true, enumerable: false });
    // Bundlers rename what has the name of a global.
    if (typeof value === "function") Object.defineProperty(value, "name", { value: name, configurable: true });
  }
}
