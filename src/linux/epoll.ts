/**
 * Waiting for file descriptors without burning a processor and without holding the event loop up: one epoll instance,
 * and one thread of Node's pool inside epoll_wait(2) while someone waits.
 *
 * Descriptors are watched for edges: a ring buffer whose oldest record is still being written is readable all the time,
 * and would be reported without end.
 */
import { closeSync, writeSync } from 'node:fs';
import { InputError } from '../base/error.ts';
import { errnoName, type Fd, type PollOptions } from '../sys/index.ts';
import type { Libc } from './libc.ts';

const EPOLLIN = 0x1;
const EPOLLOUT = 0x4;
const EPOLLET = 0x8000_0000;
const EPOLL_CLOEXEC = 0x8_0000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EFD_NONBLOCK = 0x800;
const EFD_CLOEXEC = 0x8_0000;
const EEXIST = 17;
/** `struct epoll_event` is packed on x86 alone. */
const EVENT_SIZE = process.arch === 'x64' ? 12 : 16;
const DATA_OFFSET = EVENT_SIZE - 8;
const MOST = 64;

interface Waiter {
  readonly fds: readonly Fd[];
  readonly resolve: (ready: readonly Fd[]) => void;
}

/** Those whose thread waits. When the process ends it would wait for them. */
const waiting = new Set<() => void>();

/** Ends the waits at the end of the process. */
let hooked = false;

interface Watched {
  readonly generation: number;
  /** Something happened since it was last asked for. */
  ready: boolean;
}

export class Poller {
  readonly #libc: Libc;
  /** Descriptors that are watched. */
  readonly #watched = new Map<Fd, Watched>();
  /** Counts up with each descriptor, whose number may have been another's. */
  #generation = 0;
  readonly #waiters = new Set<Waiter>();
  readonly #events = new Uint8Array(EVENT_SIZE * MOST);
  #epoll = -1;
  /** Ends the wait of the other thread. */
  #bell = -1;
  #waiting = false;
  #closed = false;
  readonly #ring = () => this.#wake();

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  poll(fds: readonly Fd[], options: PollOptions = {}): Promise<readonly Fd[]> {
    const { signal, timeout, write = false } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      for (const fd of fds) this.#watch(fd, write);
      const ready = this.#take(fds);
      if (ready.length > 0 || timeout === 0) return resolve(ready);
      let timer: NodeJS.Timeout | undefined;
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#waiters.delete(waiter);
        // The other thread would keep the process alive.
        if (this.#waiters.size === 0 && this.#waiting) this.#wake();
      };
      const waiter: Waiter = {
        fds,
        resolve: (found) => {
          end();
          resolve(found);
        },
      };
      const abort = () => {
        end();
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort);
      if (timeout !== undefined) timer = setTimeout(() => waiter.resolve([]), timeout);
      this.#waiters.add(waiter);
      this.#wait();
    });
  }

  #watch(fd: Fd, write: boolean): void {
    if (this.#watched.has(fd)) return;
    this.#open();
    const event = new Uint8Array(EVENT_SIZE);
    const view = new DataView(event.buffer);
    view.setUint32(0, ((write ? EPOLLOUT : EPOLLIN) | EPOLLET) >>> 0, true);
    this.#generation = (this.#generation + 1) >>> 0;
    const generation = this.#generation;
    view.setUint32(DATA_OFFSET, fd, true);
    view.setUint32(DATA_OFFSET + 4, generation, true);
    const result = this.#libc.epollCtl(this.#epoll, EPOLL_CTL_ADD, fd, event);
    if (result < 0 && result !== -EEXIST) throw pollFailure(`waiting for fd ${fd}`, -result);
    this.#watched.set(fd, { generation, ready: false });
  }

  #open(): void {
    if (this.#epoll >= 0) return;
    if (this.#closed) throw pollFailure('waiting for file descriptors of a kernel that is closed', 9);
    this.#epoll = this.#libc.epollCreate(EPOLL_CLOEXEC);
    if (this.#epoll < 0) throw pollFailure('creating an epoll instance', -this.#epoll);
    this.#bell = this.#libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (this.#bell < 0) throw pollFailure('creating an eventfd', -this.#bell);
    this.#watch(this.#bell as Fd, false);
    if (!hooked) {
      process.on('exit', () => {
        for (const wake of waiting) wake();
      });
    }
    hooked = true;
  }

  /** Those of the descriptors that are ready; they are not any more. */
  #take(fds: readonly Fd[]): readonly Fd[] {
    return fds.filter((fd) => {
      const watched = this.#watched.get(fd);
      if (!watched?.ready) return false;
      watched.ready = false;
      return true;
    });
  }

  #wait(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    waiting.add(this.#ring);
    this.#libc.epollWait(this.#epoll, this.#events, MOST, (count) => {
      this.#waiting = false;
      waiting.delete(this.#ring);
      const view = new DataView(this.#events.buffer);
      for (let i = 0; i < count; i++) {
        const fd = view.getUint32(i * EVENT_SIZE + DATA_OFFSET, true) as Fd;
        const watched = this.#watched.get(fd);
        // It may have been of a descriptor that is closed, and its number another's now.
        const generation = view.getUint32(i * EVENT_SIZE + DATA_OFFSET + 4, true);
        if (watched?.generation === generation) watched.ready = true;
      }
      for (const waiter of [...this.#waiters]) {
        const ready = this.#take(waiter.fds);
        if (ready.length > 0) waiter.resolve(ready);
      }
      if (this.#closed) this.#release();
      else if (this.#waiters.size > 0) this.#wait();
    });
  }

  #wake(): void {
    if (this.#waiting) writeSync(this.#bell, ONE);
  }

  /** The descriptor is about to be closed. Who waits for it alone waits no longer. */
  forget(fd: Fd): void {
    if (!this.#watched.delete(fd)) return;
    this.#libc.epollCtl(this.#epoll, EPOLL_CTL_DEL, fd, null);
    for (const waiter of [...this.#waiters]) {
      if (!waiter.fds.some((other) => this.#watched.has(other))) waiter.resolve([]);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const waiter of [...this.#waiters]) waiter.resolve([]);
    if (!this.#waiting) this.#release();
  }

  #release(): void {
    if (this.#epoll < 0) return;
    closeSync(this.#epoll);
    closeSync(this.#bell);
    this.#epoll = -1;
  }
}

/** What an eventfd counts up by. */
const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

function pollFailure(doing: string, number: number): InputError {
  const errno = errnoName(number) ?? String(number);
  const text = errno === 'EPERM' ? 'it is nothing that can be waited for' : 'refused';
  return new InputError('linux-poll', `${doing}: ${text} (${errno})`, { errno });
}
