/**
 * Sockets for Python: connections of the host's behind file descriptors, in place of Emscripten's WebSockets.
 *
 * The main module asks the glue for a socket's operations (`connectAsync` and its kin, `src/core/socket_syscalls.c` of Pyodide) and
 * waits for their promises by the nested event loop, so that a blocking call blocks nobody else. What asyncio and `ssl` need
 * beside that is in the module `_taipan_host`.
 */
import type { FieldOut } from "./host";
import { asyncOp, syncOp } from "./web/host";
import { connect as openSocket } from "./web/sockets";

const connect = asyncOp("tcp.connect");
const read = asyncOp("tcp.read");
const write = asyncOp("tcp.write");
const end = syncOp("tcp.end");
const close = syncOp("tcp.close");
const resolve = asyncOp("dns.resolve");
const tlsOpen = syncOp("tls.open");
const tlsStep = syncOp("tls.step");
const tlsFacts = syncOp("tls.facts");
const tlsDrop = syncOp("tls.drop");

/** Error numbers, as Emscripten has them. */
const E = { ACCES: 2, AFNOSUPPORT: 5, AGAIN: 6, BADF: 8, CONNABORTED: 13, CONNREFUSED: 14, CONNRESET: 15, HOSTUNREACH: 23, INPROGRESS: 26, INVAL: 28, ISCONN: 30, NETUNREACH: 40, NOTCONN: 53, PIPE: 64, PROTONOSUPPORT: 66, TIMEDOUT: 73, ALREADY: 7, OPNOTSUPP: 138 };

const REASONS: Record<string, number> = { EACCES: E.ACCES, ECONNREFUSED: E.CONNREFUSED, ETIMEDOUT: E.TIMEDOUT, ENETUNREACH: E.NETUNREACH, ECONNABORTED: E.CONNABORTED };

const [IN, OUT, ERR, HUP, NVAL, RDNORM] = [1, 4, 8, 16, 32, 64];
const [AF_INET, AF_INET6, STREAM, TCP] = [2, 10, 1, 6];
const SOCK_FLAGS = 524288 | 2048;
const O_NONBLOCK = 2048;
const [F_GETFL, F_SETFL] = [3, 4];
const [FIONBIO, FIONREAD] = [21537, 21531];
const S_IFSOCK = 49152;
const POLLFD = 8;

/** How many bytes may be on their way to the host before a sender has to wait. */
const WINDOW = 256 << 10;

/** A socket, with the members that the glue's system calls look at. */
class Socket {
  daddr: string | undefined;
  dport: number | undefined;
  saddr: string | undefined;
  sport: number | undefined;
  /** An error number that was not reported yet. */
  error: number | null = null;
  stream: any;
  #number = 0;
  #opening: Promise<number> | undefined;
  #chunks: Uint8Array[] = [];
  #available = 0;
  #isAtEnd = false;
  #isReading = false;
  #sending = 0;
  #hasEnded = false;
  #isClosed = false;
  #watchers = new Set<() => void>();

  constructor(readonly family: number, readonly type: number, readonly protocol: number, readonly sock_ops: object) {}

