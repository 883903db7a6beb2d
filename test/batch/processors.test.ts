/** Several processors over one memory: what they count is exact, nothing is lost or repeated, and one comes to the same. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { makeThread } from '../../src/cli/run/threads.ts';
import { type CaptureCounts, createKernel, type EmbeddedKernel } from '../../src/kernel/index.ts';
import { type LoadedObject, loadObject, parseObject } from '../../src/loader/index.ts';
import { CaptureWriter, readCapture } from '../../src/pcap/index.ts';
import { builtWorker } from './built-worker.ts';

const { threads: makeBuilt } = builtWorker();

const OBJECT = 'test/batch/processors.o';
const CPUS = 3;
const PACKETS = 30_000;

/** Packets of some thousand flows, with some that are cut, too short or too large for a frame. */
function packets(count: number, flows: number): Uint8Array {
  const writer = new CaptureWriter();
  const parts = [writer.header()];
  let state = 1;
  const next = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % below;
  };
  for (let i = 0; i < count; i++) {
    const flow = next(flows);
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
    parts.push(writer.packet({ data, originalLength, seconds: 1e9 + i, nanoseconds: 0 }));
  }
  return new Uint8Array(Buffer.concat(parts));
}

const CAPTURE = packets(PACKETS, 3000);

interface Ran {
  readonly kernel: EmbeddedKernel;
  readonly object: LoadedObject;
  readonly counts: CaptureCounts;
  readonly records: readonly Uint8Array[];
}

/** @param cpus 1 is a run without threads */
async function run(
  file: string,
  name: string,
  capture: Uint8Array,
  cpus: number,
  threads = makeBuilt,
): Promise<Ran> {
  const kernel = createKernel({ cpus: Math.max(cpus, 1), shared: cpus > 1 });
  const object = loadObject(kernel, parseObject(readFileSync(file), file), { programs: [name] });
  const records: Uint8Array[] = [];
  const rings = [...object.maps.values()].filter(({ spec }) => spec.type === 'ringbuf');
  const drain = () => {
    for (const { fd } of rings) for (const record of kernel.ringRecords(fd)) records.push(record.slice());
  };
  const { fd } = object.program(name);
  if (cpus === 1) {
    using alone = kernel.captureRun(fd, { drain });
    alone.feed(capture);
    const counts = alone.end();
    drain();
    return { kernel, object, counts, records };
  }
  await using many = kernel.parallelRun(fd, { drain, threads });
  for (let at = 0; at < capture.length; ) {
    await many.ready();
    const space = many.space();
    const part = capture.subarray(at, at + Math.min(space.length, 100_000));
    space.set(part);
    many.filled(part.length);
    many.work();
    at += part.length;
  }
  const counts = await many.end();
  drain();
  return { kernel, object, counts, records };
}

function entries({ kernel, object }: Ran, map: string): Map<string, bigint[]> {
  const found = new Map<string, bigint[]>();
  const { fd } = object.maps.get(map)!;
  for (let key = kernel.bpf.map_get_next_key({ map_fd: fd }); key; ) {
    const value = kernel.bpf.map_lookup_elem({ map_fd: fd, key })!;
    found.set(key.join(), [...new BigUint64Array(value.slice().buffer)]);
    key = kernel.bpf.map_get_next_key({ map_fd: fd, key });
  }
  return found;
}

const sum = (values: readonly bigint[]) => values.reduce((all, value) => all + value, 0n);

/** With the sums of per-CPU values. */
function totals(ran: Ran, map: string) {
  return [...entries(ran, map)].map(([key, values]) => [key, sum(values)] as const).toSorted();
}

function comparable({ nanoseconds: _, verdicts, refused, ...rest }: CaptureCounts) {
  return { ...rest, verdicts: [...verdicts].toSorted(), refused: [...refused].toSorted() };
}

