import { InputError } from '../../base/error.ts';
import { type Fd, type Kernel, STATS_TYPES } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { waitForInterrupt } from '../grammar/interrupt.ts';
import { attempt, errnoOf, exitWith, INVALID, refusedAs, Usage } from '../grammar/refusal.ts';
import { infoOf, takeProgram } from '../grammar/selectors.ts';
import { isPrefix, parseNumber } from '../grammar/words.ts';
import {
  countedLine,
  MAX_METRICS,
  METRICS,
  type Metric,
  metricLine,
  type Reading,
} from './profile-metrics.ts';
import {
  makeProfileMaps,
  type ProfileEnd,
  type ProfileMaps,
  profileProgram,
  readProfile,
} from './profile-programs.ts';

const ENDS = {
  entry: { attach: 'trace_fentry', name: 'profile_entry' },
  exit: { attach: 'trace_fexit', name: 'profile_exit' },
} as const;

/**
 * `prog profile PROG [duration SECONDS] METRICs`: what the processor counted while the program ran, until interrupted or for so
 * many seconds. Without metrics, its runs and their time.
 */
export async function profileRuns(call: Call): Promise<void> {
  const { words, io } = call;
  await exitWith(INVALID, async () => words.need(2));
  const world = await call.world();
  const { kernel } = world;
  const fd = takeProgram(call, world);
  const milliseconds = takeDuration(call);
  const metrics = takeMetrics(call);
  if (metrics.length === 0) {
    const stats = attempt('failed to enable run statistics', () =>
      kernel.bpf.enable_stats({ type: STATS_TYPES.BPF_STATS_RUN_TIME }),
    );
    const before = infoOf(kernel, fd, 'prog');
    await waitForInterrupt(io, milliseconds);
    const after = infoOf(kernel, fd, 'prog');
    kernel.closeFd(stats);
    printRuns(call, after.run_cnt - before.run_cnt, after.run_time_ns - before.run_time_ns);
    return;
  }
  if (kernel.name === 'embedded') throw uncounted(metrics);
  const profile = startProfile(call, kernel, fd, metrics);
  await waitForInterrupt(io, milliseconds);
  profile.stop();
  const { runs, readings } = readProfile(kernel, profile.maps, metrics.length);
  printMetrics(call, metrics, runs, readings);
}

/** The embedded kernel's programs are WebAssembly, which no counter of the processor's is for. */
function uncounted(metrics: readonly Metric[]): InputError {
  const names = metrics.map(({ name }) => name).join(', ');
  return new InputError(
    'cli-prog',
    `the embedded kernel can't read the processor's counters (${names}): leave the metrics out for the program's runs and their time`,
    { errno: 'EOPNOTSUPP' },
  );
}

/** Milliseconds, or without end. */
function takeDuration({ words }: Call): number | undefined {
  if (words.left < 2 || !isPrefix(words.peek(), 'duration')) return undefined;
  words.skip();
  const seconds = parseNumber(words.take());
  if (seconds === undefined) throw new Usage();
  return seconds * 1000;
}

/** Those that the rest of the words name, in the order of their table. */
function takeMetrics({ words }: Call): readonly Metric[] {
  const wanted = new Set<Metric>();
  for (const word of words.rest) {
    const metric = METRICS.find(({ name }) => isPrefix(word, name));
    if (!metric) throw new InputError('cli-prog', `unknown metric ${word}`);
    wanted.add(metric);
  }
  words.skip(words.left);
  if (wanted.size > MAX_METRICS) {
    throw new InputError(
      'cli-prog',
      `too many (${wanted.size}) metrics, please specify no more than ${MAX_METRICS} metrics at a time`,
    );
  }
  return METRICS.filter((metric) => wanted.has(metric));
}

/** A profile that counts. Its maps are open until the command ends. */
interface Profile {
  readonly maps: ProfileMaps;
  readonly stop: () => void;
}

