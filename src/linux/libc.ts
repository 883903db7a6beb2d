/**
 * The C library's functions that the real kernel is reached by. koffi, which calls them, is loaded on first use, so
 * that nothing that only wants the embedded kernel pays for it or needs it installed.
 */
import { createRequire } from 'node:module';
import { InputError } from '../base/error.ts';

/** bpf(2)'s number by Node's name of the processor. @see arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h */
const BPF_SYSCALL: Readonly<Record<string, number>> = { x64: 321, arm64: 280 };

export interface Libc {
  /** bpf(2). @returns what the kernel returns, or the negated errno */
  bpf(command: number, attr: Uint8Array, size: number): number;
  /** mmap(2); address 0 lets the kernel choose. @returns the address, or the negated errno */
  mmap(address: number, length: number, prot: number, flags: number, fd: number, offset: number): number;
  /** munmap(2). @returns 0 or the negated errno */
  munmap(address: number, length: number): number;
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
  return {
    bpf: (command, attr, size) => {
      const result = syscall(number, command, attr, size);
      return result < 0 ? -koffi.errno() : result;
    },
    mmap: (...args) => {
      const address = mmap(...args);
      return address === -1 ? -koffi.errno() : address;
    },
    munmap: (address, length) => (munmap(address, length) < 0 ? -koffi.errno() : 0),
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
