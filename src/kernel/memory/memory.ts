/**
 * The kernel's address space: one `WebAssembly.Memory` and an allocator over it.
 *
 * Small blocks come from slabs of one size class, large ones are runs of whole pages; what is where stands in
 * JavaScript, out of reach of the programs that share the memory. Page 0 is never mapped, so a null pointer faults.
 * Blocks are 8-byte aligned (whole pages at 4096) and zeroed.
 *
 * No bounds check here: {@link Memory.region} and {@link Memory.fault} are for those who must check.
 */
import { Bug, InputError } from '../../base/error.ts';
import { Native } from '../wasm/native.ts';
import { type Addr, NULL } from './addr.ts';
import { PageRuns } from './pages.ts';
import { type Fault, judge, type Mapping, type Region, regionIn } from './region.ts';
import { createWasmMemory, WASM_PAGE, type WasmMemory } from './webassembly.ts';

const PAGE_SHIFT = 12;
const PAGE = 1 << PAGE_SHIFT;

/** Slot sizes of slabs, in bytes. Larger blocks take whole pages. */
const SLAB_SIZES = [
  8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024, 1360, 2048,
];
const LARGEST_SLOT = SLAB_SIZES.at(-1)!;

/** Index into `SLAB_SIZES` by `(size + 7) >> 3`. */
const CLASS_OF = (() => {
  const classes = new Uint8Array((LARGEST_SLOT >> 3) + 1);
  let cls = 0;
  for (let words = 1; words < classes.length; words++) {
    if (words * 8 > SLAB_SIZES[cls]!) cls += 1;
    classes[words] = cls;
  }
  return classes;
})();

/** A run of pages in use: one block, or a slab of equal slots. */
type Span = Block | Slab;

interface Block {
  readonly kind: 'block';
  readonly base: number;
  readonly pages: number;
  readonly size: number;
  readonly mapping: Mapping;
}

interface Slab {
  readonly kind: 'slab';
  readonly base: number;
  readonly pages: number;
  readonly cls: number;
  readonly slot: number;
  /** Per slot: what it is for and how many bytes were asked for. */
  readonly mappings: (Mapping | undefined)[];
  readonly sizes: Uint16Array;
  /** Free slots; the last freed is taken first. */
  readonly free: number[];
}

export interface MemoryOptions {
  /** Most bytes that the address space may grow to; at most 4 GiB less a page. */
  readonly limit?: number;
  /** Over a `SharedArrayBuffer`, for worker threads; needs a host that has it. */
  readonly shared?: boolean;
  /** A part of another thread's memory, to allocate in; the other options are the whole's. */
  readonly part?: MemoryPart;
}

/** A block of a shared memory that another thread manages for itself. Plain data, for that thread to be told. */
export interface MemoryPart {
  readonly wasm: WasmMemory;
  /** Bytes that the whole may grow to. */
  readonly limit: number;
  /** A page's start. */
  readonly start: Addr;
  readonly end: number;
}

/** What is in use. Two equal answers mean that nothing was leaked between them. */
export interface MemoryUse {
  /** Blocks that are allocated. */
  readonly blocks: number;
  /** Bytes that were asked for. */
  readonly bytes: number;
  /** Bytes of the pages that hold them. */
  readonly pageBytes: number;
}

export class Memory {
  /** For WebAssembly modules that import it. Only this class grows it. */
  readonly wasm: WasmMemory;
  readonly limit: number;
  #view: DataView<ArrayBufferLike>;
  #u8: Uint8Array<ArrayBufferLike>;
  readonly #runs: PageRuns;
  readonly #spans: (Span | undefined)[] = [];
  /** Slabs with a free slot, by size class; the last is used first. */
  readonly #partial: Slab[][] = SLAB_SIZES.map(() => []);
  /** Pages from here on have never been written. */
  #untouched: number;
  /** Where a part ends. */
  readonly #partEnd: number | undefined;
  /** Where the blocks of the transactions under way are noted. */
  #notes: Addr[] | undefined;
  #blocks = 0;
  #bytes = 0;
  #pages = 0;
  #native: Native | undefined;

  constructor(options: MemoryOptions = {}) {
    const { part, shared = false } = options;
    const limit = Math.min(part?.limit ?? options.limit ?? 0xffff_0000, 0xffff_0000);
    const maximum = Math.max(Math.floor(limit / WASM_PAGE), 1);
    const first = part ? part.start / PAGE : 1;
    this.limit = maximum * WASM_PAGE;
    this.wasm =
      part?.wasm ?? createWasmMemory({ initial: Math.min(16, maximum), maximum, ...(shared && { shared }) });
    this.#runs = new PageRuns(first);
    this.#untouched = first;
    this.#partEnd = part?.end;
    this.#view = new DataView(this.wasm.buffer);
    this.#u8 = new Uint8Array(this.wasm.buffer);
  }

