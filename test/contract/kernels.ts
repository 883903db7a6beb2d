/** The kernels that the contract is held against: the embedded one always, Linux where this process may use it. */
import { BtfBuilder } from '../../src/btf/index.ts';
import { createKernel } from '../../src/kernel/index.ts';
import type { Fd, Kernel, MapCreateAttr } from '../../src/sys/index.ts';
import { linux, noLinux } from '../linux/support.ts';
import type { Shape } from './shapes.ts';

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

/** Gives a map what its type needs: an inner map, types. The descriptors are closed with the process. */
export function complete(kernel: Kernel, attr: MapCreateAttr, shape: Shape): MapCreateAttr {
  if (!shape.typed) return withInner(kernel, attr);
  let fd = typeFds.get(kernel);
  if (fd === undefined) {
    fd = kernel.bpf.btf_load({ btf: INT });
    typeFds.set(kernel, fd);
  }
  return { ...attr, btf_fd: fd, btf_key_type_id: 1, btf_value_type_id: 1 };
}

const typeFds = new WeakMap<Kernel, ReturnType<Kernel['bpf']['btf_load']>>();
const INT = (() => {
  const builder = new BtfBuilder();
  builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bitOffset: 0, bits: 32 });
  return builder.encode();
})();

/** Gives a map of maps its inner map; the descriptor is closed with the process. */
const inners = new WeakMap<Kernel, ReturnType<Kernel['bpf']['map_create']>>();
function withInner(kernel: Kernel, attr: MapCreateAttr): MapCreateAttr {
  if (!attr.map_type.endsWith('_of_maps')) return attr;
  let inner = inners.get(kernel);
  if (inner === undefined) {
    inner = kernel.bpf.map_create({ map_type: 'array', key_size: 4, value_size: 4, max_entries: 1 });
    inners.set(kernel, inner);
  }
  return { ...attr, inner_map_fd: inner };
}

/** The errno that creating a map answers, or `undefined` where it is created. */
export function typeRefusal(kernel: Kernel, attr: MapCreateAttr): string | undefined {
  const answer = outcome(() => withMap(kernel, attr, () => undefined));
  return answer === 'ok' ? undefined : answer;
}
