import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import {
  BLOOM_HASHES,
  BLOOM_HEADER,
  BLOOM_MASK,
  BLOOM_SEED,
  BLOOM_SET,
  BLOOM_VALUE_SIZE,
} from '../wasm/assembly/queue-layout.ts';
import type { KernelFunctions } from '../wasm/native.ts';
import {
  type Check,
  checkFlags,
  checkKeySize,
  checkNonZero,
  first,
  KMALLOC_MAX_SIZE,
  refuse,
} from './checks.ts';
import { BpfMap, errno, type MapShape, type NativeOperations, type Status, type SysValue } from './map.ts';

const DEFAULT_HASHES = 5;
const MOST_HASHES = 15n;
const MOST_BITS = 2 ** 32;

export const checkBloomFilter: Check = (shape) =>
  first(
    checkNonZero(shape, 'valueSize', 'maxEntries'),
    checkKeySize(shape, 0),
    checkFlags(shape),
    shape.extra > MOST_HASHES
      ? refuse('EINVAL', `map_extra is the number of hash functions, at most ${MOST_HASHES}`)
      : undefined,
    shape.valueSize > KMALLOC_MAX_SIZE
      ? refuse('E2BIG', `a value of ${shape.valueSize} bytes exceeds 4 MiB`)
      : undefined,
  );

/** A set of values that can say "not in it" and "perhaps in it"; WebAssembly keeps it (`wasm/assembly/bloom.ts`). */
export class BloomFilterMap extends BpfMap {
  readonly #set: Addr;
  readonly #functions: KernelFunctions;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    const { memory } = machine;
    const hashes = Number(shape.extra) || DEFAULT_HASHES;
    const bits = bitsFor(shape.maxEntries, hashes);
    this.#functions = memory.native.functions;
    this.#set = memory.allocate(bits / 8, { kind: 'kernel', owner: this.label, access: 'none' });
    memory.writeU32(this.addr + BLOOM_SET, this.#set);
    memory.writeU32(this.addr + BLOOM_MASK, bits - 1);
    memory.writeU32(this.addr + BLOOM_HASHES, hashes);
    const seed = shape.flags & MAP_CREATE_FLAGS.BPF_F_ZERO_SEED ? 0 : machine.random();
    memory.writeU32(this.addr + BLOOM_SEED, seed);
    memory.writeU32(this.addr + BLOOM_VALUE_SIZE, shape.valueSize);
  }

  protected override get headerSize(): number {
    return BLOOM_HEADER;
  }

  override get native(): NativeOperations {
    return { push: { name: 'bloom_push' }, peek: { name: 'bloom_peek' } };
  }

  override push(value: Addr, flags: number): Status {
    return this.#functions.bloom_push(this.addr, value, BigInt(flags));
  }

  override peek(value: Addr): Status {
    return this.#functions.bloom_peek(this.addr, value);
  }

  override pop(_value: Addr): Status {
    return errno('EOPNOTSUPP');
  }
  lookup(_key: Addr): Addr {
    return NULL;
  }
  update(_key: Addr, _value: Addr, _flags: number): Status {
    return errno('EINVAL');
  }
  delete(_key: Addr): Status {
    return errno('EOPNOTSUPP');
  }
  nextKey(): SysValue {
    return errno('EOPNOTSUPP');
  }

  /** @param asked the value that is asked for, in place of a key */
  override sysLookup(_key: Uint8Array, _flags: number, asked?: Uint8Array): SysValue {
    const value = new Uint8Array(this.shape.valueSize);
    if (asked) value.set(asked.subarray(0, value.length));
    const status = this.peek(this.valueIn(value));
    return status === 0 ? value : status;
  }

  override sysUpdate(_key: Uint8Array, value: Uint8Array, flags: number): Status {
    return this.push(this.valueIn(value), flags);
  }

  override destroy(): void {
    this.machine.memory.free(this.#set);
    super.destroy();
  }
}

/** Bits for a number of values: 7/5 of a bit for each and each hash function (7/5 is about 1 / ln 2), rounded up to a power of two. */
function bitsFor(values: number, hashes: number): number {
  const product = values * hashes;
  const bits = Math.floor(product / 5) * 7;
  if (product >= MOST_BITS || bits > MOST_BITS / 2) return MOST_BITS;
  return bits <= 64 ? 64 : 2 ** Math.ceil(Math.log2(bits));
}
