/** Runs a Python program in place of a Worker: its streams and files are those of the command that started it. */
import { PACKAGES_ROOT } from "./boot";
import { mountHost } from "./files";
import type { Host } from "./host";

export interface ProgramOptions {
  /** Whether volume 0 of the host has packages. */
  packages: boolean;
  /** Modules of the standard library that come to them when they are imported. */
  lacks: string[];
  /** Where volumes 1, 2, … are seen. */
  mounts: string[];
  /** Whether the streams 0, 1 and 2 are terminals. */
  terminals: [boolean, boolean, boolean];
}

/** Error numbers, as Emscripten has them. */
const EIO = 29;
const EPIPE = 64;

/** Ends with the program. `text` holds the options, and what `_taipan_program` takes. */
export function runProgram(H: Host, py: any, text: string): void {
  const { packages, lacks, mounts, terminals } = JSON.parse(text) as ProgramOptions;
  const operation = (verb: string) => H.opNumber(`program.${verb}`);
  const INPUT = operation("input"), OUTPUT = operation("output"), EXIT = operation("exit"), LINE = operation("line");
  const OBTAIN = operation("obtain");
  if (packages || lacks.length > 0) mountHost(H, py, 0, PACKAGES_ROOT);
  mounts.forEach((at, others) => mountHost(H, py, others + 1, at));
  const guarded = <T>(errno: number, work: () => T): T => {
    try {
      return work();
    } catch {
      throw new py.FS.ErrnoError(errno);
    }
  };
  py.setStdin({
    isatty: terminals[0],
    read: (buffer: Uint8Array) =>
      guarded(EIO, () => {
        const bytes = new Uint8Array(H.opSync(INPUT, buffer.length)[0] as ArrayBuffer);
        buffer.set(bytes);
        return bytes.length;
      }),
  });
  const writer = (fd: number) => ({
    isatty: terminals[fd],
    write: (buffer: Uint8Array) =>
      guarded(EPIPE, () => {
        H.opSync(OUTPUT, fd, buffer);
        return buffer.length;
      }),
  });
  py.setStdout(writer(1));
  py.setStderr(writer(2));
  const module = py.pyimport("_taipan_program");
  const readLine = (prompt: string) => H.opSync(LINE, prompt)[0];
  const obtain = (name: string) => void H.opSync(OBTAIN, name);
  H.opSync(EXIT, module.run(text, PACKAGES_ROOT, readLine, obtain));
  H.booted(null);
}
