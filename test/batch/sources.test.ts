/** Processors that read a capture by themselves: whoever has which packet, they come to what one processor does. */
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mapContents } from '../../src/cli/run/contents.ts';
import { type CaptureCounts, createKernel } from '../../src/kernel/index.ts';
import { loadObject, parseObject } from '../../src/loader/index.ts';
import { CaptureWriter } from '../../src/pcap/index.ts';
import { builtWorker } from './built-worker.ts';

const { folder, threads } = builtWorker();

type Format = ConstructorParameters<typeof CaptureWriter>[0];

/** Packets of some flows; some are cut, too short, or too large for a frame. */
function capture(
  count: number,
  format: Format = {},
  between: (i: number) => readonly Uint8Array[] = () => [],
) {
  const writer = new CaptureWriter(format);
  const parts = [writer.header()];
  let state = 1;
  const next = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % below;
  };
  for (let i = 0; i < count; i++) {
    const flow = next(500);
    const odd = i % 1000;
    const data = new Uint8Array(odd === 7 ? 10 : odd === 8 ? 9000 : 60 + next(64));
    const view = new DataView(data.buffer);
    if (data.length > 38) {
      view.setUint16(12, 0x0800);
      view.setUint8(14, 0x45);
      view.setUint8(23, flow % 2 === 0 ? 6 : 17);
      view.setUint32(26, 0x0a000000 + (flow >> 4));
      view.setUint32(30, 0x0a010000 + (flow & 15));
      view.setUint16(34, 1024 + flow);
      view.setUint16(36, 53);
    }
    const originalLength = odd === 9 ? data.length + 100 : data.length;
    parts.push(...between(i), writer.packet({ data, originalLength, seconds: 1e9 + i, nanoseconds: 0 }));
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** A pcapng block that is no packet. */
function otherBlock(littleEndian: boolean, size = 12): Uint8Array {
  const block = new Uint8Array(size);
  const view = new DataView(block.buffer);
  view.setUint32(0, 0x0000_0bad, littleEndian);
  view.setUint32(4, size, littleEndian);
  view.setUint32(size - 4, size, littleEndian);
  return block;
}

interface Ran {
  readonly counts: unknown;
  /** Of each map: keys, and values with those of all processors added up. */
  readonly maps: unknown;
  /** Packets of each processor, as `each` of the program counts them. */
  readonly shares: readonly number[];
}

function comparable({ nanoseconds: _, verdicts, refused, ...rest }: CaptureCounts) {
  return { ...rest, verdicts: [...verdicts].toSorted(), refused: [...refused].toSorted() };
}

interface Run {
  readonly file?: string;
  readonly name?: string;
  readonly piece?: number;
}

const PROCESSORS = 'test/batch/processors.o';

async function run(
  bytes: Uint8Array,
  cpus: number,
  { file = PROCESSORS, name = 'count', piece }: Run = {},
): Promise<Ran> {
  const kernel = createKernel({ cpus, shared: cpus > 1 });
  const object = loadObject(kernel, parseObject(readFileSync(file), file), { programs: [name] });
  const { fd } = object.program(name);
  const counts = cpus === 1 ? alone() : await together();
  const maps = mapContents(object, undefined, Number.POSITIVE_INFINITY);
  const each = maps.find((map) => map.name === 'each' || map.name === 'protocols')!;
  const shares = new Array<number>(cpus).fill(0);
  for (const entry of each.entries) {
    for (const { cpu, value } of (entry as unknown as { values?: { cpu: number; value: number }[] }).values ??
      []) {
      shares[cpu]! += value;
    }
  }
  const summed = maps.map((map) => [
    map.name,
    map.entries
      .map((entry) => {
        const { key, value, values } = entry as unknown as {
          key: unknown;
          value?: unknown;
          values?: { value: number }[];
        };
        return JSON.stringify([key, value ?? values!.reduce((sum, one) => sum + one.value, 0)]);
      })
      .toSorted(),
  ]);
  object.close();
  kernel.close();
  expect(kernel.memoryUse.blocks).toBe(0);
  return { counts: comparable(counts), maps: summed, shares };

  function alone(): CaptureCounts {
    using run = kernel.captureRun(fd, { name: 'capture' });
    run.feed(bytes);
    return run.end();
  }
  async function together(): Promise<CaptureCounts> {
    const path = join(folder, 'capture');
    writeFileSync(path, bytes);
    const open = openSync(path, 'r');
    try {
      const source = { size: bytes.length, from: { fd: open, path } };
      await using run = kernel.parallelRun(fd, {
        name: 'capture',
        threads,
        source,
        ...(piece !== undefined && { piece }),
      });
      await run.ready();
      while (!(await run.runFor(50)));
      return await run.end();
    } finally {
      closeSync(open);
    }
  }
}

async function failure(bytes: Uint8Array, cpus: number, piece = 4096): Promise<string> {
  return run(bytes, cpus, { piece }).then(
    () => 'none',
    (error: Error) => error.message,
  );
}

/** Three processors read everything for themselves; five hand packets to each other. */
const SHARES = [3, 5] as const;

describe('processors that read the capture', () => {
  const bytes = capture(20_000);

  it.each(SHARES)('%d give each packet to that of its flow', async (cpus) => {
    const one = await run(bytes, 1);
    for (const piece of [undefined, 10_000]) {
      const many = await run(bytes, cpus, { ...(piece && { piece }) });
      expect(many.counts).toEqual(one.counts);
      expect(many.maps).toEqual(one.maps);
      // Which processor a flow is on does not depend on how the capture is read.
      expect(many.shares.every((share) => share > 1000)).toBe(true);
    }
  });

  it('keep the packets that they read of a program that only adds up', async () => {
    const of = { file: 'bench/capture.o', name: 'five_tuple' };
    const one = await run(bytes, 1, of);
    const many = await run(bytes, 2, { ...of, piece: 20_000 });
    expect(many.counts).toEqual(one.counts);
    expect(many.maps).toEqual(one.maps);
    expect(many.shares.every((share) => share > 0)).toBe(true);
  });

  it.each([
    { format: 'pcap', littleEndian: false },
    { format: 'pcapng', littleEndian: true },
    { format: 'pcapng', littleEndian: false },
  ] as const)(
    'find packets in $format, little-endian $littleEndian, of any size of pieces',
    async (format) => {
      const odd = format.format === 'pcapng';
      const between = (i: number) => (odd && i % 700 === 5 ? [otherBlock(format.littleEndian)] : []);
      const copy = capture(1500, format, between);
      const one = await run(copy, 1);
      for (const cpus of SHARES) {
        for (const piece of [200, 5000]) {
          const many = await run(copy, cpus, { piece });
          expect(many.counts, `${cpus} ${piece}`).toEqual(one.counts);
          expect(many.maps, `${cpus} ${piece}`).toEqual(one.maps);
        }
      }
    },
    60_000,
  );

  it('pass over blocks that are larger than pieces', async () => {
    const between = (i: number) => (i === 100 ? [otherBlock(true, 1_000_000)] : []);
    const copy = capture(3000, { format: 'pcapng' }, between);
    const one = await run(copy, 1);
    for (const cpus of SHARES) {
      const many = await run(copy, cpus, { piece: 65_536 });
      expect(many.counts).toEqual(one.counts);
      expect(many.maps).toEqual(one.maps);
    }
  });

  it('give packets of other link layers an Ethernet header', async () => {
    for (const name of ['any.pcap', 'mixed.pcap']) {
      const copy = readFileSync(join('examples/captures', name));
      const one = await run(copy, 1);
      for (const cpus of SHARES) {
        const many = await run(copy, cpus, { piece: 1000 });
        expect(many.counts).toEqual(one.counts);
        expect(many.maps).toEqual(one.maps);
      }
    }
  });

  it('say of a damaged capture what one processor says', async () => {
    const damaged = bytes.slice();
    new DataView(damaged.buffer).setUint32(24 + 8, 0x7fff_ffff, true);
    const late = bytes.slice(0, 500_000);
    for (const copy of [new Uint8Array(), bytes.subarray(0, 10), damaged, late]) {
      const message = await failure(copy, 1);
      expect(message).toMatch(/capture: /);
      for (const cpus of SHARES) expect(await failure(copy, cpus)).toBe(message);
    }
  }, 60_000);

  it('say why the capture can not be read', async () => {
    const kernel = createKernel({ cpus: 2, shared: true });
    const object = loadObject(kernel, parseObject(readFileSync(PROCESSORS), PROCESSORS), {
      programs: ['count'],
    });
    const source = { size: 1 << 24, from: { fd: 1 << 20, path: 'gone.pcap' } };
    await using run = kernel.parallelRun(object.program('count').fd, { threads, source });
    await run.ready();
    await expect(run.runFor(5000)).rejects.toThrow('reading capture gone.pcap: EBADF');
  });

  it('end when they are told to', async () => {
    const kernel = createKernel({ cpus: 2, shared: true });
    const object = loadObject(kernel, parseObject(readFileSync(PROCESSORS), PROCESSORS), {
      programs: ['count'],
    });
    const path = join(folder, 'long');
    writeFileSync(path, bytes);
    const open = openSync(path, 'r');
    try {
      const source = { size: bytes.length, from: { fd: open, path } };
      await using run = kernel.parallelRun(object.program('count').fd, { threads, source, piece: 4096 });
      await run.ready();
      await run.runFor(1);
      const { packets } = await run.abort();
      expect(packets).toBeLessThanOrEqual(20_000);
    } finally {
      closeSync(open);
    }
  });
});
