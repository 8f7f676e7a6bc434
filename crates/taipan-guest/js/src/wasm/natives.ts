/** Gives the engine what it needs to do the work of Pyodide's glue itself (`engine/src/natives.c`). */
import type { Host } from "../host";
import { mainExports } from "./api";

export function enableNatives(H: Host, py: any): void {
  const module = py._module;
  const isCoroutineFunction = mainExports["_iscoroutinefunction"]!;
  // What the glue makes PyProxys of is known to nobody but the class that it makes them with.
  const RealProxy = globalThis.Proxy;
  let target: any, handler: any;
  const SpyingProxy = function (t: object, h: object) {
    [target, handler] = [t, h];
    return new RealProxy(t, h);
  };
  (globalThis as any).Proxy = SpyingProxy;
  const print = py.runPython("print");
  globalThis.Proxy = RealProxy;
  // Frees its objects with look-ups that forget exceptions.
  const forgetfulType = py.runPython("import js, sys; id(type(js).__mro__[1]) if sys.version_info < (3, 13) else 0");
  H.enableNatives({
    forgetfulType,
    noValue: module.novalue,
    onFatal: e => py._api.fatal_error(e),
    onError: e => module.handle_js_error(e),
    proxy: py.ffi.PyProxy.prototype,
    // Above the class of its abilities.
    callable: Object.getPrototypeOf(Object.getPrototypeOf(print)),
    attrs: Object.getOwnPropertySymbols(target)[0]!,
    handler,
    throwPython: mainExports["pythonexc2js"]!,
    onResult: (callee, result) => {
      if (result.type === "coroutine" && result._ensure_future && isCoroutineFunction(callee)) result._ensure_future();
      return result;
    },
  });
  print.destroy();
}
