/**
 * Libraries that native modules of packages need, for releases whose loader knows only what is loaded already. Pyodide's own
 * installer loads every native file of a package when it is installed; here a library is loaded when the first module that needs it is.
 */

/** What Emscripten keeps of a loaded library. */
type Loaded = Record<string, object | undefined>;

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
