/** Globals that the bundle's own code may use by name, because losing a message is worse than a patched console. */
declare const console: typeof import("./web/console").console;
