import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Addr, NULL } from './addr.ts';
import { Memory } from './memory.ts';
import type { Mapping } from './region.ts';

const scratch: Mapping = { kind: 'mem', owner: 'test', access: 'rw' };

describe('Memory', () => {
  it('never maps page 0', () => {
    const memory = new Memory();
    expect(memory.allocate(8, scratch)).toBeGreaterThanOrEqual(4096);
    expect(memory.region(0)).toBeUndefined();
    expect(memory.fault(8, 4, false)?.problem).toContain('null pointer');
  });

  it('bounds an access by its block, and by its cell where the block has cells', () => {
    const memory = new Memory();
    const block = memory.allocate(20, scratch);
    expect(memory.fault(block + 16, 4, true)).toBeUndefined();
    expect(memory.fault(block + 17, 4, true)?.problem).toContain('offset 17 of 20');
    const values = memory.allocate(4800, {
      kind: 'map_value',
      owner: 'map m',
      access: 'r',
      cells: { stride: 48, offset: 16, size: 30 },
    });
    expect(memory.region(values + 48 + 15)).toBeUndefined();
    expect(memory.region(values + 48 + 16)).toMatchObject({ start: values + 64, end: values + 94 });
    expect(memory.region(values + 48 + 46)).toBeUndefined();
    expect(memory.fault(values + 16, 8, true)?.problem).toContain('not permitted on map_value (map m)');
    expect(memory.fault(values + 16 + 24, 8, false)?.problem).toContain('runs past the end');
  });

  it('is exhausted with ENOMEM and usable after', () => {
    const memory = new Memory({ limit: 1 << 20 });
    expect(memory.tryAllocate(2 << 20, scratch)).toBe(NULL);
    expect(() => memory.allocate(2 << 20, scratch)).toThrow(expect.objectContaining({ errno: 'ENOMEM' }));
    expect(memory.use).toEqual({ blocks: 0, bytes: 0, pageBytes: 0 });
    expect(memory.tryAllocate(1 << 19, scratch)).not.toBe(NULL);
  });

  it('keeps what was written when it grows', () => {
    const memory = new Memory();
    const first = memory.allocate(64, scratch);
    memory.writeU64(first, 0x1122334455667788n);
    const before = memory.u8;
    memory.allocate(64 << 20, scratch);
    expect(memory.u8.length).toBeGreaterThan(64 << 20);
    expect(before.length).toBe(0);
    expect(memory.readU64(first)).toBe(0x1122334455667788n);
  });

  it('takes back what a failed transaction allocated, and only that', () => {
    const memory = new Memory();
    const kept = memory.transaction(() => memory.allocate(100, scratch));
    const before = memory.use;
    const failing = () =>
      memory.transaction(() => {
        memory.allocate(10, scratch);
        memory.transaction(() => memory.allocate(9000, scratch));
        throw new Error('no');
      });
    expect(failing).toThrow('no');
    expect(memory.use).toEqual(before);
    expect(memory.region(kept)).toBeDefined();
  });

  it('refuses to free what is no block', () => {
    const memory = new Memory();
    const block = memory.allocate(64, scratch);
    expect(() => memory.free((block + 8) as Addr)).toThrow('twice');
    memory.free(block);
    expect(() => memory.free(block)).toThrow('no block');
  });

  it('gives aligned, zeroed, disjoint blocks, the same for the same requests, and takes all back', () => {
    const step = fc.oneof(
      fc.record({ size: fc.integer({ min: 0, max: 9000 }) }),
      fc.record({ drop: fc.nat({ max: 1000 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const run = () => {
          const memory = new Memory();
          const live: { addr: Addr; size: number; mark: number }[] = [];
          const trail: number[] = [];
          for (const [i, s] of steps.entries()) {
            if ('size' in s) {
              const addr = memory.allocate(s.size, scratch);
              expect(addr % 8).toBe(0);
              expect(memory.read(addr, s.size).every((b) => b === 0)).toBe(true);
              memory.fill(addr, s.size, (i % 255) + 1);
              live.push({ addr, size: s.size, mark: (i % 255) + 1 });
              trail.push(addr);
            } else if (live.length > 0) {
              const [gone] = live.splice(s.drop % live.length, 1);
              memory.free(gone!.addr);
            }
          }
          for (const b of live) {
            expect(memory.window(b.addr, b.size).every((v) => v === b.mark)).toBe(true);
            if (b.size > 0) {
              expect(memory.region(b.addr + b.size - 1)).toMatchObject({
                start: b.addr,
                end: b.addr + b.size,
              });
            }
          }
          expect(memory.use.blocks).toBe(live.length);
          for (const b of live) memory.free(b.addr);
          expect(memory.use).toEqual({ blocks: 0, bytes: 0, pageBytes: 0 });
          return trail;
        };
        expect(run()).toEqual(run());
      }),
      { numRuns: 60 },
    );
  });
});
