import { MAP_CREATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, at, NULL } from '../memory/index.ts';
import type { Machine } from '../objects/machine.ts';
import {
  type Check,
  checkFlags,
  checkKeySize,
  checkNonZero,
  first,
  KMALLOC_MAX_SIZE,
  refuse,
} from './checks.ts';
import { jhash } from './jhash.ts';
import { BpfMap, errno, type MapShape, type Status, type SysValue } from './map.ts';

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

/** A set of values that can say "not in it" and "perhaps in it". */
export class BloomFilterMap extends BpfMap {
  readonly #hashes: number;
  /** A power of two. */
  readonly #bits: number;
  readonly #set: Addr;
  readonly #seed: number;

  constructor(machine: Machine, shape: MapShape) {
    super(machine, shape);
    this.#hashes = Number(shape.extra) || DEFAULT_HASHES;
    this.#bits = bitsFor(shape.maxEntries, this.#hashes);
    this.#seed = shape.flags & MAP_CREATE_FLAGS.BPF_F_ZERO_SEED ? 0 : machine.random();
    const mapping = { kind: 'kernel', owner: this.label, access: 'none' } as const;
    this.#set = machine.memory.allocate(this.#bits / 8, mapping);
  }

  /** Byte and bit that the `n`th hash function points to. */
  #place(value: Addr, n: number): readonly [Addr, number] {
    const hash = jhash(this.machine.memory.view, value, this.shape.valueSize, (this.#seed + n) >>> 0);
    const bit = (hash & (this.#bits - 1)) >>> 0;
    return [at(this.#set, Math.floor(bit / 8)), 1 << (bit & 7)];
  }

  override push(value: Addr, flags: number): Status {
    if (flags !== 0) return errno('EINVAL');
    const { u8 } = this.machine.memory;
    for (let n = 0; n < this.#hashes; n++) {
      const [byte, bit] = this.#place(value, n);
      u8[byte]! |= bit;
    }
    return 0;
  }

  override peek(value: Addr): Status {
    const { u8 } = this.machine.memory;
    for (let n = 0; n < this.#hashes; n++) {
      const [byte, bit] = this.#place(value, n);
      if ((u8[byte]! & bit) === 0) return errno('ENOENT');
    }
    return 0;
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
