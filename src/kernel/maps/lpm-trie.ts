import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, type Mapping, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import {
  INDEX_SIZE,
  LPM_DATA,
  LPM_DATA_SIZE,
  LPM_HEADER,
  LPM_KEY_DATA,
  LPM_MAX_ENTRIES,
  LPM_STRIDE,
  LPM_VALUE_OFFSET,
  LPM_VALUE_SIZE,
} from '../wasm/assembly/lpm-layout.ts';
import type { KernelFunctions } from '../wasm/native.ts';
import { genericBatchRead } from './batch.ts';
import { type Check, checkFlags, checkNonZero, first, KMALLOC_MAX_SIZE, refuse } from './checks.ts';
import {
  type BatchRead,
  BpfMap,
  errno,
  type MapElement,
  type MapShape,
  type NativeOperations,
  narrow,
  roundUp8,
  type Status,
  type SysValue,
} from './map.ts';

const F = MAP_CREATE_FLAGS;
/** Bytes of `struct bpf_lpm_trie_key` before the data: the prefix's length in bits. */
const HEADER = LPM_KEY_DATA;
const MAX_DATA = 256;
/** `sizeof(struct lpm_trie_node)`. */
const NODE_SIZE = 40;

export const checkLpmTrie: Check = (shape) =>
  first(
    checkNonZero(shape, 'maxEntries', 'valueSize'),
    (shape.flags & F.BPF_F_NO_PREALLOC) === 0
      ? refuse('EINVAL', 'an lpm_trie map must be created with BPF_F_NO_PREALLOC')
      : undefined,
    checkFlags(shape),
    shape.keySize <= HEADER || shape.keySize > HEADER + MAX_DATA
      ? refuse('EINVAL', `an lpm_trie's key has 4 bytes of prefix length and 1 to ${MAX_DATA} of data`)
      : undefined,
    shape.valueSize > KMALLOC_MAX_SIZE - MAX_DATA - NODE_SIZE
      ? refuse('EINVAL', `a value of ${shape.valueSize} bytes exceeds 4 MiB`)
      : undefined,
  );

/** Bytes of the first nodes that a trie takes, and most that it takes at once. */
const FIRST_CHUNK = 4096;
const LARGEST_CHUNK = 1 << 20;
/** Removed nodes that are kept, and as many for threads that are at it. */
const REMOVED = 256;
/** Nodes that an update may need. */
const LEAST_NODES = 2;
/** Nodes from which on lookups have an index: before, the trie is not deep, and writing the index would cost more. */
const INDEXED = 512;
/** Bytes of a key's data that a node has in a word of its own. */
const WORD = 4;

