/** The kernels that the contract is held against: the embedded one always, Linux where this process may use it. */
import { createKernel } from '../../src/kernel/index.ts';
import type { Fd, Kernel, MapCreateAttr } from '../../src/sys/index.ts';
import { linux, noLinux } from '../linux/support.ts';

export interface Subject {
  readonly name: string;
  /** Why it can't be had, or `undefined`. */
  readonly missing: string | undefined;
  readonly kernel: () => Kernel;
}

const cpus = linux?.possibleCpus ?? 2;
const embedded = createKernel({ cpus });

export const SUBJECTS: readonly Subject[] = [
  { name: 'embedded', missing: undefined, kernel: () => embedded },
  { name: 'linux', missing: linux ? undefined : (noLinux ?? 'no reason'), kernel: () => linux! },
];

/** A kernel of its own with as many CPUs as Linux has here. */
export function freshEmbedded() {
  return createKernel({ cpus });
}

/** The errno of a call that fails, `ok` of one that succeeds, `none` of one that answers `undefined` to a lookup. */
export function outcome(call: () => unknown): string {
  try {
    call();
    return 'ok';
  } catch (error) {
    const { errno } = error as { errno?: string };
    if (errno === undefined) throw error;
    return errno;
  }
}

/** Runs `use` with a new map, and closes it. */
export function withMap<T>(kernel: Kernel, attr: MapCreateAttr, use: (fd: Fd) => T): T {
  const fd = kernel.bpf.map_create(attr);
  try {
    return use(fd);
  } finally {
    kernel.closeFd(fd);
  }
}

export function u32(...values: number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Uint32Array(values).buffer);
}

export function fromU32(bytes: Uint8Array | undefined): number | undefined {
  return bytes && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}
