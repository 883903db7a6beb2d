import { InputError } from '../base/error.ts';
import { type LoadedObject, loadObject, type ObjectSpec, parseObject } from '../loader/index.ts';
import type { CaptureInterface } from '../pcap/index.ts';
import { readWhole } from './files.ts';
import { EXIT, type Io } from './io.ts';
import { kernelTypes } from './kernel-types.ts';
import { type Arguments, type CommandFact, countOption, JSON_OPTION } from './options.ts';
import type { Command } from './registry.ts';
import { runBatches, tallyOf } from './run/batches.ts';
import { globalValues, mapContents } from './run/contents.ts';
import { CaptureInput } from './run/input.ts';
import { type KernelName, type ObservedKernel, openKernel } from './run/kernel.ts';
import { OutFile } from './run/out-file.ts';
import { Progress } from './run/progress.ts';
import { type RecordCount, type RunReport, reportText, SHOWN } from './run/report.ts';
import { runCapture } from './run/runner.ts';
import { FrameSource } from './run/source.ts';
import { emptyTally, type Tally } from './run/tally.ts';
import { type PacketType, packetType } from './run/verdicts.ts';

const fact: CommandFact = {
  name: 'run',
  about: 'run a program over a capture; print its verdicts and what its maps hold',
  positionals: [{ name: 'OBJECT' }, { name: 'PROGRAM', optional: true }],
  options: [
    { name: '--pcap', value: 'IN', about: 'the capture: pcap or pcapng; - is standard input' },
    {
      name: '--out',
      value: 'OUT',
      about: 'write the packets as the program left them, dropped ones left out',
    },
    { name: '--repeat', value: 'N', about: 'run the program N times on each packet' },
    { name: '--cpus', value: 'N', about: 'run on N processors, each packet on that of its flow (1)' },
    {
      name: '--kernel',
      value: 'KERNEL',
      choices: ['embedded', 'linux'],
      about: 'which kernel runs it (embedded)',
    },
    {
      name: '--btf',
      value: 'FILE',
      about: "kernel types for the embedded kernel (the running Linux's, where an object needs them)",
    },
    { name: '--interpret', about: 'interpret the program, every access checked, in place of compiling it' },
    { name: '--map', value: 'NAME', about: 'show this map alone, and all of it' },
    JSON_OPTION,
  ],
  notes: `PROGRAM may be left out when the object has one entry point. Programs of type xdp, sched_cls, sched_act and
socket_filter run; packets of IP, loopback and Linux cooked captures get an Ethernet header first. A socket filter sees
the frame from its Ethernet header on, as on a packet socket. OUT is pcapng when its name ends so, else pcap, and
appears when it is whole. --repeat runs a program again on what it left of the packet, as Linux does. --cpus gives each
packet to a processor by the hash of its flow, as network cards do: packets of a flow stay in order. Each processor has its
own values in per-CPU maps. Where a program keeps nothing but sums, a large capture is shared out piece by piece: the sums
are the same.

--json prints one object: object, program, type, kernel {name, release}, capture {file, format, link_types, converted
[{link_type, how}], cut_packets}, packets, repeat, mean_ns, elapsed_ms, verdicts [{name, packets, share}], bytes {kept, cut} (socket
filters), refused [{reason, packets}], maps [{name, type, key_type, value_type, max_entries, count, entries [{key, value}
or {key, values [{cpu, value}]}]}], globals [{name, section, type, value}], records [{map, type, records, bytes, lost}], trace
[line], out {file, packets}, interrupted. Integers beyond 2^53 are strings; bytes without a type are hexadecimal.`,
};

const MOST_CPUS = 64;

/** `skep run OBJECT [PROGRAM] --pcap IN`. */
export const runCommand: Command = { fact, run };

