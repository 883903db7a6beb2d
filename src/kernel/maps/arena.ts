import { InputError } from '../../base/error.ts';
import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import { type Check, checkFlags, checkKeySize, checkNonZero, first, refuse } from './checks.ts';
import { BpfMap, errno, type MapShape, type Status, type SysValue } from './map.ts';

const PAGE = 4096;
const SPAN = 2 ** 32;

export const checkArena: Check = (shape) => {
  const bytes = BigInt(shape.maxEntries) * BigInt(PAGE);
  return first(
    checkKeySize(shape, 0),
    shape.valueSize !== 0
      ? refuse('EINVAL', 'an arena has pages, not values: value_size must be 0')
      : undefined,
    checkNonZero(shape, 'maxEntries'),
    (shape.flags & MAP_CREATE_FLAGS.BPF_F_MMAPABLE) === 0
      ? refuse('EINVAL', 'an arena must be created with BPF_F_MMAPABLE')
      : undefined,
    checkFlags(shape),
    shape.extra % BigInt(PAGE) !== 0n
      ? refuse('EINVAL', `map_extra is an address in user space, a multiple of ${PAGE}`)
      : undefined,
    bytes > BigInt(SPAN) ? refuse('E2BIG', `an arena of ${shape.maxEntries} pages exceeds 4 GiB`) : undefined,
    shape.extra !== 0n && shape.extra >> 32n !== (shape.extra + bytes - 1n) >> 32n
      ? refuse('ERANGE', 'the addresses in user space cross a multiple of 4 GiB')
      : undefined,
  );
};

/** A run of pages, by their numbers. */
interface Range {
  readonly first: number;
  readonly count: number;
}

/** Where arenas are in user space that say nothing of it: each in 4 GiB of its own. */
const USER_SPACE = 1n << 44n;

/** What user space has mapped: all pages together, whether they are there or not. */
interface Window {
  readonly base: Addr;
  readonly pages: number;
}

/**
 * Memory that programs and user space share by the page. It has no elements. Its addresses are user space's; programs use
 * the low half of them. What is not there reads as zero, and takes no stores.
 *
 * Where user space has mapped it, its pages lie together. Nothing faults there: a page that user space has written to is
 * there from when the kernel next looks for it, one that it has only read is not.
 */
