/** Whether members fit into their struct, by their types. @see kernel/bpf/btf.c, the check_member functions */
import { memberPlace } from './log.ts';
import type { BtfSource, RawType } from './source.ts';

/** Sizes of types that were resolved. */
export interface Sizes {
  readonly source: BtfSource;
  /** The type behind modifiers with its size; `undefined` for one without a size. */
  sized(id: number): { readonly type: RawType; readonly size: number } | undefined;
}

const BITS = 128;
const INT_BITS = 32;
const bytes = (bits: number): number => Math.ceil(bits / 8);

/** An int whose bits are whole bytes, as many as a register or two have. */
export function isRegularInt(source: BtfSource, type: RawType): boolean {
  const data = source.extra(type, 0);
  const bits = data & 0xff;
  return ((data >>> 16) & 0xff) === 0 && [8, 16, 32, 64, 128].includes(bits);
}

/** What is wrong with a member. */
export function memberProblem(sizes: Sizes, owner: RawType, index: number): string | undefined {
  const { source } = sizes;
  const id = source.extra(owner, 3 * index + 1);
  const found = sizes.sized(id);
  if (!found) return 'Invalid member';
  const { type, size } = found;
  const { bits, size: bitfield } = memberPlace(source, owner, index);
  const room = owner.third - Math.floor(bits / 8);
  switch (type.kind) {
    case 'int':
      return owner.flag
        ? intBitfieldProblem(source, owner, type, bits, bitfield)
        : intProblem(source, owner, type, bits);
    case 'enum':
    case 'enum64':
      return owner.flag ? enumBitfieldProblem(owner, bits, bitfield) : wholeProblem(bits, size, room);
    case 'float': {
      if (bitfield > 0) return 'Invalid member bitfield_size';
      if (bits % (8 * Math.min(8, size)) !== 0) return 'Member is not properly aligned';
      return size > room ? 'Member exceeds struct_size' : undefined;
    }
    default:
      return bitfield > 0 ? 'Invalid member bitfield_size' : wholeProblem(bits, size, room);
  }
}

function wholeProblem(bits: number, size: number, room: number): string | undefined {
  if (bits % 8 !== 0) return 'Member is not byte aligned';
  return size > room ? 'Member exceeds struct_size' : undefined;
}

/** Bits are copied from the byte in which they begin. */
function copyProblem(owner: RawType, bits: number, count: number): string | undefined {
  const copied = count + (bits % 8);
  if (copied > BITS) return `nr_copy_bits exceeds ${BITS}`;
  const room = owner.third - Math.floor(bits / 8);
  return room < 0 || room < bytes(copied) ? 'Member exceeds struct_size' : undefined;
}

function intProblem(source: BtfSource, owner: RawType, type: RawType, bits: number): string | undefined {
  const data = source.extra(type, 0);
  const start = bits + ((data >>> 16) & 0xff);
  if (start > 0xffff_ffff) return 'bits_offset exceeds U32_MAX';
  return copyProblem(owner, start, data & 0xff);
}

function intBitfieldProblem(
  source: BtfSource,
  owner: RawType,
  type: RawType,
  bits: number,
  bitfield: number,
): string | undefined {
  if (!isRegularInt(source, type)) return 'Invalid member base type';
  const whole = source.extra(type, 0) & 0xff;
  if (bitfield === 0 && bits % 8 !== 0) return 'Invalid member offset';
  if (bitfield > whole) return 'Invalid member bitfield_size';
  return copyProblem(owner, bits, bitfield || whole);
}

function enumBitfieldProblem(owner: RawType, bits: number, bitfield: number): string | undefined {
  if (bitfield === 0 && bits % 8 !== 0) return 'Member is not byte aligned';
  if (bitfield > INT_BITS) return 'Invalid member bitfield_size';
  return owner.third < bytes(bits + (bitfield || INT_BITS)) ? 'Member exceeds struct_size' : undefined;
}