  get #blocks(): boolean {
    return !(this.stream.flags & O_NONBLOCK);
  }

  #changed(): void {
    for (const tell of [...this.#watchers]) tell();
  }

  /** Until something may have changed. */
  change(): { promise: Promise<void>; forget: () => void } {
    let tell!: () => void;
    const promise = new Promise<void>(done => (tell = done));
    this.#watchers.add(tell);
    void promise.then(() => this.#watchers.delete(tell));
    return { promise, forget: () => this.#watchers.delete(tell) };
  }

  async connect(host: string, port: number): Promise<number> {
    if (this.#number) return -E.ISCONN;
    if (this.#opening) return this.#blocks ? this.#opening : -E.ALREADY;
    this.#opening = this.#open(host, port);
    return this.#blocks ? this.#opening : -E.INPROGRESS;
  }

  /** Waits, whatever the socket's mode. */
  async connectWaiting(host: string, port: number): Promise<number> {
    if (this.#number) return -E.ISCONN;
    return (this.#opening ??= this.#open(host, port));
  }

  async #open(host: string, port: number): Promise<number> {
    try {
      const [number, daddr, dport, saddr, sport] = await connect(host, port, 0);
      this.#number = number as number;
      [this.daddr, this.dport, this.saddr, this.sport] = [daddr as string, dport as number, saddr as string, sport as number];
      if (this.#isClosed) close(this.#number);
      return 0;
    } catch (e) {
      this.error = REASONS[(e as Error).name] ?? E.HOSTUNREACH;
      return -this.error;
    } finally {
      this.#opening = undefined;
      this.#changed();
    }
  }

  /** Asks the host for more, unless there is enough or somebody has. */
  fill(): void {
    if (this.#isReading || this.#available || this.#isAtEnd || !this.#number) return;
    this.#isReading = true;
    void read(this.#number)
      .then(([chunk]) => {
        if (chunk === undefined || chunk === null) this.#isAtEnd = true;
        else {
          const bytes = new Uint8Array(chunk as ArrayBuffer);
          this.#chunks.push(bytes);
          this.#available += bytes.length;
        }
      })
      .catch(() => {
        this.#isAtEnd = true;
        if (!this.#isClosed) this.error = E.CONNRESET;
      })
      .finally(() => {
        this.#isReading = false;
        this.#changed();
      });
  }

  #take(most: number): Uint8Array {
    const size = Math.min(most, this.#available);
    const out = new Uint8Array(size);
    for (let at = 0; at < size; ) {
      const first = this.#chunks[0] as Uint8Array;
      const part = first.subarray(0, size - at);
      out.set(part, at);
      at += part.length;
      if (part.length === first.length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(part.length);
    }
    this.#available -= size;
    return out;
  }

  /** Bytes, none at the end, or an error number below zero. */
  async receive(most: number, waits = this.#blocks): Promise<Uint8Array | number> {
    for (;;) {
      if (this.#available) return this.#take(most);
      if (this.error !== null && this.#isAtEnd) {
        const { error } = this;
        this.error = null;
        return -error;
      }
      if (this.#isAtEnd) return 0;
      if (!this.#number) return -E.NOTCONN;
      this.fill();
      if (!waits) return -E.AGAIN;
      await this.change().promise;
    }
  }

  /** How many bytes were taken, or an error number below zero. */
  async send(bytes: Uint8Array, waits = this.#blocks): Promise<number> {
    while (this.#sending >= WINDOW) {
      if (!waits) return -E.AGAIN;
      await this.change().promise;
    }
    if (!this.#number) return -E.NOTCONN;
    if (this.#hasEnded) return -E.PIPE;
    if (this.error !== null) {
      const { error } = this;
      this.error = null;
      return -error;
    }
    this.#sending += bytes.length;
    void write(this.#number, bytes)
      .catch(() => {
        this.#hasEnded = true;
        if (!this.#isClosed) this.error = E.PIPE;
      })
      .finally(() => {
        this.#sending -= bytes.length;
        this.#changed();
      });
    return bytes.length;
  }

  poll(): number {
    let ready = 0;
    if (this.#available || this.#isAtEnd) ready |= IN | RDNORM;
    if (this.#number && !this.#hasEnded && this.#sending < WINDOW) ready |= OUT;
    if (this.error !== null) ready |= ERR | OUT;
    if (this.#isAtEnd && this.#hasEnded) ready |= HUP;
    return ready;
  }

  shutdown(how: number): number {
    if (!this.#number) return -E.NOTCONN;
    if (how !== 1) {
      this.#isAtEnd = true;
      this.#changed();
    }
    if (how !== 0 && !this.#hasEnded) {
      this.#hasEnded = true;
      end(this.#number);
    }
    return 0;
  }

  ioctl(request: number, argument: number, heap: Int32Array): number {
    if (request === FIONBIO) this.setBlocking(!heap[argument >>> 2]);
    else if (request === FIONREAD) heap[argument >>> 2] = this.#available;
    else return E.INVAL;
    return 0;
  }

  setBlocking(blocks: boolean): void {
    if (blocks) this.stream.flags &= ~O_NONBLOCK;
    else this.stream.flags |= O_NONBLOCK;
  }

  close(): void {
    this.#isClosed = this.#isAtEnd = this.#hasEnded = true;
    if (this.#number) close(this.#number);
    this.#changed();
  }
}

/** To be called once Python is there, and before anything of it makes a socket. */
export function installNetwork(py: any): void {
  const module = py._module;
  const { FS, SOCKFS } = module;
  const later = (globalThis as any).setTimeout;
  const never = (globalThis as any).clearTimeout;

  const operations = {
    poll: (socket: Socket) => socket.poll(),
    pollAsync: true,
    connectAsync: (socket: Socket, host: string, port: number) => socket.connect(host, port),
    recvmsgAsync: (socket: Socket, most: number) => socket.receive(most),
    sendmsgAsync: (socket: Socket, bytes: Uint8Array) => socket.send(bytes),
    shutdown: (socket: Socket, how: number) => socket.shutdown(how),
    fcntl64(socket: Socket, command: number, argument: number): number {
      if (command === F_GETFL) return socket.stream.flags;
      if (command !== F_SETFL) return -E.INVAL;
      socket.stream.flags = module.HEAP32[argument >>> 2];
      return 0;
    },
    ioctl: (socket: Socket, request: number, argument: number) => socket.ioctl(request, argument, module.HEAP32),
    close: (socket: Socket) => socket.close(),
    bind() { throw new FS.ErrnoError(E.OPNOTSUPP); },
    listen() { throw new FS.ErrnoError(E.OPNOTSUPP); },
    accept() { throw new FS.ErrnoError(E.OPNOTSUPP); },
    getname(): never { throw new FS.ErrnoError(E.OPNOTSUPP); },
  };
  const socketOf = (stream: any): Socket => stream.node.sock;
  const streamOperations = {
    poll: (stream: any) => socketOf(stream).poll(),
    ioctl: (stream: any, request: number, argument: number) => socketOf(stream).ioctl(request, argument, module.HEAP32),
    close: (stream: any) => socketOf(stream).close(),
  };
  let count = 0;

  SOCKFS.createSocket = (family: number, type: number, protocol: number): Socket => {
    const kind = type & ~SOCK_FLAGS;
    if (family !== AF_INET && family !== AF_INET6) throw new FS.ErrnoError(E.AFNOSUPPORT);
    if (kind !== STREAM) throw new FS.ErrnoError(E.OPNOTSUPP);
    if (protocol && protocol !== TCP) throw new FS.ErrnoError(E.PROTONOSUPPORT);
    const socket = new Socket(family, kind, protocol, operations);
    const name = `socket[${count++}]`;
    const node = FS.createNode(SOCKFS.root, name, S_IFSOCK, 0);
    node.sock = socket;
    socket.stream = FS.createStream({ path: name, node, flags: 2 | (type & O_NONBLOCK), seekable: false, stream_ops: streamOperations });
    return socket;
  };

  SOCKFS.pollAsync = async (list: number, length: number, timeout: number): Promise<number> => {
    const wanted = Array.from({ length }, (_, i) => {
      const at = list + POLLFD * i;
      const stream = FS.getStream(module.HEAP32[at >>> 2]);
      return { at, socket: stream?.node?.sock as Socket | undefined, events: module.HEAP16[(at + 4) >>> 1] as number };
    });
    const look = () => {
      let ready = 0;
      for (const { at, socket, events } of wanted) {
        const found = socket ? socket.poll() & (events | ERR | HUP) : NVAL;
        module.HEAP16[(at + 6) >>> 1] = found;
        if (found) ready++;
        else if (events & IN) socket?.fill();
      }
      return ready;
    };
    let isOver = timeout === 0;
    let timer: unknown;
    const time = new Promise<void>(done => {
      if (timeout > 0) timer = later(() => { isOver = true; done(); }, timeout);
    });
    for (;;) {
      const ready = look();
      if (ready || isOver) {
        if (timer !== undefined) never(timer);
        return ready;
      }
      const changes = wanted.map(({ socket }) => socket?.change());
      await Promise.race([time, ...changes.map(change => change?.promise ?? time)]);
      for (const change of changes) change?.forget();
    }
  };

  const find = (fd: number): Socket | undefined => FS.getStream(fd)?.node?.sock;
  py.registerJsModule("_taipan_host", {
    connect: async (fd: number, host: string, port: number) => find(fd)?.connectWaiting(host, port) ?? -E.BADF,
    receive: async (fd: number, most: number) => find(fd)?.receive(most, true) ?? -E.BADF,
    send: async (fd: number, bytes: Uint8Array) => find(fd)?.send(bytes, true) ?? -E.BADF,
    async resolve(host: string): Promise<string> {
      return (await resolve(host)).join(" ");
    },
    open_socket: openSocket,
    tls_open: (name: string, chain: number, checksName: number, roots: string, system: number, identity: string, protocols: string) =>
      tlsOpen(name, chain, checksName, roots || null, system, identity || null, ...protocols.split(" ").filter(Boolean))[0],
    tls_step(session: number, wire: Uint8Array, plain: Uint8Array, isLast: number): FieldOut[] {
      return tlsStep(session, wire, plain, isLast);
    },
    tls_facts: (session: number) => tlsFacts(session),
    tls_drop: (session: number) => void tlsDrop(session),
  });
}