describe('several processors', () => {
  it('count exactly: atomic operations, locks, each its own, hash maps', async () => {
    const one = await run(OBJECT, 'count', CAPTURE, 1);
    const many = await run(OBJECT, 'count', CAPTURE, CPUS);
    expect(comparable(many.counts)).toEqual(comparable(one.counts));
    const [packets] = [...entries(one, 'counters').values()][0]!;
    expect(packets).toBeGreaterThan(29_000n);
    for (const map of ['counters', 'flows', 'flows_each', 'each', 'pair']) {
      expect(totals(many, map), map).toEqual(totals(one, map));
    }
    // Every processor had its part, and a flow is on one processor alone.
    expect(
      entries(many, 'each')
        .get('0,0,0,0')!
        .every((count) => count > 1000n),
    ).toBe(true);
    for (const values of entries(many, 'flows_each').values()) {
      expect(values.filter((value) => value > 0n)).toHaveLength(1);
    }
  });

  it('lose and repeat nothing in a ring buffer', async () => {
    const many = await run(OBJECT, 'report', CAPTURE, CPUS);
    const [[sent], [lost]] = [...entries(many, 'counters').values()] as [bigint[], bigint[]];
    expect(lost).toBe(0n);
    const events = many.records.map((record) => new DataView(record.buffer));
    expect(events).toHaveLength(Number(sent));
    expect(events).toHaveLength(many.counts.verdicts.get(2)!);
    const numbers = events.map((event) => Number(event.getBigUint64(0, true))).toSorted((a, b) => a - b);
    expect(numbers.every((number, i) => number === i)).toBe(true);
    expect(new Set(events.map((event) => event.getUint32(8, true))).size).toBe(CPUS);
    // What one processor sends arrives in its order.
    const last = new Map<number, bigint>();
    for (const event of events) {
      const cpu = event.getUint32(8, true);
      const number = event.getBigUint64(0, true);
      expect(number > (last.get(cpu) ?? -1n)).toBe(true);
      last.set(cpu, number);
    }
  });

  it('keep hash and LRU maps whole under insertions, deletions and lookups', async () => {
    const many = await run(OBJECT, 'storm', CAPTURE, CPUS);
    expect(many.counts.packets).toBe(PACKETS - PACKETS / 1000);
    const recent = entries(many, 'recent');
    expect(recent.size).toBeGreaterThan(0);
    expect(recent.size).toBeLessThanOrEqual(512);
    for (const map of ['recent', 'flows']) {
      // Each element is found by its key, and all can be taken out.
      const { fd } = many.object.maps.get(map)!;
      const keys = [...entries(many, map).keys()].map((key) => Uint8Array.from(key.split(','), Number));
      for (const key of keys) {
        const value = many.kernel.bpf.map_lookup_elem({ map_fd: fd, key });
        expect(value && [...value]).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
        many.kernel.bpf.map_delete_elem({ map_fd: fd, key });
      }
      expect(entries(many, map).size).toBe(0);
    }
  });

  it('move packets, each in frames of its own', async () => {
    const one = await run(OBJECT, 'grow', CAPTURE, 1);
    const many = await run(OBJECT, 'grow', CAPTURE, CPUS);
    expect(one.counts.verdicts.get(2)).toBeGreaterThan(29_000);
    expect(comparable(many.counts)).toEqual(comparable(one.counts));
  });

  it('come to what one does with the examples that they can run', async () => {
    const bytes = readFileSync('examples/captures/mixed.pcap');
    for (const [object, name] of [
      ['examples/pipeline.o', 'pipeline'],
      ['examples/trim_headers.o', 'trim_headers'],
    ] as const) {
      const one = await run(object, name, bytes, 1);
      const many = await run(object, name, bytes, 2);
      expect(comparable(many.counts), object).toEqual(comparable(one.counts));
    }
  });

  it('run from source', async () => {
    const bytes = readFileSync('examples/captures/mixed.pcap');
    const one = await run(OBJECT, 'count', bytes, 1);
    const many = await run(OBJECT, 'count', bytes, 2, makeThread);
    expect(comparable(many.counts)).toEqual(comparable(one.counts));
  });

  it('give other link layers an Ethernet header, and leave nothing in memory', async () => {
    const bytes = readFileSync('examples/captures/any.pcap');
    expect([...readCapture(bytes, 'any.pcap')].length).toBeGreaterThan(0);
    const one = await run(OBJECT, 'count', bytes, 1);
    const many = await run(OBJECT, 'count', bytes, 2);
    expect(comparable(many.counts)).toEqual(comparable(one.counts));
    many.object.close();
    many.kernel.close();
    expect(many.kernel.memoryUse).toMatchObject({ blocks: 0, bytes: 0 });
  });

  it('say before the start what is not done on several', () => {
    const kernel = createKernel({ cpus: 2, shared: true });
    const object = loadObject(kernel, parseObject(readFileSync(OBJECT), OBJECT));
    const begin = (name: string) => () => kernel.parallelRun(object.program(name).fd, { threads: makeBuilt });
    expect(begin('moves')).toThrow('moves calls bpf_skb_vlan_push, which may move the packet; run it on one');
    const before = kernel.memoryUse;
    expect(begin('moves')).toThrow();
    expect(kernel.memoryUse).toEqual(before);
    const alone = createKernel({ cpus: 2 });
    const same = loadObject(alone, parseObject(readFileSync(OBJECT), OBJECT), { programs: ['count'] });
    expect(() => alone.parallelRun(same.program('count').fd, { threads: makeBuilt })).toThrow(
      'made without shared memory',
    );
  });

  it('end with an error of the capture, and leave no threads', async () => {
    await expect(run(OBJECT, 'count', CAPTURE.subarray(0, 50_001), 2)).rejects.toThrow('the file ends');
  });
});
