/** What every type demands of its attributes, as a value: the errno and the sentence that explains it. */
import type { Errno } from '../../sys/errno.ts';
import { flagNames, MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import { mapTypeFacts } from './facts.ts';
import type { MapShape } from './map.ts';

/** Why a map can't be. */
export interface Refusal {
  readonly errno: Errno;
  readonly reason: string;
}

interface CheckContext {
  readonly cpus: number;
  /** The caller has CAP_SYS_ADMIN. */
  readonly admin: boolean;
  /** `numa_node` where the flags say that it counts. */
  readonly numaNode: number | undefined;
  /** Ids of the types of keys and values in the creator's BTF, or 0. */
  readonly keyType: number;
  readonly valueType: number;
  /** Id of the value's type in the kernel's BTF, or 0. */
  readonly kernelValueType: number;
}

export type Check = (shape: MapShape, context: CheckContext) => Refusal | undefined;

/** Largest allocation of the kernel's slab allocator on x86-64 and arm64 with 4 KiB pages, in bytes. */
export const KMALLOC_MAX_SIZE = 4 << 20;
/** Largest per-CPU allocation, in bytes. */
export const PCPU_MIN_UNIT_SIZE = 32 << 10;

const F = MAP_CREATE_FLAGS;

export function refuse(errno: Errno, reason: string): Refusal {
  return { errno, reason };
}

/** Flags that the type does not know, or that contradict each other. */
export function checkFlags(shape: MapShape): Refusal | undefined {
  const known = mapTypeFacts(shape.type)?.flags ?? 0;
  const unknown = shape.flags & ~known;
  if (unknown) {
    return refuse(
      'EINVAL',
      `a ${shape.type} map does not know the flags ${flagNames(F, unknown).join(', ')}`,
    );
  }
  const both = F.BPF_F_RDONLY_PROG | F.BPF_F_WRONLY_PROG;
  if ((shape.flags & both) === both) {
    return refuse('EINVAL', 'BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other');
  }
  return undefined;
}

export function checkNonZero(
  shape: MapShape,
  ...fields: ('keySize' | 'valueSize' | 'maxEntries')[]
): Refusal | undefined {
  const names = { keySize: 'key_size', valueSize: 'value_size', maxEntries: 'max_entries' };
  const zero = fields.find((field) => shape[field] === 0);
  return zero && refuse('EINVAL', `a ${shape.type} map needs a ${names[zero]} of at least 1`);
}

export function checkKeySize(shape: MapShape, size: number): Refusal | undefined {
  if (shape.keySize === size) return undefined;
  return refuse('EINVAL', `a ${shape.type} map has keys of ${size} bytes, not ${shape.keySize}`);
}

export function checkValueSize(shape: MapShape, ...sizes: readonly number[]): Refusal | undefined {
  if (sizes.includes(shape.valueSize)) return undefined;
  const allowed = sizes.join(' or ');
  return refuse('EINVAL', `a ${shape.type} map has values of ${allowed} bytes, not ${shape.valueSize}`);
}

export function checkPercpuValue(shape: MapShape): Refusal | undefined {
  if (shape.valueSize <= PCPU_MIN_UNIT_SIZE) return undefined;
  const limit = `${PCPU_MIN_UNIT_SIZE} bytes`;
  return refuse('E2BIG', `a per-CPU value of ${shape.valueSize} bytes exceeds ${limit}`);
}

/** The first refusal. */
export function first(...checks: (Refusal | undefined)[]): Refusal | undefined {
  return checks.find((refusal) => refusal !== undefined);
}
