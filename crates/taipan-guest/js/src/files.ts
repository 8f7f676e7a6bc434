/**
 * Folders of the host in Python's file system, read-only. A file's content crosses the border when the file is opened, so
 * what nobody opens takes no memory.
 */
import type { Host } from "./host";

const FOLDER = 0o040555;
const FILE = 0o100444;

/** Error numbers, as Emscripten has them. */
const ENOENT = 44;
const EROFS = 69;

/** What `files.stat` says of a path. */
const IS_FOLDER = 2;

export function mountHost(H: Host, fs: any, volume: number, at: string): void {
  const STAT = H.opNumber("files.stat");
  const LIST = H.opNumber("files.list");
  const READ = H.opNumber("files.read");

  function ask<T>(work: () => T): T {
    try {
      return work();
    } catch {
      throw new fs.ErrnoError(ENOENT);
    }
  }

  function node(parent: any, name: string, path: string): any {
    const [kind, size, modified] = ask(() => H.opSync(STAT, volume, path)) as [number, number, number];
    const made = fs.createNode(parent, name, kind === IS_FOLDER ? FOLDER : FILE, 0);
    made.node_ops = nodeOps;
    made.stream_ops = streamOps;
    made.hostPath = path;
    made.hostSize = size;
    made.hostTime = modified;
    return made;
  }

  const nodeOps = {
    getattr(of: any) {
      const time = new Date(of.hostTime);
      const size = of.hostSize;
      return {
        dev: 1,
        ino: of.id,
        mode: of.mode,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        size,
        atime: time,
        mtime: time,
        ctime: time,
        blksize: 4096,
        blocks: Math.ceil(size / 512),
      };
    },
    lookup: (parent: any, name: string) => node(parent, name, parent.hostPath ? `${parent.hostPath}/${name}` : name),
    readdir: (of: any) => [".", "..", ...ask(() => H.opSync(LIST, volume, of.hostPath))],
  };

  const streamOps = {
    open(stream: any) {
      if (fs.isDir(stream.node.mode)) return;
      if ((stream.flags & 3) !== 0) throw new fs.ErrnoError(EROFS);
      const [bytes] = ask(() => H.opSync(READ, volume, stream.node.hostPath));
      // On the stream, not the node: it goes when the last copy of the descriptor is closed.
      stream.hostBytes = new Uint8Array(bytes as ArrayBuffer);
    },
    read(stream: any, buffer: Int8Array, offset: number, length: number, position: number): number {
      const bytes: Uint8Array = stream.hostBytes;
      const count = Math.max(0, Math.min(bytes.length - position, length));
      buffer.set(bytes.subarray(position, position + count), offset);
      return count;
    },
    llseek(stream: any, offset: number, whence: number): number {
      const from = whence === 1 ? stream.position : whence === 2 ? stream.hostBytes.length : 0;
      if (from + offset < 0) throw new fs.ErrnoError(28);
      return from + offset;
    },
  };

  fs.mkdirTree(at);
  fs.mount({ mount: () => node(null, "/", "") }, {}, at);
}
