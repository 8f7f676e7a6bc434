/**
 * Folders of the host in Python's file system, read-only. Of a file's content crosses the border what is read, and straight to where the
 * reader wants it. A file is known by its path, which is all that a snapshot has of one that is open. Everything else there, `/tmp` above all, is in memory, and bounded.
 */
import type { Host } from "./host";

const FOLDER = 0o040555;
const FILE = 0o100444;

/** Error numbers, as Emscripten has them. */
const EINVAL = 28;
const EIO = 29;
const ENOENT = 44;
const ENOMEM = 48;
const ENOSPC = 51;
const EROFS = 69;

/** Of WebAssembly's memory. */
const PAGE = 65536;

/** What `files.stat` says of a path. */
const IS_FOLDER = 2;

export function mountHost(H: Host, py: any, volume: number, at: string): void {
  const fs = py.FS;
  const STAT = H.opNumber("files.stat");
  const LIST = H.opNumber("files.list");

  function ask<T>(work: () => T): T {
    try {
      return work();
    } catch {
      throw new fs.ErrnoError(ENOENT);
    }
  }

  function node(parent: any, name: string, path: string): any {
    const [kind, size, modified] = stat(path);
    const made = fs.createNode(parent, name, kind === IS_FOLDER ? FOLDER : FILE, 0);
    made.node_ops = nodeOps;
    made.stream_ops = streamOps;
    made.hostPath = path;
    made.hostSize = size;
    made.hostTime = modified;
    // What was just asked need not be asked again by the one who opens it.
    made.hostIsNew = true;
    return made;
  }

  const stat = (path: string) => ask(() => H.opSync(STAT, volume, path)) as [number, number, number];

  function read(of: any, position: number, buffer: ArrayBufferLike, offset: number, length: number): number {
    const count = H.readAt(volume, of.hostPath, position, buffer, offset, length);
    if (count < 0) throw new fs.ErrnoError(EIO);
    return count;
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
      const of = stream.node;
      if (!of.hostIsNew) [, of.hostSize, of.hostTime] = stat(of.hostPath);
      of.hostIsNew = false;
    },
    read: (stream: any, buffer: Int8Array, offset: number, length: number, position: number): number =>
      read(stream.node, position, buffer.buffer, buffer.byteOffset + offset, length),
    llseek(stream: any, offset: number, whence: number): number {
      const from = whence === 1 ? stream.position : whence === 2 ? stream.node.hostSize : 0;
      if (from + offset < 0) throw new fs.ErrnoError(EINVAL);
      return from + offset;
    },
    mmap(stream: any, length: number, position: number) {
      const of = stream.node;
      const { ptr, size } = allocatePages(py, length);
      const mapped = H.mapAt(volume, of.hostPath, position, ptr, length);
      const place = new Uint8Array(py._module.HEAP8.buffer, ptr, size);
      const count = mapped < length ? read(of, position + mapped, place.buffer, ptr + mapped, length - mapped) : 0;
      place.fill(0, mapped + count);
      return { ptr, allocated: true };
    },
    msync: () => 0,
  };

  fs.mkdirTree(at);
  fs.mount({ mount: () => node(null, "/", "") }, {}, at);
}

/** What Emscripten's file system in memory keeps of a file. */
interface MemoryFile {
  usedBytes?: number;
  /** Null when it is empty, in older releases. */
  contents: Uint8Array | null;
  mtime: number;
  ctime: number;
  /** Ours: the content of a file that was once larger than a piece. What is missing is zeros. */
  pieces?: (Uint8Array | undefined)[];
}

/**
 * Large files are kept in pieces of this size. Emscripten has each file in one buffer and copies it to a larger one when it grows, which
 * takes several times its size.
 */
const PIECE = 1 << 20;

/** Keeps the content of large files in pieces. */
function piecewise(fs: any) {
  const empty = new Uint8Array(0);

  function split(file: MemoryFile): (Uint8Array | undefined)[] {
    if (file.pieces) return file.pieces;
    const { contents, usedBytes = 0 } = file;
    file.pieces = [];
    file.contents = empty;
    if (contents) put(file.pieces, contents.subarray(0, usedBytes), 0);
    return file.pieces;
  }

  /** Calls `visit` with each piece that a range touches, and where in it and in the range that is. */
  function each(length: number, position: number, visit: (piece: number, within: number, from: number, count: number) => void): void {
    for (let from = 0; from < length; ) {
      const within = (position + from) % PIECE;
      const count = Math.min(length - from, PIECE - within);
      visit(Math.floor((position + from) / PIECE), within, from, count);
      from += count;
    }
  }

  function put(pieces: (Uint8Array | undefined)[], bytes: Uint8Array | Int8Array, position: number): void {
    each(bytes.length, position, (piece, within, from, count) => {
      try {
        pieces[piece] ??= new Uint8Array(PIECE);
      } catch {
        throw new fs.ErrnoError(ENOSPC);
      }
      pieces[piece].set(bytes.subarray(from, from + count), within);
    });
  }

  function get(file: MemoryFile, to: Uint8Array | Int8Array, offset: number, length: number, position: number): number {
    const count = Math.max(0, Math.min((file.usedBytes ?? 0) - position, length));
    each(count, position, (piece, within, from, part) => {
      const known = file.pieces?.[piece];
      if (known) to.set(known.subarray(within, within + part), offset + from);
      else to.fill(0, offset + from, offset + from + part);
    });
    return count;
  }

  return {
    get,
    write(file: MemoryFile, buffer: Int8Array, offset: number, length: number, position: number): number {
      put(split(file), buffer.subarray(offset, offset + length), position);
      file.usedBytes = Math.max(file.usedBytes ?? 0, position + length);
      file.mtime = file.ctime = Date.now();
      return length;
    },
    resize(file: MemoryFile, size: number): void {
      const pieces = split(file);
      pieces.length = Math.min(pieces.length, Math.ceil(size / PIECE));
      if (size % PIECE) pieces[Math.floor(size / PIECE)]?.fill(0, size % PIECE);
      file.usedBytes = size;
    },
  };
}

