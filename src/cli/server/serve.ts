/** The kernel process: an embedded kernel that stays, and the socket that commands come by. */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { InputError } from '../../base/error.ts';
import { createKernel, type EmbeddedKernel, type KernelOptions } from '../../kernel/index.ts';
import { skepVersion } from '../grammar/version.ts';
import { descriptorOf, openNative } from './native.ts';
import { buildOf, type Info, type Place } from './place.ts';
import { processState } from './process-state.ts';
import { FRAME, FrameReader, frame, type Hello, type Status } from './protocol.ts';
import { Session } from './session.ts';

/** Milliseconds that a kernel process stays without a client while it holds nothing. */
const IDLE = 15 * 60_000;
/** A client says what it wants at once. */
const HELLO = 10_000;

export class KernelProcess {
  readonly #place: Place;
  readonly #build = buildOf(process.argv[1]!);
  readonly #token = randomBytes(16).toString('hex');
  readonly #started = Date.now();
  readonly #options: KernelOptions;
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  #kernel: EmbeddedKernel | undefined;
  #lock: number | undefined;
  #idle: NodeJS.Timeout | undefined;
  #ended: () => void = () => {};
  /** Resolves when it has let go of everything. */
  readonly end: Promise<void>;

  constructor(place: Place, options: KernelOptions) {
    this.#place = place;
    this.#options = options;
    this.#server = createServer((socket) => this.#accept(socket));
    this.end = new Promise((resolve) => {
      this.#ended = resolve;
    });
  }

