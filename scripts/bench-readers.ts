/**
 * How many records a second the readers take, of ring and perf buffers, on both kernels, at 64 and 1024 bytes. A program
 * fills the buffer by BPF_PROG_TEST_RUN, which is not timed; then the reader drains it, which is. Every record is looked at.
 *
 * Usage: tsx scripts/bench-readers.ts [--long [RECORDS]] [--seconds N]
 *   --long   in place of that, reads so many records (default 100 million) on each kernel and watches the memory
 *
 * Prints `figure ring64_embedded_mrps` and its like: million records a second of the processor's time, which other processes
 * on the machine do not distort.
 */
import { createKernel } from '../src/kernel/index.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import {
  type BufferRecord,
  openPerfBuffer,
  openRingBuffer,
  type RecordReader,
} from '../src/loader/readers/index.ts';
import type { Fd, Kernel } from '../src/sys/index.ts';
import { perfAttr, perfWriter, ringAttr, ringWriter, type Writer } from '../test/loader/streams.ts';

const option = (name: string) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
};
const seconds = Number(option('--seconds') ?? 2);
const RING = 1 << 22;
const PACKET = new Uint8Array(64);

interface Bench {
  readonly reader: RecordReader;
  readonly writer: Writer;
  /** Records that one filling takes. */
  readonly batch: number;
  readonly close: () => void;
}

function ring(kernel: Kernel, size: number): Bench {
  const map = kernel.bpf.map_create(ringAttr(RING));
  const writer = ringWriter(kernel, map, size);
  const reader = openRingBuffer(kernel, map);
  const batch = Math.floor((RING - 1) / Math.ceil((size + 8) / 8) / 8) - 1;
  return { reader, writer, batch, close: closer(kernel, reader, [map, ...writer.fds]) };
}

function perf(kernel: Kernel, size: number): Bench {
  const map = kernel.bpf.map_create(perfAttr(kernel.possibleCpus));
  const writer = perfWriter(kernel, map, size);
  const reader = openPerfBuffer(kernel, map, { pages: RING / 4096, wakeup: { bytes: RING / 2 } });
  const batch = Math.floor((RING - 1) / Math.ceil((size + 12) / 8) / 8) - 1;
  return { reader, writer, batch, close: closer(kernel, reader, [map, ...writer.fds]) };
}

const closer = (kernel: Kernel, reader: RecordReader, fds: readonly Fd[]) => () => {
  reader.close();
  for (const fd of fds) kernel.closeFd(fd);
};

/** Fills the buffer; what a perf buffer loses where the runs stay on one CPU is not read. */
function fill({ bpf }: Kernel, { writer, batch }: Bench): void {
  bpf.prog_test_run({ prog_fd: writer.fd, data_in: PACKET, repeat: batch, data_size_out: 0 });
}

let looked = 0;
const look = (record: BufferRecord) => {
  looked += record.bytes[record.offset + record.size - 1]!;
};

function measure(kernel: Kernel, bench: Bench): number {
  const { reader } = bench;
  let records = 0;
  let milliseconds = 0;
  const end = performance.now() + seconds * 4000;
  // Filling takes longer than reading.
  for (let round = 0; round < 10 || (milliseconds < seconds * 1000 && performance.now() < end); round++) {
    fill(kernel, bench);
    const start = process.cpuUsage();
    const count = reader.drain(look);
    // The first rounds only warm up.
    if (round < 5) continue;
    const { user, system } = process.cpuUsage(start);
    milliseconds += (user + system) / 1000;
    records += count;
  }
  return records / milliseconds / 1000;
}

function long(kernel: Kernel, bench: Bench, wanted: number): void {
  const { reader } = bench;
  fill(kernel, bench);
  reader.drain(look);
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  const start = performance.now();
  for (let records = 0, round = 0; records < wanted; round++) {
    fill(kernel, bench);
    records += reader.drain(look);
    if (round % 100 > 0) continue;
    const { rss } = process.memoryUsage();
    // What was there at first is not the reader's.
    if (records > wanted / 20) least = Math.min(least, rss);
    if (records > wanted / 20) most = Math.max(most, rss);
  }
  const grown = Math.round((most - least) / 2 ** 20);
  const took = ((performance.now() - start) / 1000).toFixed(0);
  console.log(`${kernel.name}: ${reader.records} records, ${took} s, memory within ${grown} MiB`);
  console.log(`figure readers_long_records_${kernel.name} ${reader.records}`);
  console.log(`figure readers_long_growth_mib_${kernel.name} ${grown}`);
}

const status = linuxStatus();
if (!status.ok) console.log(`linux: skipped, ${status.reason}`);
const kernels: readonly Kernel[] = [createKernel(), ...(status.ok ? [openLinux()] : [])];
const KINDS = { ring, perf } as const;
for (const kernel of kernels) {
  if (process.argv.includes('--long')) {
    const bench = ring(kernel, 64);
    long(kernel, bench, Number(option('--long') ?? 1e8) || 1e8);
    bench.close();
    continue;
  }
  for (const [kind, open] of Object.entries(KINDS)) {
    for (const size of [64, 1024]) {
      const bench = open(kernel, size);
      const rate = measure(kernel, bench);
      const name = `${kind}${size}_${kernel.name}_mrps`;
      console.log(
        `${name.padEnd(28)} ${rate.toFixed(2)} million records a second, ${(rate * size).toFixed(0)} MB a second`,
      );
      console.log(`figure ${name} ${rate.toFixed(2)}`);
      bench.close();
    }
  }
}
if (looked < 0) throw new Error('no record was looked at');
for (const kernel of kernels) kernel.close();
