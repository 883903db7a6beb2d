/** Several threads work on the same maps over shared memory; then a checker walks what they left. */
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { type HashBase, HashMap, PercpuHashMap } from '../../src/kernel/maps/hash.ts';
import { LruHashMap } from '../../src/kernel/maps/lru-hash.ts';
import type { MapShape } from '../../src/kernel/maps/map.ts';
import { Memory } from '../../src/kernel/memory/index.ts';
import { Grace, type Machine, SimulatedClock, seededRandom } from '../../src/kernel/objects/machine.ts';
import { SHARED } from '../../src/kernel/wasm/generated.ts';
import { hashFaults } from './hash-invariants.ts';

const CPUS = 4;
const LOCKED_ROUNDS = 20_000;
const NO_PREALLOC = 1;
const NO_COMMON_LRU = 2;
const ZERO_SEED = 64;

interface Storm {
  readonly name: string;
  readonly shape: Partial<MapShape> & Pick<MapShape, 'type'>;
  /** Keys below this are never deleted and count what was added to them. */
  readonly kept: number;
  readonly keys: number;
}

const STORMS: readonly Storm[] = [
  { name: 'hash', shape: { type: 'hash', maxEntries: 64 }, kept: 8, keys: 80 },
  { name: 'hash of 16 bytes', shape: { type: 'hash', keySize: 16, maxEntries: 256 }, kept: 8, keys: 200 },
  { name: 'hash of 20 bytes', shape: { type: 'hash', keySize: 20, maxEntries: 32 }, kept: 4, keys: 40 },
  { name: 'slab hash', shape: { type: 'hash', flags: NO_PREALLOC, maxEntries: 64 }, kept: 8, keys: 80 },
  { name: 'percpu hash', shape: { type: 'percpu_hash', maxEntries: 64 }, kept: 8, keys: 80 },
  {
    name: 'slab percpu hash',
    shape: { type: 'percpu_hash', flags: NO_PREALLOC, maxEntries: 64 },
    kept: 8,
    keys: 80,
  },
  { name: 'lru', shape: { type: 'lru_hash', maxEntries: 64 }, kept: 0, keys: 150 },
  { name: 'large lru', shape: { type: 'lru_hash', maxEntries: 2000 }, kept: 0, keys: 5000 },
  {
    name: 'split lru',
    shape: { type: 'lru_hash', flags: NO_COMMON_LRU, maxEntries: 64 },
    kept: 0,
    keys: 150,
  },
  { name: 'percpu lru', shape: { type: 'lru_percpu_hash', maxEntries: 64 }, kept: 0, keys: 150 },
];

/** Long chains that change all the time: who looks through one is led to others. */
const CROWDED: Storm = {
  name: 'crowded',
  shape: { type: 'hash', flags: ZERO_SEED, maxEntries: 16 },
  kept: 8,
  keys: 20,
};

interface Report {
  readonly problems: readonly string[];
  readonly added: number;
  readonly inserted: number;
  readonly removed: number;
  readonly found: number;
}

function sharedMachine(): Machine {
  return {
    memory: new Memory({ shared: true, limit: 64 << 20 }),
    cpus: CPUS,
    cpu: 0,
    clock: new SimulatedClock(),
    random: seededRandom(7),
    grace: new Grace(),
    trace: () => {},
  };
}

function create(machine: Machine, { name, shape }: Storm): HashBase {
  const full: MapShape = { name, keySize: 4, valueSize: 8, maxEntries: 64, flags: 0, extra: 0n, ...shape };
  if (full.type === 'hash') return new HashMap(machine, full);
  if (full.type === 'percpu_hash') return new PercpuHashMap(machine, full);
  return new LruHashMap(machine, full);
}

function keyBytes(number: number, size: number): Uint8Array {
  const words = new Uint32Array(size / 4).map((_, i) => (i === 0 ? number : 4 * i));
  return new Uint8Array(words.buffer);
}

