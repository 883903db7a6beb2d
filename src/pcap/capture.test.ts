import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../base/error.ts';
import { ETHERNET, findLinkType } from './linktype.ts';
import { type Packet, timestamp } from './packet.ts';
import { CaptureReader, readCapture, readCaptureStream } from './reader.ts';
import { CaptureWriter, type CaptureWriterOptions, type PacketToWrite, writeCapture } from './writer.ts';

const packetArb = fc.record({
  data: fc.uint8Array({ maxLength: 80 }),
  seconds: fc.integer({ min: 0, max: 0xffff_ffff }),
  nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
});

const optionsArb = fc.record({
  format: fc.constantFrom('pcap' as const, 'pcapng' as const),
  littleEndian: fc.boolean(),
  resolution: fc.constantFrom('us' as const, 'ns' as const),
  linkType: fc.constantFrom(ETHERNET, findLinkType(101)!, findLinkType(276)!),
});

function write(options: CaptureWriterOptions, packets: readonly PacketToWrite[]): Uint8Array {
  const writer = new CaptureWriter(options);
  return new Uint8Array(Buffer.concat([writer.header(), ...packets.map((packet) => writer.packet(packet))]));
}

function read(bytes: Uint8Array, name = 'a.pcap'): Packet[] {
  return [...readCapture(bytes, name)];
}

function failure(run: () => unknown): InputError {
  try {
    run();
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  throw new Error('expected an InputError');
}

/** Cuts bytes at the places that fall inside. */
function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...cuts.map((cut) => cut % (bytes.length + 1)), 0, bytes.length].sort((a, b) => a - b);
  return places.slice(1).map((end, i) => bytes.subarray(places[i]!, end));
}

