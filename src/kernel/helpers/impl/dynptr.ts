/**
 * Dynptrs: pointers to memory whose bounds are known at run time. They are laid out as Linux's: data, size with the kind and
 * a bit for those that are only read, offset.
 *
 * @see kernel/bpf/helpers.c, struct bpf_dynptr_kern
 */
import { Bug } from '../../../base/error.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { RingbufMap } from '../../maps/ringbuf.ts';
import { type Addr, at, NULL } from '../../memory/index.ts';
import { SkBuff } from '../../net/sk-buff.ts';
import { XdpBuff } from '../../net/xdp-buff.ts';
import { packetAt } from './packet.ts';
import { addr, err, flags32, u32 } from './values.ts';

export const DYNPTR = { local: 1, ringbuf: 2, skb: 3, xdp: 4, skb_meta: 5 } as const;
type Kind = (typeof DYNPTR)[keyof typeof DYNPTR];

const SIZE_MASK = 0xff_ffff;
const KIND_SHIFT = 28;
const READ_ONLY = 2 ** 31;
const STRUCT_SIZE = 16;
const INVALIDATE_HASH = 2n;
const RECOMPUTE_CSUM = 1n;

/** What a dynptr's memory says; `undefined` for one that is null. */
export interface Dynptr {
  /** Address of the memory, or of the packet's context. */
  readonly data: number;
  readonly kind: Kind;
  readonly readOnly: boolean;
  readonly size: number;
  readonly offset: number;
}

export function readDynptr({ machine: { memory } }: HelperRun, pointer: bigint): Dynptr | undefined {
  const place = addr(pointer);
  const data = memory.readU32(place);
  if (data === 0) return undefined;
  const word = memory.readU32(place + 8);
  return {
    data,
    kind: ((word >>> KIND_SHIFT) & 7) as Kind,
    readOnly: word >= READ_ONLY,
    size: word & SIZE_MASK,
    offset: memory.readU32(place + 12),
  };
}

export function writeDynptr({ machine: { memory } }: HelperRun, pointer: bigint, dynptr: Dynptr): void {
  const { data, kind, readOnly, size, offset } = dynptr;
  const place = addr(pointer);
  memory.writeU64(place, BigInt(data));
  memory.writeU32(place + 8, (size | (kind << KIND_SHIFT)) + (readOnly ? READ_ONLY : 0));
  memory.writeU32(place + 12, offset);
}

export function clearDynptr({ machine: { memory } }: HelperRun, pointer: bigint): void {
  memory.fill(addr(pointer), STRUCT_SIZE, 0);
}

/** Offsets and lengths have 32 bits. */
export function isInside({ size }: Dynptr, offset: bigint, length: bigint): boolean {
  return u32(length) <= size && u32(offset) <= size - u32(length);
}

/** Copies out of what a dynptr points to. @returns 0 or a negative errno */
export function loadFrom(run: HelperRun, dynptr: Dynptr, offset: number, to: Addr, length: number): number {
  const from = dynptr.offset + offset;
  if (length === 0) return 0;
  if (dynptr.kind === DYNPTR.local || dynptr.kind === DYNPTR.ringbuf) {
    run.machine.memory.copy(to, at(dynptr.data as Addr, from), length);
    return 0;
  }
  const packet = packetAt(run, BigInt(dynptr.data));
  return packet instanceof SkBuff
    ? packet.loadBytes(from, to, length)
    : packet.transfer(from, to, length, false);
}

/** Copies into what a dynptr points to. @returns 0 or a negative errno */
export function storeTo(
  run: HelperRun,
  dynptr: Dynptr,
  offset: number,
  from: Addr,
  length: number,
  flags: bigint,
): number {
  const to = dynptr.offset + offset;
  if (dynptr.kind === DYNPTR.local || dynptr.kind === DYNPTR.ringbuf) {
    if (flags !== 0n) return err('EINVAL');
    run.machine.memory.copy(at(dynptr.data as Addr, to), from, length);
    return 0;
  }
  const packet = packetAt(run, BigInt(dynptr.data));
  if (packet instanceof XdpBuff) {
    return flags === 0n ? packet.transfer(to, from, length, true) : err('EINVAL');
  }
  if (flags & ~(RECOMPUTE_CSUM | INVALIDATE_HASH)) return err('EINVAL');
  const recompute = (flags & RECOMPUTE_CSUM) !== 0n;
  return packet.storeBytes(to, from, length, recompute, (flags & INVALIDATE_HASH) !== 0n);
}

export const dynptr_from_mem: HelperImpl = (run, data, length, flags, pointer) => {
  clearDynptr(run, pointer);
  if (u32(length) > SIZE_MASK) return err('E2BIG');
  if (flags !== 0n) return err('EINVAL');
  const size = u32(length);
  writeDynptr(run, pointer, { data: addr(data), kind: DYNPTR.local, readOnly: false, size, offset: 0 });
  return 0;
};

export const dynptr_read: HelperImpl = (run, to, length, pointer, offset, flags) => {
  const dynptr = readDynptr(run, pointer);
  if (!dynptr || flags !== 0n) return err('EINVAL');
  if (!isInside(dynptr, offset, length)) return err('E2BIG');
  return loadFrom(run, dynptr, u32(offset), addr(to), u32(length));
};

export const dynptr_write: HelperImpl = (run, pointer, offset, from, length, flags) => {
  const dynptr = readDynptr(run, pointer);
  if (!dynptr || dynptr.readOnly) return err('EINVAL');
  if (!isInside(dynptr, offset, length)) return err('E2BIG');
  return storeTo(run, dynptr, u32(offset), addr(from), u32(length), flags);
};

export const dynptr_data: HelperImpl = (run, pointer, offset, length) => {
  const dynptr = readDynptr(run, pointer);
  if (!dynptr || dynptr.readOnly || !isInside(dynptr, offset, length)) return 0n;
  if (dynptr.kind !== DYNPTR.local && dynptr.kind !== DYNPTR.ringbuf) return 0n;
  return BigInt(dynptr.data + dynptr.offset + u32(offset));
};

function ring(run: HelperRun, pointer: bigint): RingbufMap {
  const map = run.map(pointer);
  if (!(map instanceof RingbufMap)) throw new Bug(`a ring buffer helper on a map of type ${map.shape.type}`);
  return map;
}

export const ringbuf_reserve_dynptr: HelperImpl = (run, map, length, flags, pointer) => {
  clearDynptr(run, pointer);
  if (flags !== 0n) return err('EINVAL');
  if (u32(length) > SIZE_MASK) return err('E2BIG');
  const size = u32(length);
  const record = ring(run, map).reserve(size, 0);
  if (record === NULL) return err('EINVAL');
  run.acquired.set(record, ring(run, map));
  writeDynptr(run, pointer, { data: record, kind: DYNPTR.ringbuf, readOnly: false, size, offset: 0 });
  return 0;
};

const finish =
  (how: 'submit' | 'discard'): HelperImpl =>
  (run, pointer, flags) => {
    const dynptr = readDynptr(run, pointer);
    if (!dynptr) return 0n;
    const map = run.acquired.get(dynptr.data);
    run.acquired.delete(dynptr.data);
    if (!(map instanceof RingbufMap)) throw new Bug(`0x${dynptr.data.toString(16)} is no reserved record`);
    map[how](dynptr.data as Addr, flags32(flags));
    clearDynptr(run, pointer);
    return 0n;
  };

export const ringbuf_submit_dynptr = finish('submit');
export const ringbuf_discard_dynptr = finish('discard');
