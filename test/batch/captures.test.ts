/** Many packets at once against one at a time: every example over every capture must come to the same. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/error.ts';
import { globalValues, mapContents } from '../../src/cli/run/contents.ts';
import { packetType } from '../../src/cli/run/verdicts.ts';
import { type CaptureCounts, createKernel, type EmbeddedKernel } from '../../src/kernel/index.ts';
import { type LoadedObject, loadObject, parseObject } from '../../src/loader/index.ts';
import { type CaptureFormat, CaptureWriter, FrameConverter, readCapture } from '../../src/pcap/index.ts';

const EXAMPLES = readdirSync('examples').filter((name) => name.endsWith('.o'));
const CAPTURES = readdirSync('examples/captures').filter((name) => /\.pcap(ng)?$/.test(name));

/** What a run can be told by. */
interface Outcome {
  readonly counts: Omit<CaptureCounts, 'nanoseconds'>;
  readonly maps: unknown;
  readonly globals: unknown;
  readonly records: readonly (readonly number[])[];
  readonly trace: readonly string[];
}

function load(kernel: EmbeddedKernel, file: string, name: string | undefined) {
  const spec = parseObject(readFileSync(file), file);
  const called = new Set([...spec.maps.values()].flatMap((map) => map.slots.map((slot) => slot.name)));
  const entry = name ?? [...spec.programs.keys()].find((candidate) => !called.has(candidate))!;
  return { object: loadObject(kernel, spec, { programs: [entry] }), entry };
}

function watch(kernel: EmbeddedKernel, object: LoadedObject) {
  const records: number[][] = [];
  const rings = [...object.maps.values()].filter(({ spec }) => spec.type === 'ringbuf');
  const events = [...object.maps.values()]
    .filter(({ spec }) => spec.type === 'perf_event_array')
    .flatMap(({ fd }) => kernel.openPerfBuffer(fd));
  return {
    records,
    drain: () => {
      for (const { fd } of rings) for (const record of kernel.ringRecords(fd)) records.push([...record]);
      for (const fd of events) {
        for (const record of kernel.perfRecords(fd)) {
          records.push(record.kind === 'lost' ? [record.count] : [...record.data]);
        }
      }
    },
  };
}

function outcome(
  kernel: EmbeddedKernel,
  object: LoadedObject,
  counts: CaptureCounts,
  records: readonly number[][],
  trace: string[],
): Outcome {
  const { nanoseconds: _, ...rest } = counts;
  const result = {
    counts: { ...rest, verdicts: new Map(rest.verdicts), refused: new Map(rest.refused) },
    maps: mapContents(object, undefined, Number.POSITIVE_INFINITY),
    globals: globalValues(object),
    records,
    trace,
  };
  object.close();
  kernel.close();
  return result;
}

/** The way of BPF_PROG_TEST_RUN. */
function oneByOne(file: string, bytes: Uint8Array, name?: string): Outcome {
  const trace: string[] = [];
  const kernel = createKernel({ trace: (line) => trace.push(line) });
  const { object, entry } = load(kernel, file, name);
  const program = object.program(entry);
  const type = packetType(program, program.type);
  const frames = new FrameConverter('capture');
  const { records, drain } = watch(kernel, object);
  const counts = {
    packets: 0,
    verdicts: new Map<number, number>(),
    kept: 0,
    trimmed: 0,
    dropped: 0,
    bytesKept: 0,
    bytesCut: 0,
    refused: new Map<string, number>(),
    cutAtCapture: 0,
    nanoseconds: 0,
  };
  for (const packet of readCapture(bytes, 'capture')) {
    const data = frames.frame(packet);
    try {
      const { retval } = kernel.bpf.prog_test_run({
        prog_fd: program.fd,
        data_in: type.input?.(data) ?? data,
        data_size_out: data.length + 4096,
      });
      counts.packets++;
      if (packet.originalLength > packet.data.length) counts.cutAtCapture++;
      if (program.type === 'socket_filter') {
        const { name: verdict, bytes: kept } = type.verdict(retval, data.length);
        counts[({ KEEP: 'kept', TRIM: 'trimmed', DROP: 'dropped' } as const)[verdict as 'KEEP']]++;
        counts.bytesKept += kept!;
        counts.bytesCut += data.length - kept!;
      } else counts.verdicts.set(retval, (counts.verdicts.get(retval) ?? 0) + 1);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const reason = data.length < 14 ? 'shorter than 14 bytes' : error.message;
      counts.refused.set(reason, (counts.refused.get(reason) ?? 0) + 1);
    }
    drain();
  }
  return outcome(kernel, object, counts, records, trace);
}

/** @param piece bytes that are fed at once */
function manyAtOnce(file: string, bytes: Uint8Array, name?: string, piece = 1 << 20): Outcome {
  const trace: string[] = [];
  const kernel = createKernel({ trace: (line) => trace.push(line) });
  const { object, entry } = load(kernel, file, name);
  const { records, drain } = watch(kernel, object);
  using run = kernel.captureRun(object.program(entry).fd, { name: 'capture', drain });
  for (let at = 0; at < bytes.length; at += piece) run.feed(bytes.subarray(at, at + piece));
  const counts = run.end();
  return outcome(kernel, object, counts, records, trace);
}

/** The same packets in another format, byte order or resolution. */
function rewritten(
  bytes: Uint8Array,
  format: CaptureFormat,
  littleEndian: boolean,
  resolution: 'us' | 'ns',
): Uint8Array {
  const parts: Uint8Array[] = [];
  let writer: CaptureWriter | undefined;
  const frames = new FrameConverter('capture');
  for (const packet of readCapture(bytes, 'capture')) {
    if (!writer) {
      writer = new CaptureWriter({ format, littleEndian, resolution });
      parts.push(writer.header());
    }
    const { seconds, nanoseconds, originalLength, comment, flags } = packet;
    parts.push(
      writer.packet({
        data: frames.frame(packet),
        seconds,
        nanoseconds,
        originalLength,
        ...(comment !== undefined && { comment }),
        ...(flags !== undefined && { flags }),
      }),
    );
  }
  return new Uint8Array(Buffer.concat(parts));
}

describe('many packets at once', () => {
  for (const example of EXAMPLES) {
    for (const capture of CAPTURES) {
      it(`${example} over ${capture} comes to what one at a time does`, () => {
        const bytes = readFileSync(join('examples/captures', capture));
        const file = join('examples', example);
        expect(manyAtOnce(file, bytes)).toEqual(oneByOne(file, bytes));
      });
    }
  }

  it('reads every format, byte order and resolution', () => {
    const bytes = readFileSync('examples/captures/mixed.pcap');
    const file = 'examples/firewall.o';
    const whole = oneByOne(file, bytes);
    for (const format of ['pcap', 'pcapng'] as const) {
      for (const little of [true, false]) {
        for (const resolution of ['us', 'ns'] as const) {
          const copy = rewritten(bytes, format, little, resolution);
          expect(manyAtOnce(file, copy), `${format} ${little} ${resolution}`).toEqual(whole);
        }
      }
    }
  });

  it('takes records that lie across pieces, whatever their size', () => {
    const bytes = readFileSync('examples/captures/mixed.pcap');
    for (const copy of [bytes, rewritten(bytes, 'pcapng', true, 'us')]) {
      const whole = oneByOne('examples/syn_counter.o', copy);
      for (const piece of [1, 7, 100, 4099, 20_000]) {
        expect(manyAtOnce('examples/syn_counter.o', copy, undefined, piece), `${piece}`).toEqual(whole);
      }
    }
  });
});
