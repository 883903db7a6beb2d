import { readFileSync } from 'node:fs';
import type { ObjectSpec } from '../loader/index.ts';
import { readWhole } from './files.ts';

/** Where Linux shows its own types. */
const VMLINUX = '/sys/kernel/btf/vmlinux';

/**
 * The types of a kernel for the embedded one to stand in for: those of the file that is named, else the running
 * Linux's where the object refers to kernel types (CO-RE relocations, `__ksym` externs) and Linux shows them.
 */
export function kernelTypes(given: string | undefined, spec: ObjectSpec): Uint8Array | undefined {
  if (given !== undefined) return readWhole(given);
  const refers =
    [...spec.functions.values()].some(({ coreRelos }) => coreRelos.length > 0) ||
    [...spec.externs.values()].some(({ kind }) => kind !== 'kconfig');
  return refers ? runningTypes(undefined) : undefined;
}

/** The types of the file that is named, else the running Linux's where it shows them. */
export function runningTypes(given: string | undefined): Uint8Array | undefined {
  if (given !== undefined) return readWhole(given);
  try {
    return readFileSync(VMLINUX);
  } catch {
    // Loading then says which type is missing and how to give it.
    return undefined;
  }
}
