/** What suites that need the real kernel share. */
import { describe } from 'vitest';
import { linuxStatus, openLinux } from '../../src/linux/index.ts';
import type { Kernel } from '../../src/sys/index.ts';

const status = linuxStatus();

/** The machine's own kernel, or `undefined` where this process may not use it. */
export const linux: Kernel | undefined = status.ok ? openLinux() : undefined;

/** Why {@link linux} is undefined. */
export const noLinux: string | undefined = status.ok ? undefined : status.reason;

/** `describe` for suites that need {@link linux}: reported as skipped, with its count, where it is missing. */
export const needsLinux = describe.skipIf(linux === undefined);

/** The kernel inside a suite that {@link needsLinux}. */
export function theLinux(): Kernel {
  if (linux === undefined) throw new Error(`this test needs Linux: ${noLinux}`);
  return linux;
}
