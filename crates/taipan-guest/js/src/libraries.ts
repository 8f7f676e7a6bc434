/**
 * Loading native modules of packages, beside what Emscripten's loader does: finding the libraries that they need, for releases whose
 * loader knows only what is loaded already, and going on after one that cannot be linked. Pyodide's own installer loads every native
 * file of a package when it is installed; here a library is loaded when the first module that needs it is.
 */

/** What Emscripten keeps of a loaded library. */
type Loaded = Record<string, object | undefined>;

/** A place in Emscripten's table of addresses, which code that can be anywhere reads them from. */
interface Address { value: number; required?: boolean }

/** What says there that an address is not known, before 314 and since. */
const UNKNOWN = new Set([0, -1]);

/**
 * The glue's function that opens a library, as it would be if it cleaned up behind itself. Addresses that one could not be given are
 * otherwise missed again by all that come later, and the next one to open it finds it loaded.
 */
export function repaired(open: (handle: number) => number, glue: () => any): (handle: number) => number {
  let depth = 0;

  function attempt(handle: number): number {
    depth++;
    try {
      return open(handle);
    } finally {
      depth--;
    }
  }

  return Object.assign(function opening(handle: number): number {
    // One that others open is cleaned up after with them, whose addresses are not all known yet.
    if (depth > 0) return attempt(handle);
    const { LDSO, GOT } = glue();
    const before = new Set(Object.keys(LDSO.loadedLibsByName));
    const opened = attempt(handle);
    if (opened !== 0) return opened;
    for (const name of Object.keys(LDSO.loadedLibsByName)) if (!before.has(name)) delete LDSO.loadedLibsByName[name];
    delete LDSO.loadedLibsByHandle[handle];
    for (const [name, { required, value }] of Object.entries(GOT as Record<string, Address>)) {
      if (required && UNKNOWN.has(value)) delete GOT[name];
    }
    return opened;
  }, open);
}

/** A library is in the folder of a package, or in one beside it, such as `scipy.libs`. `roots` are folders of packages. */
export function findLibraries(py: any, roots: string[]): void {
  const { FS, LDSO, loadDynamicLibrary } = py._module;

  const exists = (path: string): boolean => FS.findObject(path) !== null;

  function find(name: string): string | undefined {
    for (const root of roots.filter(exists)) {
      const folders = (FS.readdir(root) as string[]).filter(folder => !folder.startsWith("."));
      const found = [root, ...folders.map(folder => `${root}/${folder}`)].map(folder => `${folder}/${name}`).find(exists);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  // The loader asks for a library by the bare name in the module's list, and for a module by its path.
  LDSO.loadedLibsByName = new Proxy(LDSO.loadedLibsByName as Loaded, {
    get(known, name) {
      if (typeof name !== "string" || name in known || name.includes("/") || !name.endsWith(".so")) return known[name as string];
      const path = find(name);
      if (path === undefined) return undefined;
      // Its symbols are global: of others the loader links none, but puts a JavaScript function in front of each that looks it up. One
      // that is being loaded needs, in a circle, what asks for it now.
      if (!(path in known)) loadDynamicLibrary(path, { global: true, nodelete: true, loadAsync: false, allowUndefined: true, fs: FS });
      known[name] = known[path];
      return known[name];
    },
  });
}
