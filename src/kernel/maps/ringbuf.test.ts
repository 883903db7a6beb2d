import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Addr, Memory, NULL } from '../memory/index.ts';
import { Grace, type Machine, SimulatedClock } from '../objects/machine.ts';
import { RingbufMap } from './ringbuf.ts';

function machine(): Machine {
  return {
    memory: new Memory(),
    cpus: 1,
    cpu: 0,
    clock: new SimulatedClock(),
    random: () => 0,
    grace: new Grace(),
    trace: () => {},
  };
}

function ring(maxEntries = 4096): RingbufMap {
  return new RingbufMap(machine(), {
    type: 'ringbuf',
    name: 'ring',
    keySize: 0,
    valueSize: 0,
    maxEntries,
    flags: 0,
    extra: 0n,
  });
}

describe('RingbufMap', () => {
  it('loses and repeats nothing, in the order of reservation, whatever is reserved, given up and read', () => {
    const step = fc.oneof(
      fc.record({ reserve: fc.integer({ min: 0, max: 900 }) }),
      fc.record({ finish: fc.nat(), discard: fc.boolean() }),
      fc.constant({ read: true as const }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const map = ring();
        const { memory } = map.machine;
        const open: { addr: Addr; index: number }[] = [];
        /** Every record that was reserved: its fill byte and size, and what became of it. */
        const records: { size: number; fill: number; state: 'open' | 'kept' | 'gone' }[] = [];
        let read = 0;
        const drain = () => {
          for (const data of map.read()) {
            while (records[read]?.state === 'gone') read += 1;
            const record = records[read++]!;
            expect(record.state).toBe('kept');
            expect(data).toHaveLength(record.size);
            expect(data.every((byte) => byte === record.fill)).toBe(true);
          }
        };
        for (const s of steps) {
          if ('reserve' in s) {
            const addr = map.reserve(s.reserve, 0);
            if (addr === NULL) continue;
            const fill = (records.length % 255) + 1;
            memory.fill(addr, s.reserve, fill);
            open.push({ addr, index: records.length });
            records.push({ size: s.reserve, fill, state: 'open' });
          } else if ('finish' in s) {
            if (open.length === 0) continue;
            const [{ addr, index }] = open.splice(s.finish % open.length, 1) as [(typeof open)[number]];
            if (s.discard) map.discard(addr, 0);
            else map.submit(addr, 0);
            records[index]!.state = s.discard ? 'gone' : 'kept';
          } else drain();
        }
        for (const { addr, index } of open) {
          map.submit(addr, 0);
          records[index]!.state = 'kept';
        }
        drain();
        while (records[read]?.state === 'gone') read += 1;
        expect(read).toBe(records.length);
        expect(map.query(0)).toBe(0n);
      }),
    );
  });

  it('is full, says so, and wakes its reader as asked', () => {
    const map = ring();
    const source = map.machine.memory.allocate(64, { kind: 'mem', owner: 'test', access: 'rw' });
    let woken = 0;
    map.onRecord = () => {
      woken += 1;
    };
    let written = 0;
    while (map.output(source, 56, 1) === 0) written += 1;
    expect(written).toBe(63);
    expect(map.output(source, 56, 0)).toBe(-11);
    expect(map.output(source, 56, 4)).toBe(-22);
    expect(woken).toBe(0);
    expect([...map.read()]).toHaveLength(63);
    expect(map.output(source, 56, 0)).toBe(0);
    expect(map.output(source, 56, 2)).toBe(0);
    expect(woken).toBe(2);
    expect([0, 1, 2, 3, 4].map((what) => map.query(what))).toEqual([128n, 4096n, 4032n, 4160n, 0n]);
    expect(map.reserve(4096, 0)).toBe(NULL);
    expect(map.reserve(8, 1)).toBe(NULL);
    expect(map.reserve(2 ** 32, 0)).toBe(NULL);
  });
});