describe('round trips', () => {
  it('reads what was written, in every format, order and resolution, however it is chunked', () => {
    fc.assert(
      fc.property(
        optionsArb,
        fc.array(packetArb, { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        (options, packets, cuts) => {
          const bytes = write(options, packets);
          const got: Packet[] = [];
          const reader = new CaptureReader('x');
          for (const chunk of split(bytes, cuts)) {
            // The memory of a drained chunk may be used again: spoil it.
            const memory = chunk.slice();
            reader.feed(memory);
            for (let p = reader.next(); p; p = reader.next()) got.push({ ...p, data: p.data.slice() });
            memory.fill(0xee);
          }
          reader.next();
          reader.end();
          expect(reader.format).toBe(options.format);
          expect(got.map((p) => p.number)).toEqual(packets.map((_, i) => i + 1));
          for (const [i, packet] of packets.entries()) {
            const unit = options.resolution === 'us' ? 1000 : 1;
            expect([...got[i]!.data]).toEqual([...packet.data]);
            expect(got[i]!.originalLength).toBe(packet.data.length);
            expect(got[i]!.seconds).toBe(packet.seconds);
            expect(got[i]!.nanoseconds).toBe(packet.nanoseconds - (packet.nanoseconds % unit));
            expect(got[i]!.interface.linkType).toEqual(options.linkType);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('converts between the formats without loss', () => {
    fc.assert(
      fc.property(fc.array(packetArb, { minLength: 1, maxLength: 6 }), (packets) => {
        const first = write({ format: 'pcap', resolution: 'ns' }, packets);
        const ng = writeCapture(read(first), { format: 'pcapng', littleEndian: false });
        const back = writeCapture(read(ng), { format: 'pcap', littleEndian: true });
        expect([...back]).toEqual([...first]);
      }),
      { numRuns: 50 },
    );
  });

  it('any damage gives packets or an InputError', () => {
    fc.assert(
      fc.property(
        optionsArb,
        fc.array(packetArb, { minLength: 1, maxLength: 4 }),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
        (options, packets, changes) => {
          const bytes = write(options, packets).slice();
          for (const [place, value] of changes) bytes[place % bytes.length] = value;
          try {
            read(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(InputError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('pcapng', () => {
  const writer = new CaptureWriter({ format: 'pcapng', name: 'eth0' });
  const header = writer.header();
  const second = writer.addInterface({ linkType: findLinkType(113)!, resolution: 'ns', name: 'any' });

  it('keeps interfaces, names, comments and flags', () => {
    const bytes = Buffer.concat([
      header,
      second.bytes,
      writer.packet({ data: Uint8Array.of(1, 2, 3), seconds: 5, nanoseconds: 7000, comment: 'hé', flags: 2 }),
      writer.packet({ data: Uint8Array.of(4), seconds: 6, nanoseconds: 123456789, interfaceId: 1 }),
    ]);
    const [a, b] = read(bytes);
    expect(a).toMatchObject({ comment: 'hé', flags: 2, interface: { id: 0, name: 'eth0' } });
    expect(b!.interface).toMatchObject({ id: 1, name: 'any', linkType: { name: 'LINUX_SLL' } });
    expect(timestamp(b!)).toBe(6_123_456_789n);
  });

  it('reads sections of different byte orders, each with its own interfaces', () => {
    const packets = [{ data: Uint8Array.of(9), seconds: 1, nanoseconds: 0 }];
    const bytes = Buffer.concat([
      write({ format: 'pcapng', littleEndian: true }, packets),
      write({ format: 'pcapng', littleEndian: false, resolution: 'ns' }, packets),
    ]);
    const got = read(bytes);
    expect(got.map((p) => [p.number, p.interface.id, p.seconds])).toEqual([
      [1, 0, 1],
      [2, 1, 1],
    ]);
  });

  it('reads simple and obsolete packet blocks, and skips blocks it does not know', () => {
    const simple = block(3, [u32(5), [1, 2, 3, 4, 5, 0, 0, 0]]);
    const obsolete = block(2, [u16(0), u16(0), u32(0), u32(1_500_000), u32(2), u32(60), [7, 8, 0, 0]]);
    const unknown = block(0x7777, [[1, 2, 3, 4]]);
    const got = read(Buffer.concat([header, simple, unknown, obsolete]));
    expect(got.map((p) => [...p.data])).toEqual([
      [1, 2, 3, 4, 5],
      [7, 8],
    ]);
    expect(got[1]).toMatchObject({ originalLength: 60, seconds: 1, nanoseconds: 500_000_000 });
  });

  it('cuts a simple packet at the interface snap length', () => {
    const short = new CaptureWriter({ format: 'pcapng', snapLength: 2 }).header();
    const got = read(Buffer.concat([short, block(3, [u32(100), [1, 2, 0, 0]])]));
    expect([...got[0]!.data]).toEqual([1, 2]);
    expect(got[0]!.originalLength).toBe(100);
  });

  it('obeys if_tsresol in powers of ten and of two, and if_tsoffset', () => {
    const section = header.subarray(0, 28);
    const packet = block(6, [u32(0), u32(0), u32(3 << 9), u32(0), u32(0)]);
    const resolution = [...u16(9), ...u16(1), 0x8a, 0, 0, 0];
    const offset = [...u16(14), ...u16(8), ...u32(0xffff_fffe), ...u32(0xffff_ffff)];
    const described = block(1, [u16(1), u16(0), u32(0), resolution, offset, u32(0)]);
    const [got] = read(Buffer.concat([section, described, packet]));
    expect([got!.seconds, got!.nanoseconds]).toEqual([-1, 500_000_000]);
  });

  function u16(value: number): number[] {
    return [value & 255, value >> 8];
  }
  function u32(value: number): number[] {
    return [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
  }
  function block(type: number, parts: readonly (readonly number[])[]): Uint8Array {
    const body = parts.flat();
    const total = body.length + 12;
    return Uint8Array.from([...u32(type), ...u32(total), ...body, ...u32(total)]);
  }
});

describe('bad input', () => {
  const packets = [1, 2, 3].map((n) => ({ data: new Uint8Array(10).fill(n), seconds: n, nanoseconds: 0 }));
  const pcap = write({}, packets);
  const ng = write({ format: 'pcapng' }, packets);

  it.each([
    ['an empty file', new Uint8Array(0), 'a.pcap: the file is empty, which no capture is'],
    ['three bytes', pcap.subarray(0, 3), 'a.pcap: the file ends after 3 bytes, too few for a capture'],
    [
      'a cut file header',
      pcap.subarray(0, 20),
      'a.pcap: the file header at offset 0 needs 24 bytes, but the file ends after 20 of them',
    ],
    [
      'a cut record header',
      pcap.subarray(0, 24 + 26 + 3),
      'a.pcap: packet 2 (its header) at offset 50 needs 16 bytes, but the file ends after 3 of them',
    ],
    [
      'a cut record',
      pcap.subarray(0, pcap.length - 1),
      'a.pcap: packet 3 (its data) at offset 76 needs 26 bytes, but the file ends after 25 of them',
    ],
    [
      'a cut block',
      ng.subarray(0, ng.length - 1),
      'a.pcap: block 5 (its body) at offset 136 needs 44 bytes, but the file ends after 43 of them',
    ],
    [
      'a section without anything',
      ng.subarray(0, 28),
      'a.pcap: block 2 (its header) at offset 28 needs 8 bytes, but the file ends after 0 of them',
    ],
    [
      'something else',
      new TextEncoder().encode('hello world'),
      'a.pcap: the file begins with 0x68656c6c and is neither pcap nor pcapng',
    ],
    [
      'a compressed capture',
      Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0),
      'a.pcap: the file begins with 0x1f8b0800 and is neither pcap nor pcapng; it looks compressed by gzip: decompress it first (gzip -d)',
    ],
  ])('%s', (_, bytes, message) => {
    expect(failure(() => read(bytes)).message).toBe(message);
  });

  it('an absurd length', () => {
    const bytes = pcap.slice();
    new DataView(bytes.buffer).setUint32(24 + 26 + 8, 0x7fff_ffff, true);
    expect(failure(() => read(bytes)).message).toBe(
      'a.pcap: packet 2 at offset 50 claims 2147483647 captured bytes, but a packet of link type ETHERNET has at most 262144',
    );
    const blocks = ng.slice();
    new DataView(blocks.buffer).setUint32(48 + 4, 13, true);
    expect(failure(() => read(blocks)).message).toMatch(
      /^a.pcap: block 3 at offset 48 claims a total length of 13/,
    );
  });

  it('an unassigned link type', () => {
    const bytes = pcap.slice();
    new DataView(bytes.buffer).setUint32(20, 9999, true);
    const error = failure(() => read(bytes));
    expect(error.code).toBe('pcap-link-type');
    expect(error.message).toMatch(/^a.pcap: file header, offset 20: link type 9999 is not an assigned one/);
  });

  it('a packet of an interface that was not described', () => {
    const bytes = ng.slice();
    new DataView(bytes.buffer).setUint32(48 + 8, 3, true);
    expect(failure(() => read(bytes)).message).toBe(
      'a.pcap: block 3 at offset 48 (packet 1) names interface 3, but its section has described 1',
    );
  });

  it('packets before the damage are given', () => {
    const got: number[] = [];
    failure(() => {
      for (const packet of readCapture(pcap.subarray(0, pcap.length - 1), 'a')) got.push(packet.number);
    });
    expect(got).toEqual([1, 2]);
  });

  it('a time that pcap cannot hold', () => {
    expect(failure(() => write({}, [{ data: new Uint8Array(1), seconds: -1, nanoseconds: 0 }])).code).toBe(
      'pcap-time',
    );
  });
});

describe('streams', () => {
  it('reads an asynchronous source', async () => {
    const bytes = write({}, [{ data: Uint8Array.of(1, 2), seconds: 1, nanoseconds: 0 }]);
    async function* source(): AsyncGenerator<Uint8Array> {
      for (const byte of bytes) yield Uint8Array.of(byte);
    }
    const got: number[][] = [];
    for await (const packet of readCaptureStream(source(), 'x')) got.push([...packet.data]);
    expect(got).toEqual([[1, 2]]);
  });

  it('does not copy a packet that lies in one chunk', () => {
    const bytes = write({}, [{ data: Uint8Array.of(1, 2), seconds: 1, nanoseconds: 0 }]);
    const [packet] = read(bytes);
    expect(packet!.data.buffer).toBe(bytes.buffer);
  });
});

const tools = [
  ['tcpdump', ['-nn', '-tt', '-r']],
  ['tshark', ['-T', 'fields', '-e', 'frame.number', '-r']],
] as const;

describe.each(tools)('%s reads what is written', (tool, args) => {
  const present = spawnSync(tool, ['--version']).status === 0;
  it.skipIf(!present)('in every format', () => {
    const folder = mkdtempSync(join(tmpdir(), 'skep-pcap-'));
    try {
      for (const format of ['pcap', 'pcapng'] as const) {
        for (const littleEndian of [true, false]) {
          for (const resolution of ['us', 'ns'] as const) {
            const path = join(folder, 'a');
            const packet = { data: new Uint8Array(60), seconds: 1_700_000_000, nanoseconds: 123_456_000 };
            writeFileSync(path, write({ format, littleEndian, resolution }, [packet, packet]));
            const { status, stdout } = spawnSync(tool, [...args, path], { encoding: 'utf8' });
            expect(status).toBe(0);
            expect(stdout.trim().split('\n')).toHaveLength(2);
            if (tool === 'tcpdump') expect(stdout).toMatch(/^1700000000\.123456/);
          }
        }
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
