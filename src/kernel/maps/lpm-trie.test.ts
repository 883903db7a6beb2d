import { describe, expect, it } from 'vitest';
import { type Addr, Memory, NULL } from '../memory/index.ts';
import { Grace, SimulatedClock, seededRandom } from '../objects/machine.ts';
import { LpmTrieMap } from './lpm-trie.ts';

const BPF_ANY = 0;
const BPF_NOEXIST = 1;
const BPF_EXIST = 2;
const [ENOENT, EEXIST, EINVAL, ENOSPC] = [-2, -17, -22, -28];

interface Prefix {
  readonly key: Uint8Array;
  readonly bits: number;
  value: number;
}

const bit = (key: Uint8Array, n: number): number => (key[4 + (n >> 3)]! >> (7 - (n & 7))) & 1;
const inside = (key: Uint8Array, { bits, key: prefix }: Prefix): boolean => {
  for (let n = 0; n < bits; n++) if (bit(key, n) !== bit(prefix, n)) return false;
  return true;
};

/** Prefixes in a list, searched from end to end. */
class Model {
  readonly prefixes: Prefix[] = [];

  exact(key: Uint8Array, bits: number): Prefix | undefined {
    return this.prefixes.find((prefix) => prefix.bits === bits && inside(key, prefix));
  }

  lookup(key: Uint8Array, bits: number): Prefix | undefined {
    let best: Prefix | undefined;
    for (const prefix of this.prefixes) {
      if (prefix.bits <= bits && prefix.bits >= (best?.bits ?? 0) && inside(key, prefix)) best = prefix;
    }
    return best;
  }

  /** Left before right, and what is inside a prefix before it. */
  walk(): Prefix[] {
    return this.prefixes.toSorted((a, b) => {
      for (let n = 0; n < Math.min(a.bits, b.bits); n++) {
        if (bit(a.key, n) !== bit(b.key, n)) return bit(a.key, n) - bit(b.key, n);
      }
      return b.bits - a.bits;
    });
  }
}

describe.each([false, true])('LpmTrieMap, shared memory: %s', (shared) => {
  it.each([
    [1, 100, 400],
    [4, 1000, 6000],
    [7, 300, 2500],
    [16, 700, 4000],
  ])('finds what a search through a list finds: %i bytes, %i entries', (size, maxEntries, steps) => {
    const memory = new Memory({ shared });
    const before = memory.use;
    const random = seededRandom(size);
    const below = (n: number) => random() % n;
    const machine = {
      memory,
      cpus: 1,
      cpu: 0,
      clock: new SimulatedClock(),
      random,
      grace: new Grace(),
      trace: () => {},
    };
    const map = new LpmTrieMap(machine, {
      type: 'lpm_trie',
      name: 'trie',
      keySize: 4 + size,
      valueSize: 4,
      maxEntries,
      flags: 1,
      extra: 0n,
    });
    const model = new Model();
    const place = memory.allocate(4 + size, { kind: 'mem', owner: 'test', access: 'rw' });
    const value = memory.allocate(4, { kind: 'mem', owner: 'test', access: 'rw' });
    const anyKey = () => {
      const key = Uint8Array.from({ length: 4 + size }, () => [0, 10, 192, 255, below(256)][below(5)]!);
      const bits = below(40) === 0 ? size * 8 + 1 : below(size * 8 + 1);
      new DataView(key.buffer).setUint32(0, bits, true);
      memory.write(place, key);
      return { key, bits };
    };
    const found = (addr: Addr) => (addr === NULL ? undefined : memory.readU32(addr));
    for (let step = 0; step < steps; step++) {
      const { key, bits } = anyKey();
      const valid = bits <= size * 8;
      const old = valid ? model.exact(key, bits) : undefined;
      const action = below(10);
      if (action < 5) {
        memory.writeU32(value, step);
        const flags = [BPF_ANY, BPF_ANY, BPF_ANY, BPF_NOEXIST, BPF_EXIST, 3][below(6)]!;
        let status = 0;
        if (flags > BPF_EXIST || !valid) status = EINVAL;
        else if (old && flags === BPF_NOEXIST) status = EEXIST;
        else if (!old && flags === BPF_EXIST) status = ENOENT;
        else if (!old && model.prefixes.length === maxEntries) status = ENOSPC;
        expect(map.update(place, value, flags)).toBe(status);
        if (status === 0) {
          if (old) model.prefixes.splice(model.prefixes.indexOf(old), 1);
          model.prefixes.push({ key, bits, value: step });
        }
      } else if (action < 7) {
        // Mostly one that is there.
        const there = model.prefixes[below(model.prefixes.length + 1)];
        if (there) memory.write(place, there.key);
        const gone = there ?? old;
        expect(map.delete(place)).toBe(gone ? 0 : valid ? ENOENT : EINVAL);
        if (gone) model.prefixes.splice(model.prefixes.indexOf(gone), 1);
      } else {
        expect(found(map.lookup(place))).toBe(valid ? model.lookup(key, bits)?.value : undefined);
      }
      if (step % 500 !== 0) continue;
      const keys: string[] = [];
      for (let key = map.nextKey(undefined); typeof key !== 'number'; key = map.nextKey(key)) {
        keys.push(key.toString());
      }
      expect(keys).toEqual(model.walk().map((prefix) => prefix.key.toString()));
    }
    expect(model.prefixes.length).toBeGreaterThan(maxEntries / 10);
    memory.free(place);
    memory.free(value);
    map.destroy();
    expect(memory.use).toEqual(before);
  });
});