function moduleFor(base64: string): object {
  const { Module } = (globalThis as unknown as { WebAssembly: { Module: new (bytes: Uint8Array) => object } })
    .WebAssembly;
  return new Module(Buffer.from(base64, 'base64'));
}

const CASES = [
  { what: 'maps of all kinds', storms: STORMS, rounds: 150_000 },
  { what: 'a crowded map', storms: [CROWDED], rounds: 1_000_000 },
];

describe(`in a storm of ${CPUS} threads and user space`, () => {
  it.each(CASES)(
    '$what keep their invariants, find what is never deleted and lose no count',
    async (storm) => {
      const { storms, rounds } = storm;
      const machine = sharedMachine();
      const { memory } = machine;
      const maps = storms.map((one) => {
        const map = create(machine, one);
        for (let n = 0; n < one.kept; n++)
          map.sysUpdate(keyBytes(n, map.shape.keySize), new Uint8Array(map.sysValueSize), 0);
        expect(map.share()).toBeUndefined();
        return { ...one, map };
      });
      const room = memory.allocate(64 * (CPUS + 1), { kind: 'mem', owner: 'test', access: 'rw' });
      const counters = (room + 64 * CPUS) as typeof room;
      const module = moduleFor(SHARED);
      let running = CPUS;
      const reports = Array.from({ length: CPUS }, (_, cpu) => {
        const worker = new Worker(new URL('./storm-worker.mjs', import.meta.url), {
          workerData: {
            module,
            memory: memory.wasm,
            cpu,
            rounds,
            seed: cpu + 1,
            key: room + 64 * cpu,
            value: room + 64 * cpu + 32,
            counters,
            maps: maps.map(({ map, name, kept, keys }) => ({
              address: map.addr,
              keySize: map.shape.keySize,
              percpu: map.shape.type.includes('percpu'),
              kind: map instanceof LruHashMap ? 'lru' : 'hash',
              name,
              kept,
              keys,
            })),
          },
        });
        return new Promise<Report>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        }).finally(() => {
          running--;
          return worker.terminate();
        });
      });
      const random = seededRandom(99);
      let seen = 0;
      while (running > 0) {
        // User space, meanwhile.
        for (let i = 0; i < 200; i++) {
          const { map, kept, keys } = maps[random() % maps.length]!;
          const number = kept + (random() % (keys - kept));
          const key = keyBytes(number, map.shape.keySize);
          const action = random() % 10;
          if (action < 3) map.sysUpdate(key, new Uint8Array(map.sysValueSize), random() % 3);
          else if (action < 5) map.sysDelete(key);
          else if (action < 7) map.sysLookupAndDelete(key, 0);
          else if (action < 9) map.nextKey(key);
          else seen += map.batchRead(undefined, 4, false, 0).count;
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      const answers = await Promise.all(reports);
      expect(answers.flatMap(({ problems }) => problems)).toEqual([]);
      expect(maps.flatMap(({ map }) => hashFaults(map))).toEqual([]);
      let sum = 0;
      for (const { map, kept } of maps) {
        for (let n = 0; n < kept; n++) {
          const value = map.sysLookup(keyBytes(n, map.shape.keySize), 0) as Uint8Array<ArrayBuffer>;
          for (const part of new BigUint64Array(value.buffer)) sum += Number(part);
        }
      }
      expect(sum).toBe(answers.reduce((total, { added }) => total + added, 0));
      expect(memory.readU32(counters + 4)).toBe(CPUS * LOCKED_ROUNDS);
      for (const what of ['added', 'inserted', 'removed', 'found'] as const)
        expect(answers.every((answer) => answer[what] > 0)).toBe(true);
      expect(seen).toBeGreaterThan(0);
      memory.free(room);
      for (const { map } of maps) map.destroy();
      expect(memory.use.blocks).toBe(0);
    },
  );
});
