import type { Addr } from './addr.ts';

/** What a stretch of memory holds; decides what a fault is called and, later, which pointers may reach it. */
export type RegionKind =
  | 'map'
  | 'map_value'
  | 'prog'
  | 'stack'
  | 'ctx'
  | 'packet'
  | 'ringbuf'
  | 'rodata'
  | 'mem'
  | 'kernel';

/** What an allocation is for. One mapping can describe any number of allocations of the same shape. */
export interface Mapping {
  readonly kind: RegionKind;
  /** Who holds it, for messages: `map counters`, `stack of CPU 0`. */
  readonly owner: string;
  /** What a program may do to it; `none` is the kernel's own. */
  readonly access: 'none' | 'r' | 'w' | 'rw';
  /**
   * An allocation that is a run of equal cells, of which a program may touch only a part: the values of a map.
   */
  readonly cells?: Cells;
}

/** Bytes; `size` bytes from `offset` on in each cell of `stride` bytes. */
export interface Cells {
  readonly stride: number;
  readonly offset: number;
  readonly size: number;
  /** There are more such parts in a cell, one every so many bytes behind the first: the values of all CPUs. */
  readonly repeat?: { readonly stride: number; readonly count: number };
  /** A part that is only read, in front of the others: the key. */
  readonly key?: { readonly offset: number; readonly size: number };
}

/** The bounds that hold for an access at an address: the whole allocation, or the accessible part of one cell. */
export interface Region {
  readonly mapping: Mapping;
  readonly start: Addr;
  /** The first address behind it. */
  readonly end: number;
  readonly readable: boolean;
  readonly writable: boolean;
}

/** The region of `mapping` that holds `addr`, for an allocation of `size` bytes at `base`. */
export function regionIn(mapping: Mapping, base: number, size: number, addr: number): Region | undefined {
  let start = base;
  let end = base + size;
  let key = false;
  const { cells } = mapping;
  if (cells) {
    const cell = base + Math.floor((addr - base) / cells.stride) * cells.stride;
    key = cells.key !== undefined && addr < cell + cells.key.offset + cells.key.size;
    const part = key ? cells.key! : cells;
    start = cell + part.offset;
    if (!key && cells.repeat) {
      const { stride, count } = cells.repeat;
      start += Math.min(Math.max(Math.floor((addr - start) / stride), 0), count - 1) * stride;
    }
    end = Math.min(start + part.size, end);
  }
  if (addr < start || addr >= end) return undefined;
  const { access } = mapping;
  return {
    mapping,
    start: start as Addr,
    end,
    readable: key || access === 'r' || access === 'rw',
    writable: !key && (access === 'w' || access === 'rw'),
  };
}

/** Why an access may not be made. */
export interface Fault {
  readonly addr: number;
  readonly size: number;
  readonly write: boolean;
  /** One sentence. */
  readonly problem: string;
}

/** Judges an access against the region that holds its first byte. */
export function judge(
  region: Region | undefined,
  addr: number,
  size: number,
  write: boolean,
): Fault | undefined {
  const what = `${write ? 'write' : 'read'} of ${size} bytes at address 0x${addr.toString(16)}`;
  if (!region) {
    const where = addr < 4096 ? 'is a null pointer dereference' : 'is outside everything that is mapped';
    return { addr, size, write, problem: `${what} ${where}` };
  }
  const { kind, owner } = region.mapping;
  if (addr + size > region.end) {
    const problem =
      `${what} runs past the end of ${kind} (${owner}): ` +
      `offset ${addr - region.start} of ${region.end - region.start} bytes`;
    return { addr, size, write, problem };
  }
  if (write ? !region.writable : !region.readable) {
    return { addr, size, write, problem: `${what} is not permitted on ${kind} (${owner})` };
  }
  return undefined;
}