  /** The whole memory, little-endian. Take it anew after anything that may allocate: growing replaces it. */
  get view(): DataView<ArrayBufferLike> {
    return this.#view;
  }

  /** The whole memory. Take it anew after anything that may allocate: growing replaces it. */
  get u8(): Uint8Array<ArrayBufferLike> {
    return this.#u8;
  }

  /** The kernel's functions in WebAssembly over this memory; instantiated when they are first asked for. */
  get native(): Native {
    this.#native ??= new Native(this.wasm);
    return this.#native;
  }

  /** Gives another thread a block to allocate in. */
  makePart(size: number, owner: string): MemoryPart {
    const bytes = Math.max(Math.ceil(size / PAGE), 1) * PAGE;
    const start = this.allocate(bytes, { kind: 'kernel', owner, access: 'none' });
    return { wasm: this.wasm, limit: this.limit, start, end: start + bytes };
  }

  /** Sees what another thread has made the memory grow by. */
  refresh(): void {
    const { buffer } = this.wasm;
    if (buffer.byteLength === this.#u8.length) return;
    this.#view = new DataView(buffer);
    this.#u8 = new Uint8Array(buffer);
  }

  /** Has the memory grown beforehand by so many bytes, where it may: nothing is used, and views stay as they are. */
  reserve(size: number): void {
    const target = Math.min(this.#runs.end * PAGE + size, this.limit);
    if (target > this.#u8.length) this.#grow(target);
  }

  get use(): MemoryUse {
    return { blocks: this.#blocks, bytes: this.#bytes, pageBytes: this.#pages * PAGE };
  }

  /** A window, for use before the next allocation. */
  window(addr: Addr, size: number): Uint8Array<ArrayBufferLike> {
    return this.#u8.subarray(addr, addr + size);
  }

  /** A copy. */
  read(addr: Addr, size: number): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(size);
    copy.set(this.#u8.subarray(addr, addr + size));
    return copy;
  }

  write(addr: Addr, bytes: Uint8Array): void {
    this.#u8.set(bytes, addr);
  }

  copy(to: Addr, from: Addr, size: number): void {
    this.#u8.copyWithin(to, from, from + size);
  }

  fill(addr: Addr, size: number, byte: number): void {
    this.#u8.fill(byte, addr, addr + size);
  }

  readU32(addr: number): number {
    return this.#view.getUint32(addr, true);
  }
  writeU32(addr: number, value: number): void {
    this.#view.setUint32(addr, value, true);
  }
  readU64(addr: number): bigint {
    return this.#view.getBigUint64(addr, true);
  }
  writeU64(addr: number, value: bigint): void {
    this.#view.setBigUint64(addr, value, true);
  }

  /** A zeroed block. @throws InputError `ENOMEM` past the limit */
  allocate(size: number, mapping: Mapping): Addr {
    const addr = this.tryAllocate(size, mapping);
    if (addr === NULL) {
      throw new InputError(
        'kernel-memory',
        `allocating ${size} bytes for ${mapping.owner}: the kernel's address space is limited to ` +
          `${this.limit} bytes and ${this.#pages * PAGE} are in use`,
        { errno: 'ENOMEM' },
      );
    }
    return addr;
  }

  /** A zeroed block, or `NULL` past the limit. */
  tryAllocate(size: number, mapping: Mapping): Addr {
    if (!(size >= 0)) throw new Bug(`allocating ${size} bytes for ${mapping.owner}`);
    const addr = size > LARGEST_SLOT ? this.#allocateBlock(size, mapping) : this.#allocateSlot(size, mapping);
    if (addr !== NULL) {
      this.#blocks += 1;
      this.#bytes += size;
      this.#notes?.push(addr);
    }
    return addr;
  }

  /** What `make` allocates is given back when it throws. It must not free anything itself. */
  transaction<T>(make: () => T): T {
    const outer = this.#notes;
    const notes: Addr[] = [];
    this.#notes = notes;
    try {
      const made = make();
      outer?.push(...notes);
      return made;
    } catch (error) {
      for (const addr of notes.reverse()) this.free(addr);
      throw error;
    } finally {
      this.#notes = outer;
    }
  }

  /** Gives back a block by the address that `allocate` answered. `NULL` is let pass. */
  free(addr: Addr): void {
    if (addr === NULL) return;
    const span = this.#spans[addr >>> PAGE_SHIFT];
    if (span?.kind === 'block' && span.base === addr) {
      this.#bytes -= span.size;
      this.#releasePages(span);
    } else if (span?.kind === 'slab') {
      const index = (addr - span.base) / span.slot;
      if (span.mappings[index] === undefined) throw new Bug(`freeing 0x${addr.toString(16)} twice`);
      this.#bytes -= span.sizes[index]!;
      span.mappings[index] = undefined;
      if (span.free.push(index) === 1) this.#partial[span.cls]!.push(span);
      if (span.free.length === span.mappings.length) this.#releaseSlab(span);
    } else {
      throw new Bug(`freeing 0x${addr.toString(16)}, which is no block`);
    }
    this.#blocks -= 1;
  }

  /** What is mapped at an address, with the bounds that hold there. Holds until the block is freed. */
  region(addr: number): Region | undefined {
    const span = this.#spans[addr >>> PAGE_SHIFT];
    if (span === undefined) return undefined;
    if (span.kind === 'block') return regionIn(span.mapping, span.base, span.size, addr);
    const index = Math.floor((addr - span.base) / span.slot);
    const mapping = span.mappings[index];
    if (mapping === undefined) return undefined;
    return regionIn(mapping, span.base + index * span.slot, span.sizes[index]!, addr);
  }

  /** Why a program may not make an access, or `undefined` if it may. */
  fault(addr: number, size: number, write: boolean): Fault | undefined {
    return judge(this.region(addr), addr, size, write);
  }

  #allocateBlock(size: number, mapping: Mapping): Addr {
    const pages = Math.ceil(size / PAGE);
    const first = this.#takePages(pages);
    if (first === 0) return NULL;
    const block: Block = { kind: 'block', base: first * PAGE, pages, size, mapping };
    this.#spans.fill(block, first, first + pages);
    return block.base as Addr;
  }

  #allocateSlot(size: number, mapping: Mapping): Addr {
    const cls = CLASS_OF[Math.max((size + 7) >> 3, 1)]!;
    const partial = this.#partial[cls]!;
    const slab = partial.at(-1) ?? this.#addSlab(cls);
    if (!slab) return NULL;
    const index = slab.free.pop()!;
    if (slab.free.length === 0) partial.pop();
    slab.mappings[index] = mapping;
    slab.sizes[index] = size;
    const addr = slab.base + index * slab.slot;
    this.#u8.fill(0, addr, addr + slab.slot);
    return addr as Addr;
  }

  #addSlab(cls: number): Slab | undefined {
    const slot = SLAB_SIZES[cls]!;
    const pages = slot > 512 ? 2 : 1;
    const first = this.#takePages(pages);
    if (first === 0) return undefined;
    const count = Math.floor((pages * PAGE) / slot);
    const slab: Slab = {
      kind: 'slab',
      base: first * PAGE,
      pages,
      cls,
      slot,
      mappings: new Array<Mapping | undefined>(count).fill(undefined),
      sizes: new Uint16Array(count),
      free: Array.from({ length: count }, (_, i) => count - 1 - i),
    };
    this.#spans.fill(slab, first, first + pages);
    this.#partial[cls]!.push(slab);
    return slab;
  }

  #releaseSlab(slab: Slab): void {
    const partial = this.#partial[slab.cls]!;
    partial.splice(partial.lastIndexOf(slab), 1);
    this.#releasePages(slab);
  }

