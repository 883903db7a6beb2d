/**
 * How fast `skep run` goes over a capture: the built command (`npm run build` first) over a capture that is made for it in a
 * temporary folder and removed afterwards.
 *
 *     npx tsx scripts/bench-pcap.ts [--packets N] [--rounds N] [--large]
 *
 * The capture has packets of 64 to 128 bytes of 4,096 TCP and UDP flows, always the same. Times are from the first read to
 * the last verdict, medians over the rounds; the file is in the page cache. Prints `figure` lines:
 *
 *   pcap_mpps       million packets a second of the 5-tuple parser (`five_tuple` of bench/capture.c), one processor
 *   pcap_flows_mpps the same of `count_flows`, which keeps a hash map of flows
 *   cpus2_ratio     two processors (`--cpus 2`) against one, of the 5-tuple parser
 *   cpus2_flows_ratio   the same of `count_flows`, of which each flow's packets go to one processor
 *   cpus2_ceiling   two processes at once, each on one processor, against one: what the machine has for a second processor
 *   cpus2_cpu_ratio processor time, user's and system's, of a run on two processors against one's, start-up included
 *   first_packet_ms, first_packet_ratio   a whole `skep run` of one packet, and that against `node -e 0`
 *   pcap_rss_mb     most memory that the whole process had, in MB; with --large over a capture of 10 GB
 */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CaptureWriter } from '../src/pcap/index.ts';

const CLI = 'dist/cli.js';
const OBJECT = 'bench/capture.o';
const LARGE = 10e9;
/** Packets that are made; a larger capture has them again and again. */
const DISTINCT = 100_000;
const FLOWS = 4096;

const { values } = parseArgs({
  options: {
    packets: { type: 'string', default: '10000000' },
    rounds: { type: 'string', default: '5' },
    large: { type: 'boolean', default: false },
  },
});

/** Numbers that look random and are the same each time. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
}

/** One flow's packet: Ethernet, IPv4, TCP or UDP. */
function packetOf(flow: number, size: number, fill: () => number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = fill();
  const view = new DataView(bytes.buffer);
  const next = generator(flow + 1);
  view.setUint16(12, 0x0800);
  view.setUint8(14, 0x45);
  view.setUint16(16, size - 14);
  view.setUint8(23, next() % 4 === 0 ? 17 : 6);
  view.setUint32(26, 0x0a000000 + (next() & 0xffff));
  view.setUint32(30, 0x0a010000 + (next() & 0xff));
  view.setUint16(34, 1024 + (next() % 60_000));
  view.setUint16(36, next() % 1024);
  return bytes;
}

/** Writes a capture of at least so many packets or bytes. @returns packets */
function makeCapture(path: string, packets: number, bytes: number): number {
  const writer = new CaptureWriter();
  const random = generator(1);
  const records: Uint8Array[] = [];
  for (let i = 0; i < DISTINCT; i++) {
    const data = packetOf(random() % FLOWS, 64 + (random() % 65), random);
    records.push(writer.packet({ data, originalLength: data.length, seconds: 1e9 + i, nanoseconds: 0 }));
  }
  const round = new Uint8Array(Buffer.concat(records));
  const fd = openSync(path, 'wx');
  try {
    let size = writeSync(fd, writer.header());
    let count = 0;
    while (count + DISTINCT <= packets || size < bytes) {
      size += writeSync(fd, round);
      count += DISTINCT;
    }
    for (let i = 0; count < packets; i++, count++) writeSync(fd, records[i]!);
    return count;
  } finally {
    closeSync(fd);
  }
}

interface Answer {
  readonly packets: number;
  readonly elapsed_ms: number;
  readonly verdicts: readonly { readonly name: string; readonly packets: number }[];
  readonly maxRss: number;
  /** Milliseconds of processor time, of the user and of the system. */
  readonly cpu: number;
}

/** Has the child tell at its end how much memory and time of processors it had. */
const TELL =
  "data:text/javascript,process.on('exit',()=>{const{maxRSS,userCPUTime,systemCPUTime}=process.resourceUsage();" +
  "process.stderr.write('used '+maxRSS+' '+(userCPUTime+systemCPUTime))})";

function argvOf(program: string, capture: string, options: readonly string[]): string[] {
  const argv = ['--import', TELL, CLI, 'run', OBJECT, program, '--pcap', capture, '--json'];
  return [...argv, '--map', 'protocols', ...options];
}