async function run(args: Arguments, io: Io): Promise<number> {
  const path = args.positionals.get('OBJECT')!;
  const capture = args.options.get('--pcap');
  if (capture === undefined) {
    throw new InputError('cli-usage', 'skep run needs packets: give a capture with --pcap (skep help run)');
  }
  const repeat = countOption(fact, args, '--repeat', 1);
  const spec = parseObject(readWhole(path), path);
  const name = chooseProgram(spec, args.positionals.get('PROGRAM'));
  const declared = spec.programs.get(name)!.type;
  // Judged before anything is loaded: a kernel's own words about such a program would not help.
  if (declared !== undefined) packetType({ name }, declared);
  const input = CaptureInput.open(capture);
  let observed: ObservedKernel | undefined;
  try {
    const kernelName = (args.options.get('--kernel') ?? 'embedded') as KernelName;
    if (kernelName === 'linux' && args.options.has('--interpret')) {
      throw new InputError(
        'cli-usage',
        '--interpret is for the embedded kernel: Linux decides by itself (skep help run)',
      );
    }
    observed = await openKernel(kernelName, {
      btf: kernelTypes(args.options.get('--btf'), spec),
      interpret: args.options.has('--interpret'),
      cpus: processors(args, io, kernelName),
    });
    using object = loadObject(observed.kernel, spec, { programs: [name] });
    return await runLoaded({ args, io, path, repeat, input, observed, object, name });
  } finally {
    await input.close();
    observed?.kernel.close();
  }
}

/** @throws InputError where only one can do what was asked for */
function processors(args: Arguments, io: Io, kernel: KernelName): number {
  const cpus = countOption(fact, args, '--cpus', 1);
  if (cpus === 1) return 1;
  const other =
    kernel === 'linux'
      ? '--kernel linux'
      : ['--out', '--repeat', '--interpret'].find((name) => args.options.has(name));
  if (other !== undefined || cpus > MOST_CPUS) {
    const reason = other === undefined ? `is at most ${MOST_CPUS}` : `does not go with ${other}`;
    throw new InputError('cli-usage', `--cpus ${cpus} ${reason} (skep help run)`);
  }
  if (typeof SharedArrayBuffer !== 'undefined') return cpus;
  io.stderr('skep: threads can not share memory here, so the program runs on one processor\n');
  return 1;
}

/** The program that is named; else the only one that no other tail-calls. */
function chooseProgram(spec: ObjectSpec, given: string | undefined): string {
  const names = [...spec.programs.keys()];
  if (given !== undefined) {
    if (spec.programs.has(given)) return given;
    throw new InputError(
      'run-program',
      `${spec.file}: there is no program ${given}; there are: ${names.join(', ') || 'none'}`,
    );
  }
  const called = new Set(
    [...spec.maps.values()].flatMap((map) =>
      map.slots.filter((slot) => slot.kind === 'prog').map((slot) => slot.name),
    ),
  );
  const entries = names.filter((name) => !called.has(name) && !spec.programs.get(name)!.tail);
  if (entries.length === 1) return entries[0]!;
  throw new InputError(
    'run-program',
    names.length === 0
      ? `${spec.file}: the object has no programs`
      : `${spec.file}: which program? There are: ${names.join(', ')}`,
  );
}

interface Loaded {
  readonly args: Arguments;
  readonly io: Io;
  readonly path: string;
  readonly repeat: number;
  readonly input: CaptureInput;
  readonly observed: ObservedKernel;
  readonly object: LoadedObject;
  readonly name: string;
}

async function runLoaded(loaded: Loaded): Promise<number> {
  const { args, io, input, object, name, observed } = loaded;
  const only = args.options.get('--map');
  // A wrong name is told before the capture is read, not after.
  mapContents(object, only, 0);
  const program = object.program(name);
  const type = packetType(program, program.type);
  const outPath = args.options.get('--out');
  const progress = new Progress(io, input.size);
  const records = observed.watch(object);
  let interrupted = false;
  const stopListening = io.onInterrupt(() => {
    interrupted = true;
  });
  const out = outPath === undefined ? undefined : new OutFile(outPath);
  const way = { loaded, type, out, progress, interrupted: () => interrupted, drain: records.drain };
  let ran: Ran;
  try {
    ran = out === undefined && observed.captureRun ? await runManyAtOnce(way) : await runOneByOne(way);
    if (!interrupted) out?.commit();
  } finally {
    progress.end();
    out?.discard();
    stopListening();
  }
  const report = makeReport(loaded, type, ran, records.counts(), {
    only,
    interrupted,
    out: interrupted ? undefined : out,
  });
  if (args.options.has('--json')) io.stdout(`${JSON.stringify(report)}\n`);
  else io.stdout(reportText(report, only !== undefined, io.colour ? bold : (text) => text));
  if (interrupted && out !== undefined) io.stderr(`skep: interrupted, so ${out.path} was not written\n`);
  return interrupted ? EXIT.interrupted : EXIT.ok;
}