function startProfile(call: Call, kernel: Kernel, target: Fd, metrics: readonly Metric[]): Profile {
  const attach_btf_id = targetType(kernel, target);
  const maps = attemptAs('failed to load profile_obj', () => makeProfileMaps(kernel, metrics.length));
  const load = (end: ProfileEnd): Fd =>
    kernel.bpf.prog_load({
      prog_type: 'tracing',
      expected_attach_type: ENDS[end].attach,
      insns: profileProgram(end, maps, metrics.length, kernel.possibleCpus),
      license: 'Dual BSD/GPL',
      prog_name: ENDS[end].name,
      attach_btf_id,
      attach_prog_fd: target,
    }).fd;
  const programs = attemptAs('failed to load profile_obj', () => [load('entry'), load('exit')]);
  const events = metrics.flatMap((metric, i) => openEvents(call, kernel, maps, metric, i));
  const links = attemptAs('failed to attach profile_obj', () =>
    programs.map((prog_fd) => kernel.bpf.raw_tracepoint_open({ prog_fd })),
  );
  return {
    maps,
    stop: () => {
      for (const fd of [...links, ...events]) kernel.closeFd(fd);
    },
  };
}

/** The type of the program's first function, in the program's own types: what a trampoline is attached to. */
function targetType(kernel: Kernel, target: Fd): number {
  const info = infoOf(kernel, target, 'prog');
  if (info.btf_id === 0) {
    throw new InputError('cli-prog', `prog FD ${target} doesn't have valid btf`);
  }
  if (info.func_info.length === 0) {
    throw new InputError('cli-prog', `found 0 func_info for prog FD ${target}`);
  }
  return new DataView(info.func_info.buffer, info.func_info.byteOffset).getUint32(4, true);
}

/** A counter on each processor, put where the programs find it. Those that are offline have none. */
function openEvents(
  { out }: Call,
  kernel: Kernel,
  { events }: ProfileMaps,
  { name, type, config }: Metric,
  index: number,
): Fd[] {
  const { possibleCpus } = kernel;
  return Array.from({ length: possibleCpus }, (_, cpu) => cpu).flatMap((cpu): Fd[] => {
    try {
      const event = kernel.os.perf_event_open({ type, config, cpu, exclude_user: true });
      const key = new Uint8Array(Uint32Array.of(index * possibleCpus + cpu).buffer);
      const value = new Uint8Array(Uint32Array.of(event).buffer);
      kernel.bpf.map_update_elem({ map_fd: events, key, value });
      return [event];
    } catch (error) {
      if (errnoOf(error) === 'ENODEV') {
        out.info(`cpu ${cpu} may be offline, skip ${name} profiling.`);
        return [];
      }
      throw refusedAs(`failed to create event ${name} on cpu ${cpu}`, error);
    }
  });
}

function attemptAs<T>(message: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw errnoOf(error) === undefined ? error : refusedAs(message, error);
  }
}

function printRuns({ out }: Call, runs: bigint, time: bigint): void {
  const { json } = out;
  if (json) {
    json.startArray();
    json.startObject().field('metric', 'run_cnt').field('value', runs).endObject();
    json.startObject().field('metric', 'run_time_ns').field('value', time).endObject();
    json.endArray();
    return;
  }
  const mean = runs === 0n ? '' : `# ${(Number(time) / Number(runs)).toFixed(2).padStart(8)} ns per run`;
  out.print(`\n${countedLine(runs, 'run_cnt')}\n${countedLine(time, 'run_time_ns')}${mean}\n`);
}

function printMetrics(
  { out }: Call,
  metrics: readonly Metric[],
  runs: bigint,
  readings: readonly Reading[],
): void {
  const { json } = out;
  if (!json) {
    const byName = new Map(metrics.map(({ name }, i) => [name, readings[i]!]));
    const lines = metrics.map((metric) => metricLine(metric, byName));
    out.print(`\n${countedLine(runs, 'run_cnt')}\n${lines.join('')}`);
    return;
  }
  json.startArray();
  for (const [i, { name }] of metrics.entries()) {
    const { counter, enabled, running } = readings[i]!;
    json.startObject().field('metric', name).field('run_cnt', runs).field('value', counter);
    json.field('enabled', enabled).field('running', running).endObject();
  }
  json.endArray();
}
