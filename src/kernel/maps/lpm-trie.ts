import { MAP_CREATE_FLAGS, MAP_UPDATE_FLAGS } from '../../sys/flags.ts';
import { type Addr, NULL } from '../memory/index.ts';
import { genericBatchRead } from './batch.ts';
import { type Check, checkFlags, checkNonZero, first, KMALLOC_MAX_SIZE, refuse } from './checks.ts';
import { type BatchRead, BpfMap, errno, type MapElement, type Status, type SysValue } from './map.ts';

const F = MAP_CREATE_FLAGS;
/** Bytes of `struct bpf_lpm_trie_key` before the data: the prefix's length in bits. */
const HEADER = 4;
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

interface Prefix {
  readonly bits: number;
  readonly data: Uint8Array;
  readonly key: Addr;
  value: Addr;
}

/** The longest prefix that matches. Keys are walked as Linux walks its trie: what is inside a prefix before it. */
export class LpmTrieMap extends BpfMap {
  /** By the masked data and the length. */
  readonly #prefixes = new Map<string, Prefix>();
  /** How many prefixes there are of each length. */
  readonly #lengths = new Map<number, number>();
  /** All prefixes in the order of a walk, until one is added or removed. */
  #walk: Prefix[] | undefined;
  override readonly batches = { lookup: true, update: true, delete: true } as const;

  get #maxBits(): number {
    return (this.shape.keySize - HEADER) * 8;
  }

  #read(key: Addr): { bits: number; data: Uint8Array } {
    const { memory } = this.machine;
    return {
      bits: memory.readU32(key),
      data: memory.read((key + HEADER) as Addr, this.shape.keySize - HEADER),
    };
  }

  #exact(key: Addr): Prefix | undefined {
    const { bits, data } = this.#read(key);
    return bits > this.#maxBits ? undefined : this.#prefixes.get(name(bits, data));
  }

  lookup(key: Addr): Addr {
    const { bits, data } = this.#read(key);
    if (bits > this.#maxBits) return NULL;
    for (const length of [...this.#lengths.keys()].sort((a, b) => b - a)) {
      const prefix = length <= bits ? this.#prefixes.get(name(length, data)) : undefined;
      if (prefix) return prefix.value;
    }
    return NULL;
  }

  update(key: Addr, value: Addr, flags: number): Status {
    if (flags > MAP_UPDATE_FLAGS.BPF_EXIST) return errno('EINVAL');
    const { memory } = this.machine;
    const { bits, data } = this.#read(key);
    if (bits > this.#maxBits) return errno('EINVAL');
    const old = this.#exact(key);
    if (old && flags === MAP_UPDATE_FLAGS.BPF_NOEXIST) return errno('EEXIST');
    if (!old && flags === MAP_UPDATE_FLAGS.BPF_EXIST) return errno('ENOENT');
    if (!old && this.#prefixes.size >= this.shape.maxEntries) return errno('ENOSPC');
    const owner = this.label;
    const place = memory.tryAllocate(this.shape.valueSize, {
      kind: 'map_value',
      owner,
      access: this.valueAccess,
    });
    if (place === NULL) return errno('ENOMEM');
    memory.copy(place, value, this.shape.valueSize);
    if (old) this.#discard(old);
    const keyPlace = memory.allocate(this.shape.keySize, {
      kind: 'map_value',
      owner: `${owner}: key`,
      access: 'r',
    });
    memory.copy(keyPlace, key, this.shape.keySize);
    this.#prefixes.set(name(bits, data), { bits, data, key: keyPlace, value: place });
    this.#lengths.set(bits, (this.#lengths.get(bits) ?? 0) + 1);
    this.#walk = undefined;
    return 0;
  }

  delete(key: Addr): Status {
    if (this.machine.memory.readU32(key) > this.#maxBits) return errno('EINVAL');
    const prefix = this.#exact(key);
    if (!prefix) return errno('ENOENT');
    this.#discard(prefix);
    return 0;
  }

  #discard(prefix: Prefix): void {
    const { grace, memory } = this.machine;
    this.#prefixes.delete(name(prefix.bits, prefix.data));
    const left = this.#lengths.get(prefix.bits)! - 1;
    if (left === 0) this.#lengths.delete(prefix.bits);
    else this.#lengths.set(prefix.bits, left);
    this.#walk = undefined;
    grace.after(() => {
      memory.free(prefix.key);
      memory.free(prefix.value);
    });
  }

  #walked(): Prefix[] {
    this.#walk ??= [...this.#prefixes.values()].sort(inWalkOrder);
    return this.#walk;
  }

  nextKey(key: Uint8Array | undefined): SysValue {
    const walk = this.#walked();
    const prefix = key && this.#exact(this.keyIn(key));
    const next = walk[prefix ? walk.indexOf(prefix) + 1 : 0];
    return next ? this.machine.memory.read(next.key, this.shape.keySize) : errno('ENOENT');
  }

  override batchRead(cursor: Uint8Array | undefined, count: number): BatchRead {
    return genericBatchRead(this, cursor, count);
  }

  override *elements(): Iterable<MapElement> {
    for (const { key, value } of [...this.#walked()]) yield { key, value };
  }

  override destroy(): void {
    for (const prefix of [...this.#prefixes.values()]) this.#discard(prefix);
    super.destroy();
  }
}

function bit(data: Uint8Array, n: number): number {
  return (data[n >> 3]! >> (7 - (n & 7))) & 1;
}

/** What identifies a prefix: its length and its data without the bits behind it. */
function name(bits: number, data: Uint8Array): string {
  const whole = bits >> 3;
  const rest = bits & 7;
  let text = String.fromCharCode(bits, ...data.subarray(0, whole));
  if (rest > 0) text += String.fromCharCode(data[whole]! & (0xff00 >> rest) & 0xff);
  return text;
}

/** Left before right, and what is inside a prefix before it. */
function inWalkOrder(a: Prefix, b: Prefix): number {
  const common = Math.min(a.bits, b.bits);
  for (let n = 0; n < common; n++) {
    const difference = bit(a.data, n) - bit(b.data, n);
    if (difference !== 0) return difference;
  }
  return b.bits - a.bits;
}