function answerOf(status: number | null, stdout: string, stderr: string): Answer {
  const [, maxRss, cpu] = /used (\d+) (\d+)/.exec(stderr) ?? [];
  if (status !== 0 || maxRss === undefined || cpu === undefined) {
    throw new Error(`skep run ended with ${status}: ${stdout}${stderr}`);
  }
  return { ...(JSON.parse(stdout) as Answer), maxRss: Number(maxRss) * 1024, cpu: Number(cpu) / 1000 };
}

function run(program: string, capture: string, options: readonly string[] = []): Answer {
  const { status, stdout, stderr } = spawnSync(process.execPath, argvOf(program, capture, options), {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return answerOf(status, stdout, stderr);
}

/** The same, beside others. */
function begin(program: string, capture: string): Promise<Answer> {
  const child = spawn(process.execPath, argvOf(program, capture, []), { stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      texts[stream] += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => {
      try {
        resolve(answerOf(status, texts.stdout, texts.stderr));
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** Milliseconds of a whole process. */
function wholeProcess(argv: readonly string[]): number {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${argv.join(' ')} ended with ${status}: ${stderr}`);
  return performance.now() - start;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
}

function figure(name: string, value: number, digits = 1): void {
  console.log(`figure ${name} ${value.toFixed(digits)}`);
}

if (!existsSync(CLI)) throw new Error(`there is no ${CLI}: run npm run build first`);
const folder = mkdtempSync(join(tmpdir(), 'skep-bench-'));
try {
  const capture = join(folder, 'packets.pcap');
  const packets = makeCapture(capture, Number(values.packets), 0);
  console.log(`${packets} packets, ${(statSync(capture).size / 1e6).toFixed(0)} MB`);
  const speeds: Record<string, number[]> = {};
  const note = (key: string, value: number) => {
    speeds[key] ??= [];
    speeds[key].push(value);
  };
  let memory = 0;
  // What a round takes is read once before, so that it is in the page cache.
  run('five_tuple', capture);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const program of ['five_tuple', 'count_flows']) {
      for (const cpus of [1, 2]) {
        const answer = run(program, capture, ['--cpus', `${cpus}`]);
        if (answer.packets !== packets) throw new Error(`${program} ran on ${answer.packets} of ${packets}`);
        note(`${program} ${cpus}`, packets / answer.elapsed_ms / 1000);
        note(`${program} ${cpus} cpu`, answer.cpu);
        if (cpus === 1) memory = Math.max(memory, answer.maxRss);
      }
    }
    const both = await Promise.all([begin('five_tuple', capture), begin('five_tuple', capture)]);
    note(
      'five_tuple both',
      both.reduce((sum, { elapsed_ms }) => sum + packets / elapsed_ms / 1000, 0),
    );
  }
  const of = (key: string) => median(speeds[key]!);
  for (const key of Object.keys(speeds)) {
    console.log(`  ${key.padEnd(18)} ${speeds[key]!.map((value) => value.toFixed(1)).join(' ')}`);
  }
  console.log(
    `load average ${loadavg()[0]!.toFixed(1)}: million packets a second, and milliseconds of processors`,
  );
  figure('pcap_mpps', of('five_tuple 1'));
  figure('pcap_flows_mpps', of('count_flows 1'));
  figure('cpus2_ratio', of('five_tuple 2') / of('five_tuple 1'), 2);
  figure('cpus2_flows_ratio', of('count_flows 2') / of('count_flows 1'), 2);
  figure('cpus2_ceiling', of('five_tuple both') / of('five_tuple 1'), 2);
  figure('cpus2_cpu_ratio', of('five_tuple 2 cpu') / of('five_tuple 1 cpu'), 2);
  const one = join(folder, 'one.pcap');
  makeCapture(one, 1, 0);
  for (let round = 0; round < 3 * Number(values.rounds); round++) {
    note('first packet', wholeProcess([CLI, 'run', OBJECT, 'five_tuple', '--pcap', one]));
    note('node', wholeProcess(['-e', '0']));
  }
  figure('first_packet_ms', of('first packet'), 0);
  figure('first_packet_ratio', of('first packet') / of('node'), 2);
  if (values.large) {
    const large = join(folder, 'large.pcap');
    rmSync(capture);
    const count = makeCapture(large, 0, LARGE);
    const answer = run('five_tuple', large);
    if (answer.packets !== count) throw new Error(`ran on ${answer.packets} of ${count} packets`);
    console.log(`${count} packets, ${(statSync(large).size / 1e9).toFixed(1)} GB`);
    memory = answer.maxRss;
  }
  figure('pcap_rss_mb', memory / 1e6, 0);
} finally {
  rmSync(folder, { recursive: true });
}
