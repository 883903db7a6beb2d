/** What suites that need the real kernel share. */
import { describe } from 'vitest';
import { InputError } from '../../src/base/error.ts';
import { assembleLlvm } from '../../src/isa/index.ts';
import { linuxStatus, openLinux } from '../../src/linux/index.ts';
import type { Kernel } from '../../src/sys/index.ts';

const status = linuxStatus();

/** The machine's own kernel, or `undefined` where this process may not use it. */
export const linux: Kernel | undefined = status.ok ? openLinux() : undefined;

/** Why {@link linux} is undefined. */
export const noLinux: string | undefined = status.ok ? undefined : status.reason;

/** `describe` for suites that need {@link linux}: reported as skipped, with its count, where it is missing. */
export const needsLinux = describe.skipIf(linux === undefined);

/** Stands in for the kernel while a suite that will be skipped lists its tests: any member of it, of any depth, is itself. */
const absent = new Proxy(() => undefined, {
  get: () => absent,
  apply: () => {
    throw new Error(`this test needs Linux: ${noLinux}`);
  },
}) as unknown as Kernel;

/** The kernel, for a suite that {@link needsLinux}. */
export function theLinux(): Kernel {
  return linux ?? absent;
}

/** Instructions of a text in LLVM's notation. */
export const asm = (text: string): Uint8Array => assembleLlvm(text).bytes;

/** What a call throws. */
export function thrown(call: () => unknown): InputError {
  try {
    call();
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** A number as the bytes of a key or value. */
export function u32(...numbers: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(numbers).buffer);
}

export function u64(...numbers: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(numbers).buffer);
}