interface Way {
  readonly loaded: Loaded;
  readonly type: PacketType;
  readonly out: OutFile | undefined;
  readonly progress: Progress;
  readonly interrupted: () => boolean;
  readonly drain: () => void;
}

/** What is known of the capture when it has been run over. */
interface Ran {
  readonly tally: Tally;
  /** Milliseconds from the first read to the last verdict. */
  readonly elapsed: number;
  readonly format: string | undefined;
  readonly interfaces: readonly CaptureInterface[];
  readonly conversions: ReadonlyMap<string, string>;
}

/** What is written out again, and what Linux runs, goes packet by packet. */
async function runOneByOne({ loaded, ...way }: Way): Promise<Ran> {
  const { observed, object, name, repeat, input } = loaded;
  const source = new FrameSource(input);
  const tally = emptyTally();
  const begin = performance.now();
  await runCapture({ ...way, kernel: observed.kernel, program: object.program(name), source, repeat }, tally);
  const elapsed = performance.now() - begin;
  const { format, interfaces, conversions } = source;
  return { tally, elapsed, format, interfaces, conversions };
}

async function runManyAtOnce({ loaded, type, progress, interrupted, drain }: Way): Promise<Ran> {
  const { observed, object, name, repeat, input } = loaded;
  const options = { name: input.path, repeat, drain, source: input.source };
  await using capture = observed.captureRun!(object.program(name).fd, options);
  const elapsed = await runBatches({ capture, input, progress, interrupted });
  const { format, interfaces, conversions, counts } = capture;
  return { tally: tallyOf(counts, type), elapsed, format, interfaces, conversions };
}

function bold(text: string): string {
  return `\x1b[1m${text}\x1b[22m`;
}

interface Ending {
  readonly only: string | undefined;
  readonly interrupted: boolean;
  readonly out: OutFile | undefined;
}

function makeReport(
  loaded: Loaded,
  type: PacketType,
  { tally, elapsed, format, interfaces, conversions }: Ran,
  records: RecordCount[],
  { only, interrupted, out }: Ending,
): RunReport {
  const { args, path, repeat, input, observed, object, name } = loaded;
  const { kernel } = observed;
  const names = [...new Set([...type.usual, ...tally.verdicts.keys()])];
  const whole = only !== undefined || args.options.has('--json');
  const runs = tally.packets * repeat;
  const socket = object.program(name).type === 'socket_filter';
  return {
    object: path,
    program: name,
    type: object.program(name).type,
    kernel: { name: kernel.name, release: kernel.release },
    capture: {
      file: input.path,
      format: format ?? 'pcap',
      link_types: [...new Set(interfaces.map((item) => item.linkType.name))],
      converted: [...conversions].map(([link_type, how]) => ({ link_type, how })),
      cut_packets: tally.cutAtCapture,
    },
    packets: tally.packets,
    repeat,
    mean_ns: runs === 0 ? 0 : Math.round(tally.duration / runs),
    elapsed_ms: Math.round(elapsed * 1000) / 1000,
    verdicts: names.map((verdict) => {
      const packets = tally.verdicts.get(verdict) ?? 0;
      return { name: verdict, packets, share: tally.packets === 0 ? 0 : packets / tally.packets };
    }),
    ...(socket ? { bytes: { kept: tally.bytesKept, cut: tally.bytesCut } } : {}),
    refused: [...tally.refused].map(([reason, packets]) => ({ reason, packets })),
    maps: mapContents(object, only, whole ? Number.POSITIVE_INFINITY : SHOWN),
    globals: only === undefined ? globalValues(object) : [],
    records: only === undefined ? records : [],
    trace: only === undefined ? observed.trace() : [],
    ...(out === undefined ? {} : { out: { file: out.path, packets: out.packets } }),
    interrupted,
  };
}