  #releasePages(span: Span): void {
    const first = span.base / PAGE;
    this.#spans.fill(undefined, first, first + span.pages);
    this.#runs.give(first, span.pages);
    this.#pages -= span.pages;
  }

  /** Takes zeroed pages. @returns the first page's number, or 0 when they don't fit */
  #takePages(count: number): number {
    const first = this.#runs.find(count);
    const end = first + count;
    if (this.#partEnd !== undefined && end * PAGE > this.#partEnd) return 0;
    if (end * PAGE > this.#u8.length && !this.#grow(end * PAGE)) return 0;
    this.#runs.take(first, count);
    this.#pages += count;
    while (this.#spans.length < end) this.#spans.push(undefined);
    if (first < this.#untouched) this.#u8.fill(0, first * PAGE, Math.min(end, this.#untouched) * PAGE);
    this.#untouched = Math.max(this.#untouched, end);
    return first;
  }

  #grow(size: number): boolean {
    if (size > this.limit) return false;
    const now = this.#u8.length;
    // By half at least, so that many small allocations cost few replacements of the views.
    const target = Math.min(Math.max(size, now + (now >> 1)), this.limit);
    try {
      this.wasm.grow(Math.ceil((target - now) / WASM_PAGE));
    } catch (cause) {
      if (cause instanceof RangeError) return false;
      throw cause;
    }
    this.#view = new DataView(this.wasm.buffer);
    this.#u8 = new Uint8Array(this.wasm.buffer);
    return true;
  }
}
