/**
 * The C library's functions that the real kernel is reached by. koffi, which calls them, is loaded on first use, so
 * that nothing that only wants the embedded kernel pays for it or needs it installed.
 */
import { createRequire } from 'node:module';
import { InputError } from '../base/error.ts';

/** bpf(2)'s number by Node's name of the processor. @see arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h */
const BPF_SYSCALL: Readonly<Record<string, number>> = { x64: 321, arm64: 280 };
const PERF_EVENT_OPEN_SYSCALL: Readonly<Record<string, number>> = { x64: 298, arm64: 241 };

export interface Libc {
  /** bpf(2). @returns what the kernel returns, or the negated errno */
  bpf(command: number, attr: Uint8Array, size: number): number;
  /** mmap(2); address 0 lets the kernel choose. @returns the address, or the negated errno */
  mmap(address: number, length: number, prot: number, flags: number, fd: number, offset: number): number;
  /** munmap(2). @returns 0 or the negated errno */
  munmap(address: number, length: number): number;
  /** perf_event_open(2). @returns the file descriptor, or the negated errno */
  perfEventOpen(attr: Uint8Array, pid: number, cpu: number, group: number, flags: number): number;
  /** ioctl(2). @returns what the kernel returns, or the negated errno */
  ioctl(fd: number, request: number, argument: number): number;
  /** eventfd(2). @returns the file descriptor, or the negated errno */
  eventfd(initial: number, flags: number): number;
  /** epoll_create1(2). @returns the file descriptor, or the negated errno */
  epollCreate(flags: number): number;
  /** epoll_ctl(2). @returns 0 or the negated errno */
  epollCtl(epoll: number, operation: number, fd: number, event: Uint8Array | null): number;
  /**
   * epoll_wait(2) on another thread, without end. The bytes must stay reachable until it is answered.
   * @param answer takes what the kernel returned, -1 for an error
   */
  epollWait(epoll: number, events: Uint8Array, most: number, answer: (result: number) => void): void;
  /** socket(2). @returns the file descriptor, or the negated errno */
  socket(domain: number, type: number, protocol: number): number;
  /** setsockopt(2). @returns 0 or the negated errno */
  setsockopt(socket: number, level: number, option: number, value: Uint8Array): number;
  /** send(2). @returns how many bytes were sent, or the negated errno */
  send(socket: number, bytes: Uint8Array, flags: number): number;
  /** recv(2). @returns how many bytes came, or the negated errno */
  recv(socket: number, bytes: Uint8Array, flags: number): number;
  /** close(2). */
  close(fd: number): void;
  /** Where the bytes are. They stay there as long as their `ArrayBuffer` is reachable. */
  addressOf(bytes: Uint8Array): number;
  /** Memory that is not JavaScript's. Touching it after it is unmapped ends the process. */
  memoryAt(address: number, length: number): ArrayBuffer;
}

/** Why this process can't call bpf(2) at all, as a sentence; permission is another matter. */
export function unsupported(): string | undefined {
  if (process.platform !== 'linux') {
    return `the Linux kernel can't be reached from ${process.platform}: run this on Linux, or use the embedded kernel`;
  }
  if (BPF_SYSCALL[process.arch] === undefined) {
    return `the Linux kernel can't be reached on ${process.arch}: bpf(2)'s number is known for x64 and arm64 only`;
  }
  return undefined;
}

let loaded: Libc | undefined;

export function libc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  const reason = unsupported();
  const number = BPF_SYSCALL[process.arch];
  if (reason !== undefined || number === undefined) {
    throw new InputError('linux-unsupported', `opening the Linux kernel: ${reason}`);
  }
  const koffi = requireKoffi();
  const library = koffi.load(null);
  // syscall(3) is variadic, but on both processors integers travel in the same registers either way.
  const syscall: (number: number, command: number, attr: Uint8Array, size: number) => number = library.func(
    'long syscall(long, int, void *, unsigned int)',
  );
  const mmap: (
    address: number,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ) => number = library.func('intptr_t mmap(intptr_t, size_t, int, int, int, long)');
  const munmap: (address: number, length: number) => number = library.func('int munmap(uintptr_t, size_t)');
  const perfEventOpen: (
    number: number,
    attr: Uint8Array,
    pid: number,
    cpu: number,
    group: number,
    flags: number,
  ) => number = library.func('long syscall(long, void *, int, int, int, unsigned long)');
  const ioctl: (fd: number, request: number, argument: number) => number = library.func(
    'int ioctl(int, unsigned long, unsigned long)',
  );
  const eventfd: (initial: number, flags: number) => number = library.func('int eventfd(unsigned int, int)');
  const epollCreate: (flags: number) => number = library.func('int epoll_create1(int)');
  const epollCtl: (epoll: number, operation: number, fd: number, event: Uint8Array | null) => number =
    library.func('int epoll_ctl(int, int, int, void *)');
  const epollWait = library.func('int epoll_wait(int, uintptr_t, int, int)');
  const socket: (domain: number, type: number, protocol: number) => number =
    library.func('int socket(int, int, int)');
  const setsockopt: (
    socket: number,
    level: number,
    option: number,
    value: Uint8Array,
    size: number,
  ) => number = library.func('int setsockopt(int, int, int, void *, unsigned int)');
  type Transfer = (socket: number, bytes: Uint8Array, size: number, flags: number) => number;
  const send: Transfer = library.func('intptr_t send(int, void *, size_t, int)');
  const recv: Transfer = library.func('intptr_t recv(int, void *, size_t, int)');
  const close: (fd: number) => number = library.func('int close(int)');
  const answer = (result: number): number => (result < 0 ? -koffi.errno() : result);
  return {
    bpf: (command, attr, size) => answer(syscall(number, command, attr, size)),
    mmap: (...args) => {
      const address = mmap(...args);
      return address === -1 ? -koffi.errno() : address;
    },
    munmap: (address, length) => answer(munmap(address, length)),
    perfEventOpen: (...args) => answer(perfEventOpen(PERF_EVENT_OPEN_SYSCALL[process.arch]!, ...args)),
    ioctl: (...args) => answer(ioctl(...args)),
    eventfd: (...args) => answer(eventfd(...args)),
    epollCreate: (flags) => answer(epollCreate(flags)),
    epollCtl: (...args) => answer(epollCtl(...args)),
    epollWait: (epoll, events, most, done) => {
      epollWait.async(epoll, koffi.address(events), most, -1, (error: unknown, result: number) =>
        done(error ? -1 : result),
      );
    },
    socket: (...args) => answer(socket(...args)),
    setsockopt: (fd, level, option, value) => answer(setsockopt(fd, level, option, value, value.length)),
    send: (fd, bytes, flags) => answer(send(fd, bytes, bytes.length, flags)),
    recv: (fd, bytes, flags) => answer(recv(fd, bytes, bytes.length, flags)),
    close: (fd) => {
      close(fd);
    },
    addressOf: (bytes) => Number(koffi.address(bytes)),
    memoryAt: (address, length) => koffi.view(BigInt(address), length),
  };
}

function requireKoffi(): typeof import('koffi') {
  try {
    return createRequire(import.meta.url)('koffi');
  } catch (cause) {
    throw new InputError(
      'linux-koffi',
      'opening the Linux kernel: the package koffi, which calls it, is not installed or has no build for this ' +
        'system: install it with "npm install koffi"',
      { cause },
    );
  }
}
