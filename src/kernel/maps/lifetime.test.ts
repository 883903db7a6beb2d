/** What maps hold ends with them, and what only programs can put in. */
import { describe, expect, it } from 'vitest';
import { Memory, NULL } from '../memory/index.ts';
import { Grace, SimulatedClock } from '../objects/machine.ts';
import { LocalStorageMap } from './local-storage.ts';
import { LruHashMap } from './lru-hash.ts';
import type { MapHost, MapShape } from './map.ts';
import { StackTraceMap } from './stack-trace.ts';

function host(): MapHost & { released: number[] } {
  const released: number[] = [];
  return {
    memory: new Memory(),
    cpus: 2,
    cpu: 0,
    clock: new SimulatedClock(),
    random: () => 0,
    grace: new Grace(),
    trace: () => {},
    objectAt: () => undefined,
    mapAt: () => undefined,
    hasDevice: () => false,
    fieldReleases: () => ({ timer: (field) => released.push(field) }),
    released,
  };
}

const shape = (over: Partial<MapShape>): MapShape => ({
  type: 'hash',
  name: '',
  keySize: 4,
  valueSize: 32,
  maxEntries: 4,
  flags: 0,
  extra: 0n,
  ...over,
});

describe('StackTraceMap', () => {
  it('gives equal stacks one id, and keeps or replaces what is in their place', () => {
    const map = new StackTraceMap(host(), shape({ type: 'stack_trace', maxEntries: 1 }));
    const id = map.remember([1n, 2n, 3n, 4n, 5n], 0n);
    expect(id).toBe(0);
    expect(map.remember([1n, 2n, 3n, 4n], 0n)).toBe(id);
    expect(map.remember([9n, 1n, 2n, 3n, 4n], 1n)).toBe(id);
    expect(map.remember([7n], 0n)).toBe(-17);
    expect(map.remember([7n], 1n << 10n)).toBe(id);
    expect(map.sysLookup(new Uint8Array(4), 0)).toEqual(
      new Uint8Array(new BigUint64Array([7n, 0n, 0n, 0n]).buffer),
    );
    expect(map.remember([7n], 1n)).toBe(-14);
    expect(map.remember([7n], 1n << 11n)).toBe(-22);
    map.destroy();
    expect(map.machine.memory.use.blocks).toBe(0);
  });
});

describe('LocalStorageMap', () => {
  it('has a value for each owner, made when asked for', () => {
    const map = new LocalStorageMap(host(), shape({ type: 'task_storage', maxEntries: 0, flags: 1 }));
    const { memory } = map.machine;
    const initial = memory.allocate(32, { kind: 'mem', owner: 'test', access: 'rw' });
    memory.fill(initial, 32, 7);
    expect([map.get(0x4000, NULL, 0n), map.get(0, NULL, 1n), map.get(0x4000, NULL, 2n)]).toEqual([0, 0, 0]);
    const value = map.get(0x4000, initial, 1n);
    expect(memory.read(value, 32)).toEqual(new Uint8Array(32).fill(7));
    expect(map.get(0x4000, NULL, 0n)).toBe(value);
    expect(map.get(0x5000, NULL, 1n)).not.toBe(value);
    expect([map.forget(0x5000), map.forget(0x5000), map.forget(0)]).toEqual([0, -2, -22]);
    memory.free(initial);
    map.destroy();
    expect(memory.use.blocks).toBe(0);
  });
});

describe('special fields', () => {
  it('are let go when a value is replaced, dropped for another, deleted, or ends with its map', () => {
    const machine = host();
    const fields = [{ kind: 'timer', offset: 8, size: 16 }] as const;
    const map = new LruHashMap(machine, shape({ type: 'lru_hash', maxEntries: 2, fields }));
    const { memory } = machine;
    const key = memory.allocate(4, { kind: 'mem', owner: 'test', access: 'rw' });
    const value = memory.allocate(32, { kind: 'mem', owner: 'test', access: 'rw' });
    const put = (n: number) => {
      memory.writeU32(key, n);
      expect(map.update(key, value, 0)).toBe(0);
      memory.writeU64(map.lookup(key) + 8, 0xabcn);
    };
    put(1);
    expect(machine.released).toHaveLength(0);
    put(1);
    expect(machine.released).toHaveLength(1);
    put(2);
    put(3);
    expect(machine.released).toHaveLength(2);
    memory.writeU32(key, 3);
    expect(map.delete(key)).toBe(0);
    expect(machine.released).toHaveLength(3);
    map.destroy();
    expect(machine.released).toHaveLength(4);
    memory.free(key);
    memory.free(value);
    expect(memory.use.blocks).toBe(0);
  });
});
