/** The functions in WebAssembly against the same in TypeScript, and operations on maps that only the run knows. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { csum_diff } from '../helpers/impl/checksum.ts';
import type { HelperRun } from '../interpreter/environment.ts';
import { jhashBytes } from '../maps/jhash.ts';
import { Memory } from '../memory/index.ts';

describe('functions in WebAssembly', () => {
  const memory = new Memory();
  const { functions } = memory.native;
  const room = memory.allocate(512, { kind: 'mem', owner: 'test', access: 'rw' });
  const run = { machine: { memory } } as unknown as HelperRun;

  it('hash as TypeScript does', () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(bytes, fc.nat(), (key, seed) => {
        memory.write(room, key);
        expect(functions.jhash(room, key.length, seed) >>> 0).toBe(jhashBytes(key, seed));
      }),
    );
  });

  it('sum as TypeScript does', () => {
    const bytes = fc.uint8Array({ maxLength: 48 });
    fc.assert(
      fc.property(bytes, bytes, fc.integer({ min: 0, max: 0xffff_ffff }), (from, to, seed) => {
        memory.write(room, from);
        const second = (room + 64) as typeof room;
        memory.write(second, to);
        const [n, m] = [from.length, to.length];
        const args = [room, n, second, m, seed].map(BigInt) as [bigint, bigint, bigint, bigint, bigint];
        const expected = csum_diff(run, ...args) as number;
        expect(functions.csum_diff(room, n, second, m, seed) >>> 0).toBe(expected);
      }),
    );
  });

  it('ask the host about maps that are not kept here', () => {
    const map = memory.allocate(64, { kind: 'map', owner: 'test', access: 'none' });
    const asked: unknown[] = [];
    memory.native.mapAt = (at) => {
      asked.push(at);
      return {
        lookup: (key) => key,
        update: (key, value, flags) => -(key - room + value - room + flags),
        delete: () => -2,
      };
    };
    expect(functions.any_lookup(map, room, 0)).toBe(room);
    expect(functions.any_update(map, room + 8, room + 16, 1n, 0)).toBe(-25);
    expect(functions.any_delete(map, room, 0)).toBe(-2);
    expect(asked).toEqual([map, map, map]);
  });
});