export class ArenaMap extends BpfMap {
  /** By number. */
  readonly #pages = new Map<number, Addr>();
  /** Runs of pages that nobody has, by address. */
  #free: Range[];
  #userAddress: bigint;
  #window: Window | undefined;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    this.#free = [{ first: 0, count: shape.maxEntries }];
    this.#userAddress = shape.extra;
  }

  /** Where user space has it; 0 as long as that is open. */
  get userAddress(): bigint {
    return this.#userAddress;
  }

  /** Pages that user space has addresses for. */
  get #reach(): number {
    return Math.min(this.shape.maxEntries, this.#window?.pages ?? this.shape.maxEntries);
  }

  /**
   * mmap(2). The first time all pages are laid together.
   * @param length bytes, whole pages
   * @param address where user space wants it
   * @returns where it is in the kernel's memory, or a negative errno: `EINVAL`, `E2BIG` for one that is larger than what is
   *   there, `ENOMEM` where the kernel's memory has no such room
   */
  mapUser(offset: number, length: number, address?: bigint): Addr | Status {
    if (offset !== 0) return errno('EINVAL');
    if (length > SPAN) return errno('E2BIG');
    if (this.#userAddress !== 0n) {
      const size = this.#window ? this.#window.pages * PAGE : this.shape.maxEntries * PAGE;
      if (length !== size) return errno(length > size ? 'E2BIG' : 'EINVAL');
      if (address !== this.#userAddress) return errno('EINVAL');
    }
    const start = address ?? USER_SPACE + (BigInt(this.id) << 32n);
    if (start % BigInt(PAGE) !== 0n || start >> 32n !== (start + BigInt(length) - 1n) >> 32n)
      return errno('EINVAL');
    if (this.#window) return this.#window.base;
    const region = { kind: 'map_value', owner: this.label, access: 'rw' } as const;
    const base = this.machine.memory.tryAllocate(length, region);
    if (base === NULL) return errno('ENOMEM');
    const { memory } = this.machine;
    memory.fill(base, length, 0);
    for (const [page, from] of this.#pages) {
      memory.copy(at(base, page * PAGE), from, PAGE);
      memory.free(from);
      this.#pages.set(page, at(base, page * PAGE));
    }
    this.#window = { base, pages: length / PAGE };
    this.#userAddress = start;
    return base;
  }

  /** Pages that user space has written to are there. */
  #admitWritten(): void {
    for (let page = 0; this.#window && page < this.#reach; page++) this.#present(page);
  }

  /** Where a page is, which may be there because user space has written to it. */
  #present(page: number): Addr | undefined {
    const known = this.#pages.get(page);
    if (known !== undefined || !this.#window || page >= this.#reach) return known;
    if (this.shape.flags & MAP_CREATE_FLAGS.BPF_F_SEGV_ON_FAULT) return undefined;
    const addr = at(this.#window.base, page * PAGE);
    const { u8 } = this.machine.memory;
    let i = 0;
    while (i < PAGE && u8[addr + i] === 0) i++;
    if (i === PAGE || !this.#isFree(page, 1)) return undefined;
    this.#take(page, 1);
    this.#pages.set(page, addr);
    return addr;
  }

  get #low(): number {
    return Number(BigInt.asUintN(32, this.userAddress));
  }

  /**
   * `bpf_arena_alloc_pages`.
   * @param address where, or 0 for anywhere
   * @returns the first page's address in user space; 0 when they are not free
   */
  allocatePages(address: bigint, count: number): bigint {
    if (count === 0 || count > this.#reach) return 0n;
    this.#admitWritten();
    let first: number | undefined;
    if (address === 0n) first = this.#bestFit(count)?.first;
    else if (address % BigInt(PAGE) === 0n) {
      first = this.#pageOf(address);
      if (first > this.#reach - count || !this.#isFree(first, count)) first = undefined;
    }
    if (first === undefined) return 0n;
    const taken: Addr[] = [];
    for (let i = 0; i < count; i++) {
      const page = this.#allocate(first + i);
      if (page === NULL) {
        for (const addr of taken) this.#release(addr);
        return 0n;
      }
      taken.push(page);
    }
    this.#take(first, count);
    for (const [i, page] of taken.entries()) this.#pages.set(first + i, page);
    return (this.userAddress & ~0xffff_ffffn) + BigInt((this.#low + first * PAGE) >>> 0);
  }

  /** `bpf_arena_free_pages`. */
  freePages(address: bigint, count: number): void {
    if (count === 0 || address === 0n) return;
    this.#admitWritten();
    const first = this.#pageOf(address);
    const end = Math.min(this.#reach, first + count);
    for (let page = first; page < end; page++) {
      const addr = this.#pages.get(page);
      if (addr === undefined) continue;
      this.#pages.delete(page);
      this.#release(addr);
    }
    if (first < end) this.#give(first, end - first);
  }

  /** `bpf_arena_reserve_pages`: nobody is given them any more. */
  reservePages(address: bigint, count: number): Status {
    if (count === 0) return 0;
    this.#admitWritten();
    const first = this.#pageOf(address);
    if (first + count > this.#reach) return errno('EINVAL');
    if (!this.#isFree(first, count)) return errno('EBUSY');
    this.#take(first, count);
    return 0;
  }

  /** A page of zeros. */
  #allocate(page: number): Addr {
    const { memory } = this.machine;
    if (!this.#window) {
      return memory.tryAllocate(PAGE, { kind: 'map_value', owner: this.label, access: 'rw' });
    }
    const addr = at(this.#window.base, page * PAGE);
    memory.fill(addr, PAGE, 0);
    return addr;
  }

  #release(page: Addr): void {
    if (this.#window) this.machine.memory.fill(page, PAGE, 0);
    else this.machine.memory.free(page);
  }

  #pageOf(address: bigint): number {
    return ((Number(BigInt.asUintN(32, address)) - this.#low) >>> 0) >>> 12;
  }

  /** The smallest run that is large enough. */
  #bestFit(count: number): Range | undefined {
    let best: Range | undefined;
    for (const range of this.#free) {
      const reached = Math.min(range.count, this.#reach - range.first);
      if (reached >= count && (best === undefined || range.count < best.count)) best = range;
    }
    return best;
  }

  #isFree(first: number, count: number): boolean {
    return this.#free.some((range) => range.first <= first && first + count <= range.first + range.count);
  }

  #take(first: number, count: number): void {
    const end = first + count;
    this.#free = this.#free.flatMap((range) => {
      const after = range.first + range.count;
      if (end <= range.first || first >= after) return [range];
      return [
        { first: range.first, count: first - range.first },
        { first: end, count: after - end },
      ].filter((rest) => rest.count > 0);
    });
  }

  #give(first: number, count: number): void {
    this.#take(first, count);
    const all = [...this.#free, { first, count }].toSorted((a, b) => a.first - b.first);
    const merged: Range[] = [];
    for (const range of all) {
      const last = merged.at(-1);
      if (last && last.first + last.count === range.first) {
        merged[merged.length - 1] = { first: last.first, count: last.count + range.count };
      } else merged.push(range);
    }
    this.#free = merged;
  }

  /** Where a byte is in the kernel's memory, or `NULL`. @param address the low half of it, or the whole */
  place(address: number): Addr {
    const offset = (address - this.#low) >>> 0;
    const page = this.#present(offset >>> 12);
    return page === undefined ? NULL : at(page, offset & (PAGE - 1));
  }

  /** A program's load: what is not there is 0. */
  load(address: bigint, size: number): bigint {
    const { u8 } = this.machine.memory;
    let value = 0n;
    for (let i = 0; i < size; i++) {
      const place = this.place(Number(address) + i);
      if (place === NULL) return 0n;
      value |= BigInt(u8[place]!) << BigInt(8 * i);
    }
    return value;
  }

  /** A program's store. */
  store(address: bigint, size: number, value: bigint): void {
    const { u8 } = this.machine.memory;
    for (let i = 0; i < size; i++) {
      const place = this.place(Number(address) + i);
      if (place === NULL) return;
      u8[place] = Number((value >> BigInt(8 * i)) & 0xffn);
    }
  }

  /** What user space reads at one of its addresses. A page that is not there is made, as by a page fault. */
  userRead(address: bigint, size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i++) bytes[i] = this.machine.memory.u8[this.#fault(address + BigInt(i))]!;
    return bytes;
  }

  /** @throws InputError `ENOMEM` past the kernel's memory, `EFAULT` outside of the arena */
  userWrite(address: bigint, bytes: Uint8Array): void {
    for (const [i, byte] of bytes.entries()) this.machine.memory.u8[this.#fault(address + BigInt(i))] = byte;
  }

  #fault(address: bigint): Addr {
    const offset = address - this.userAddress;
    if (offset < 0n || offset >= BigInt(this.shape.maxEntries) * BigInt(PAGE)) {
      throw this.#segmentationFault(address, 'is outside of it');
    }
    const page = Number(offset / BigInt(PAGE));
    if (this.#present(page) === undefined) {
      if (this.shape.flags & MAP_CREATE_FLAGS.BPF_F_SEGV_ON_FAULT) {
        throw this.#segmentationFault(address, 'has no page, and BPF_F_SEGV_ON_FAULT says to make none');
      }
      const made = this.#allocate(page);
      if (made === NULL) throw this.#segmentationFault(address, 'can get no page');
      this.#take(page, 1);
      this.#pages.set(page, made);
    }
    return this.place(Number(BigInt.asUintN(32, address)));
  }

  #segmentationFault(address: bigint, why: string): InputError {
    const what = `0x${address.toString(16)} of ${this.label}`;
    return new InputError('kernel-arena', `accessing ${what}: the address ${why} (EFAULT)`, {
      errno: 'EFAULT',
    });
  }

  lookup(_key: Addr): Addr {
    return NULL;
  }
  update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('EOPNOTSUPP');
  }
  delete(_key: Addr): Status {
    return errno('EOPNOTSUPP');
  }
  override sysLookup(): SysValue {
    return errno('EINVAL');
  }
  nextKey(): SysValue {
    return errno('EOPNOTSUPP');
  }

  override destroy(): void {
    if (this.#window) this.machine.memory.free(this.#window.base);
    else for (const page of this.#pages.values()) this.machine.memory.free(page);
    this.#pages.clear();
    super.destroy();
  }
}
