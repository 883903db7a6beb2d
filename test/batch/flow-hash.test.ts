/** The hash that gives packets to processors, against Toeplitz's definition bit by bit. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROW } from '../../src/kernel/batch/row.ts';
import { memoryLimits } from '../../src/kernel/jit/memory-limits.ts';
import { wasm } from '../../src/kernel/jit/wasm/host.ts';
import { Memory } from '../../src/kernel/memory/index.ts';
import { flowHashOf, INDIRECTION, SPREAD, spreadTables } from '../../src/kernel/parallel/flow-hash.ts';
import { type SpreadFunctions, spreadModule } from '../../src/kernel/parallel/spread-module.ts';

/** The 32 bits of the key from a bit on, for each bit that is set. */
function toeplitz(bytes: Uint8Array, key: Uint8Array): number {
  const bit = (at: number) => (key[at >> 3]! >> (7 - (at & 7))) & 1;
  let hash = 0;
  for (let i = 0; i < bytes.length * 8; i++) {
    if (((bytes[i >> 3]! >> (7 - (i & 7))) & 1) === 0) continue;
    let window = 0;
    for (let j = 0; j < 32; j++) window = (window << 1) | bit(i + j);
    hash ^= window;
  }
  return hash >>> 0;
}

const KEY = Uint8Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? 0x6d : 0x5a));
const even = fc
  .uint8Array({ minLength: 2, maxLength: 36 })
  .map((bytes) => bytes.subarray(0, bytes.length & ~1));

const spread = (() => {
  const memory = new Memory();
  const { exports } = new wasm.Instance(new wasm.Module(spreadModule(memoryLimits(memory))), {
    skep: { memory: memory.wasm },
  });
  const scratch = { kind: 'mem', owner: 'test', access: 'rw' } as const;
  const tables = memory.allocate(SPREAD.size, scratch);
  const row = memory.allocate(ROW.size, scratch);
  const packet = memory.allocate(256, scratch);
  const counts = memory.allocate(4 * INDIRECTION, scratch);
  // As many processors as the table has entries, so that the processor tells the hash's low bits.
  memory.write(tables, spreadTables(INDIRECTION));
  const { assign } = exports as unknown as SpreadFunctions;
  return (bytes: Uint8Array): number => {
    memory.write(packet, bytes);
    memory.writeU32(row + ROW.addr, packet);
    memory.writeU32(row + ROW.length, bytes.length);
    memory.fill(counts, 4 * INDIRECTION, 0);
    assign(row, row + ROW.size, tables, counts);
    const processor = memory.readU32(row + ROW.verdict);
    expect(memory.readU32(counts + 4 * processor)).toBe(ROW.size);
    return processor;
  };
})();

interface Ip {
  readonly tag: boolean;
  readonly protocol: number;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly ports: Uint8Array;
}

function frame({ tag, protocol, source, destination, ports }: Ip, fragment = 0): Uint8Array {
  const v6 = source.length === 16;
  const type = v6 ? [0x86, 0xdd] : [0x08, 0x00];
  const header = new Uint8Array(v6 ? 40 : 20);
  if (v6) {
    header[0] = 0x60;
    header[6] = protocol;
    header.set(source, 8);
    header.set(destination, 24);
  } else {
    header[0] = 0x45;
    header[6] = fragment >> 8;
    header[7] = fragment & 0xff;
    header[9] = protocol;
    header.set(source, 12);
    header.set(destination, 16);
  }
  const ethernet = [...new Array<number>(12).fill(2), ...(tag ? [0x81, 0x00, 0x00, 0x07] : []), ...type];
  return Uint8Array.from([...ethernet, ...header, ...ports, 0, 0, 0, 0]);
}

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const packets = fc
  .record({
    tag: fc.boolean(),
    protocol: fc.constantFrom(6, 17, 132, 1, 50),
    v6: fc.boolean(),
    addresses: bytesOf(32),
    ports: bytesOf(4),
  })
  .map(({ v6, addresses, ...rest }): Ip => {
    const size = v6 ? 16 : 4;
    return { ...rest, source: addresses.slice(0, size), destination: addresses.slice(16, 16 + size) };
  });

describe('the hash of a flow', () => {
  it("is Toeplitz's with the key 0x6d5a again and again", () => {
    fc.assert(fc.property(even, (bytes) => flowHashOf(bytes) === toeplitz(bytes, KEY)));
  });

  it('gives packets to processors by addresses, and by ports where there are some', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        const { protocol, source, destination, ports } = packet;
        const withPorts = [6, 17, 132].includes(protocol);
        const tuple = Uint8Array.from([...source, ...destination, ...(withPorts ? ports : [])]);
        expect(spread(frame(packet))).toBe(toeplitz(tuple, KEY) & (INDIRECTION - 1));
      }),
    );
  });

  it('is the same for both directions of a flow', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        const back = {
          ...packet,
          source: packet.destination,
          destination: packet.source,
          ports: Uint8Array.from([...packet.ports.slice(2), ...packet.ports.slice(0, 2)]),
        };
        expect(spread(frame(back))).toBe(spread(frame(packet)));
      }),
    );
  });

  it('leaves ports out of fragments, and is 0 for what is not IP or is cut short', () => {
    fc.assert(
      fc.property(packets, fc.nat(200), (packet, length) => {
        const v4 = {
          ...packet,
          source: packet.source.slice(0, 4),
          destination: packet.destination.slice(0, 4),
        };
        const pair = Uint8Array.from([...v4.source, ...v4.destination]);
        expect(spread(frame(v4, 0x2000))).toBe(toeplitz(pair, KEY) & (INDIRECTION - 1));
        expect(spread(frame(v4, 0x0010))).toBe(toeplitz(pair, KEY) & (INDIRECTION - 1));
        const headers = (packet.tag ? 18 : 14) + 20;
        const cut = frame(v4).subarray(0, Math.min(length, headers - 1));
        expect(spread(cut)).toBe(0);
      }),
    );
    expect(spread(new Uint8Array(60).fill(1))).toBe(0);
  });
});