  /** Begins to listen. @returns false when another kernel process of this name is there */
  async listen(): Promise<boolean> {
    this.#lock = takeLock(this.#place);
    if (this.#lock === undefined) return false;
    if (process.platform !== 'win32') rmSync(this.#place.socket, { force: true });
    const info: Info = {
      pid: process.pid,
      ticks: processState(process.pid)?.ticks ?? '',
      token: this.#token,
    };
    const temporary = `${this.#place.info}.${process.pid}`;
    writeFileSync(temporary, JSON.stringify(info), { mode: 0o600 });
    renameSync(temporary, this.#place.info);
    const mask = process.platform === 'win32' ? 0 : process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen({ path: this.#place.socket, backlog: 511 }, resolve);
      });
      if (process.platform !== 'win32') chmodSync(this.#place.socket, 0o600);
    } finally {
      if (process.platform !== 'win32') process.umask(mask);
    }
    rmSync(this.#place.starting, { force: true });
    this.#waitIdle();
    return true;
  }

  get kernel(): EmbeddedKernel {
    this.#kernel ??= createKernel(this.#options);
    return this.#kernel;
  }

  #accept(socket: Socket): void {
    this.#clients.add(socket);
    clearTimeout(this.#idle);
    let session: Session | undefined;
    const silent = setTimeout(() => socket.destroy(), HELLO);
    const reader = new FrameReader((kind, body) => {
      if (session) session.take(kind, body);
      else if (kind === FRAME.hello) {
        clearTimeout(silent);
        session = this.#greet(socket, body);
      } else socket.destroy();
    });
    socket.on('data', (chunk) => {
      if (!reader.push(chunk)) socket.destroy();
    });
    // What happened shows at the close.
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(silent);
      session?.leave();
      this.#clients.delete(socket);
      if (this.#clients.size === 0) this.#waitIdle();
    });
  }

  #greet(socket: Socket, body: Buffer): Session | undefined {
    const refuse = (why: string) => {
      socket.end(frame(FRAME.refused, why));
      return undefined;
    };
    const fd = descriptorOf(socket);
    const peer = fd === undefined ? undefined : openNative()?.peer(fd);
    if (peer !== undefined && peer !== process.getuid?.()) {
      return refuse(`the kernel process belongs to user ${process.getuid?.()}, not to user ${peer}`);
    }
    let hello: Hello;
    try {
      hello = JSON.parse(body.toString()) as Hello;
    } catch {
      return refuse('the greeting is not understood');
    }
    if (!sameText(String(hello.token), this.#token))
      return refuse('the token is not that of this kernel process');
    if (hello.request === 'status' || hello.request === 'stop') {
      const status = JSON.stringify(this.status());
      if (hello.request === 'stop') this.stop();
      socket.end(frame(FRAME.status, status));
      return undefined;
    }
    if (hello.build !== this.#build) {
      socket.end(frame(FRAME.otherBuild, JSON.stringify(this.status())));
      return undefined;
    }
    const session = new Session(socket, hello, () => this.kernel);
    void session.run();
    return session;
  }

  status(): Status {
    const kernel = this.#kernel;
    const ids = (next: (start: number) => number | undefined) => {
      let count = 0;
      for (let id = next(0); id !== undefined; id = next(id)) count++;
      return count;
    };
    return {
      instance: this.#place.instance,
      pid: process.pid,
      version: skepVersion(),
      started: this.#started,
      release: kernel?.release ?? '',
      cpus: this.#options.cpus ?? 1,
      programs: kernel ? ids((start_id) => kernel.bpf.prog_get_next_id({ start_id })) : 0,
      maps: kernel ? ids((start_id) => kernel.bpf.map_get_next_id({ start_id })) : 0,
      links: kernel ? ids((start_id) => kernel.bpf.link_get_next_id({ start_id })) : 0,
      pins: kernel ? [...kernel.bpffs.pins()] : [],
      memory: kernel?.memoryUse.bytes ?? 0,
    };
  }

  #waitIdle(): void {
    this.#idle = setTimeout(() => {
      const { programs, maps, links, pins } = this.status();
      if (programs + maps + links + pins.length === 0) this.stop();
      else this.#waitIdle();
    }, IDLE);
    this.#idle.unref();
  }

  /** Ends: what it holds is gone, and so are its files. */
  stop(): void {
    clearTimeout(this.#idle);
    const { info, socket, lock, log, starting } = this.#place;
    for (const path of process.platform === 'win32' ? [info, log, starting] : [info, socket, log, starting]) {
      rmSync(path, { force: true });
    }
    this.#server.close(() => {
      this.#kernel?.close();
      rmSync(lock, { force: true });
      if (this.#lock !== undefined) closeSync(this.#lock);
      this.#lock = undefined;
      this.#ended();
    });
    // Clients that wait for something that will not come are told by the broken connection.
    setTimeout(() => {
      for (const client of this.#clients) client.destroy();
    }, 100).unref();
  }
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** A lock that ends with this process. @returns its descriptor, or `undefined` when another process has it */
function takeLock({ lock }: Place): number | undefined {
  const native = openNative();
  // A pipe of Windows can be listened on once only.
  if (process.platform === 'win32') return openSync(lock, 'a');
  for (let tries = 0; tries < 10; tries++) {
    if (native === undefined) return takeLockFile(lock);
    const fd = openSync(lock, 'a', 0o600);
    if (!native.lock(fd)) {
      closeSync(fd);
      return undefined;
    }
    // A process that ended has removed the file that we opened: then ours is another.
    try {
      if (statSync(lock).ino === fstatSync(fd).ino) return fd;
    } catch {
      // It is gone: once more.
    }
    closeSync(fd);
  }
  throw new InputError('kernel-lock', `locking ${lock}: it is removed again and again`, { errno: 'EAGAIN' });
}

/** Without flock(2): the file says which process has it. Two that find a dead one at once may both believe that it is theirs. */
function takeLockFile(lock: string): number | undefined {
  try {
    const fd = openSync(lock, 'wx', 0o600);
    writeSync(fd, String(process.pid));
    return fd;
  } catch {
    if (processState(Number(readFileSync(lock, 'utf8'))) !== undefined) return undefined;
    rmSync(lock, { force: true });
    return takeLockFile(lock);
  }
}
