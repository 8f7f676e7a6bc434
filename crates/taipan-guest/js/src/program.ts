/** Runs a Python program in place of a Worker: its streams and files are those of the command that started it. */
import { mountHost } from "./files";
import type { Host } from "./host";

export interface ProgramOptions {
  /** Where volumes 0, 1, … of the host are seen. */
  mounts: string[];
  /** Whether the streams 0, 1 and 2 are terminals. */
  terminals: [boolean, boolean, boolean];
}

/** Error numbers, as Emscripten has them. */
const EIO = 29;
const EPIPE = 64;

/** Ends with the program. `text` holds the options, and what `_taipan_program` takes. */
export function runProgram(H: Host, py: any, text: string): void {
  const { mounts, terminals } = JSON.parse(text) as ProgramOptions;
  const [INPUT, OUTPUT, EXIT, LINE] = ["input", "output", "exit", "line"].map(verb => H.opNumber(`program.${verb}`)) as [
    number,
    number,
    number,
    number,
  ];
  mounts.forEach((at, volume) => mountHost(H, py, volume, at));
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
  H.opSync(EXIT, module.run(text, (prompt: string) => H.opSync(LINE, prompt)[0]));
  H.booted(null);
}