/** The longest prefix that matches: a trie that WebAssembly keeps in the kernel's memory (`wasm/assembly/lpm.ts`). */
export class LpmTrieMap extends BpfMap {
  readonly #functions: KernelFunctions;
  readonly #nodes: Mapping;
  readonly #stride: number;
  readonly #blocks: Addr[] = [];
  /** Nodes that there is memory for. */
  #capacity = 0;
  #indexed = false;
  /** A key's worth of memory, for the walk over all keys. */
  readonly #next: Addr;
  override readonly batches = { lookup: true, update: true, delete: true } as const;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    const { memory } = machine;
    const dataSize = shape.keySize - HEADER;
    const valueOffset = LPM_DATA + (dataSize > WORD ? roundUp8(dataSize) : 0);
    this.#functions = memory.native.functions;
    this.#stride = valueOffset + roundUp8(shape.valueSize);
    this.#nodes = {
      kind: 'map_value',
      owner: this.label,
      access: this.valueAccess,
      cells: { stride: this.#stride, offset: valueOffset, size: shape.valueSize },
    };
    this.#next = memory.allocate(shape.keySize, {
      kind: 'map_value',
      owner: `${this.label}: key`,
      access: 'r',
    });
    const words: readonly [offset: number, value: number][] = [
      [LPM_MAX_ENTRIES, shape.maxEntries],
      [LPM_DATA_SIZE, dataSize],
      [LPM_VALUE_SIZE, shape.valueSize],
      [LPM_VALUE_OFFSET, valueOffset],
      [LPM_STRIDE, this.#stride],
    ];
    for (const [offset, value] of words) memory.writeU32(this.addr + offset, value);
    memory.native.hooks.set(this.addr, { grow: () => this.#grow() });
  }

  protected override get headerSize(): number {
    return LPM_HEADER;
  }

  override get native(): NativeOperations {
    return {
      lookup: { name: this.shape.keySize === HEADER + WORD ? 'lpm_lookup4' : 'lpm_lookup' },
      update: { name: 'lpm_update' },
      delete: { name: 'lpm_delete' },
    };
  }

  /** Takes memory for more nodes: about half as many as there are. @returns false when there is none */
  #grow(): boolean {
    const { memory } = this.machine;
    const wanted = Math.max(Math.floor(FIRST_CHUNK / this.#stride), this.#capacity >> 1);
    const most = Math.max(Math.floor(LARGEST_CHUNK / this.#stride), LEAST_NODES);
    for (let count = Math.max(Math.min(wanted, most), LEAST_NODES); count >= LEAST_NODES; count >>= 1) {
      const block = memory.tryAllocate(count * this.#stride, this.#nodes);
      if (block === NULL) continue;
      this.#add(block, count);
      return true;
    }
    return false;
  }

  /** Nodes for all prefixes, for where they part, and for those that are kept as they were. */
  override share(): string | undefined {
    const missing = 2 * this.shape.maxEntries + REMOVED + LEAST_NODES - this.#capacity;
    if (missing <= 0) return undefined;
    const block = this.machine.memory.tryAllocate(missing * this.#stride, this.#nodes);
    if (block === NULL) return `there is no memory for its ${this.shape.maxEntries} prefixes`;
    this.#add(block, missing);
    return undefined;
  }

  #add(block: Addr, count: number): void {
    this.#blocks.push(block);
    this.#capacity += count;
    this.#functions.lpm_add(this.addr, block, count);
    if (this.#capacity >= INDEXED) this.#index();
  }

  /** Lookups then begin some way down. */
  #index(): void {
    if (this.#indexed) return;
    const { memory } = this.machine;
    const index = memory.tryAllocate(INDEX_SIZE, { kind: 'kernel', owner: this.label, access: 'none' });
    if (index === NULL) return;
    this.#indexed = true;
    this.#blocks.push(index);
    this.#functions.lpm_index(this.addr, index);
  }

  lookup(key: Addr): Addr {
    return (this.#functions.lpm_lookup(this.addr, key) >>> 0) as Addr;
  }

  update(key: Addr, value: Addr, flags: number): Status {
    return this.#functions.lpm_put(this.addr, key, value, narrow(flags));
  }

  delete(key: Addr): Status {
    return this.#functions.lpm_delete(this.addr, key);
  }

  /** What is inside a prefix comes before it, as Linux walks its trie. */
  nextKey(key: Uint8Array | undefined): SysValue {
    const from = key ? this.keyIn(key) : NULL;
    if (this.#functions.lpm_next(this.addr, from, this.#next) === 0) return errno('ENOENT');
    return this.machine.memory.read(this.#next, this.shape.keySize);
  }

  override batchRead(cursor: Uint8Array | undefined, count: number): BatchRead {
    return genericBatchRead(this, cursor, count);
  }

  /** The key's place is the same for all. */
  override *elements(): Iterable<MapElement> {
    for (let from: Addr = NULL; this.#functions.lpm_next(this.addr, from, this.#next) !== 0; ) {
      const value = this.lookup(this.#next);
      if (value !== NULL) yield { key: this.#next, value };
      from = this.#next;
    }
  }

  override destroy(): void {
    const { memory } = this.machine;
    memory.native.hooks.delete(this.addr);
    for (const block of this.#blocks) memory.free(block);
    memory.free(this.#next);
    super.destroy();
  }
}