/** Bounds all files in memory together, when they grow from now on. Called again, it changes the bound. */
export const boundMemoryFiles = (() => {
  /** The most bytes that may be written beyond what was there at first. */
  let most = Infinity;
  /** Bytes that are taken; too many, where files were removed since they were counted. */
  let taken = 0;
  let before: ReadonlySet<MemoryFile> | undefined;
  let hasSaid = false;

  function files(fs: any): Set<MemoryFile> {
    const found = new Set<MemoryFile>();
    const visit = (node: any): void => {
      for (const child of Object.values(node.contents as Record<string, any>)) {
        if (fs.isDir(child.mode)) visit(child);
        else if (fs.isFile(child.mode)) found.add(child);
      }
    };
    visit(fs.root);
    // What was removed while it was open still takes memory.
    for (const stream of fs.streams) if (stream?.node?.usedBytes !== undefined) found.add(stream.node);
    return found;
  }

  function count(fs: any): number {
    let sum = 0;
    for (const file of files(fs)) if (!before?.has(file)) sum += file.usedBytes ?? 0;
    return sum;
  }

  /** Does what makes the file as large as that, if it may be. */
  function grow<T>(fs: any, file: MemoryFile, size: number, work: () => T): T {
    const old = file.usedBytes ?? 0;
    const more = Math.max(0, size - old);
    if (more > 0 && taken + more > most) {
      taken = count(fs);
      if (taken + more > most) {
        // Frameworks often answer that they could not read the request, and keep the reason to themselves.
        if (!hasSaid) console.warn(`/tmp is full: files in memory take ${Math.floor(most / 2 ** 20)} MiB at most, a quarter of taipan.memory_mib`);
        hasSaid = true;
        throw new fs.ErrnoError(ENOSPC);
      }
    }
    const done = work();
    taken += (file.usedBytes ?? 0) - old;
    return done;
  }

  return (py: any, bytes: number): void => {
    const fs = py.FS;
    most = bytes;
    if (before) return;
    before = files(fs);
    const large = piecewise(fs);
    const { node, stream } = fs.filesystems.MEMFS.ops_table.file;
    const { read, write, mmap } = stream;
    const { setattr } = node;
    stream.read = (from: any, buffer: Int8Array, offset: number, length: number, position: number) =>
      from.node.pieces ? large.get(from.node, buffer, offset, length, position) : read(from, buffer, offset, length, position);
    stream.write = (to: any, buffer: Int8Array, offset: number, length: number, position: number, canOwn?: boolean) => {
      const file: MemoryFile = to.node;
      return grow(fs, file, position + length, () =>
        file.pieces || position + length > PIECE
          ? large.write(file, buffer, offset, length, position)
          : write(to, buffer, offset, length, position, canOwn)
      );
    };
    stream.mmap = (of: any, length: number, position: number, prot: number, flags: number) =>
      of.node.pieces
        ? mapCopy(py, length, place => void large.get(of.node, place, 0, length, position))
        : mmap(of, length, position, prot, flags);
    node.setattr = (file: MemoryFile, { size, ...others }: { size?: number }) => {
      setattr(file, others);
      if (size === undefined) return;
      grow(fs, file, size, () => (file.pieces || size > PIECE ? large.resize(file, size) : setattr(file, { size })));
    };
  };
})();

/** Memory for a mapping, whose content is what was there before. */
function allocatePages(py: any, length: number): { ptr: number; size: number } {
  const size = Math.ceil(length / PAGE) * PAGE;
  // The one is exported by newer releases, the other by older ones.
  const { _emscripten_builtin_memalign: aligned, mmapAlloc } = py._module;
  const ptr = aligned ? aligned(PAGE, size) : mmapAlloc(size);
  if (!ptr) throw new py.FS.ErrnoError(ENOMEM);
  return { ptr, size };
}

/** Memory for a mapping, filled with a copy of what is mapped. */
function mapCopy(py: any, length: number, fill: (place: Uint8Array) => void): { ptr: number; allocated: boolean } {
  const { ptr, size } = allocatePages(py, length);
  const place = new Uint8Array(py._module.HEAP8.buffer, ptr, size);
  place.fill(0);
  fill(place);
  return { ptr, allocated: true };
}
