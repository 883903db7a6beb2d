import { InputError } from '../../base/error.ts';
import { STATS_TYPES } from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import { waitForInterrupt } from '../grammar/interrupt.ts';
import { attempt } from '../grammar/refusal.ts';
import { infoOf, takeProgram } from '../grammar/selectors.ts';
import { isPrefix, parseNumber } from '../grammar/words.ts';

/** The processor's counters, which bpftool reads before and after each run. */
const COUNTERS = ['cycles', 'instructions', 'l1d_loads', 'llc_misses', 'itlb_misses', 'dtlb_misses'];

/**
 * `prog profile PROG [duration SECONDS] [METRICs]`: how often the program runs and how long it takes, until interrupted or
 * for so many seconds.
 */
export async function profileProgram(call: Call): Promise<void> {
  const { words, out, io } = call;
  words.need(2);
  const world = await call.world();
  const { kernel } = world;
  const fd = takeProgram(call, world);
  let seconds = Number.POSITIVE_INFINITY;
  if (isPrefix(words.peek(), 'duration')) {
    words.skip();
    words.need(1);
    const word = words.take();
    const given = parseNumber(word);
    if (given === undefined || given === 0)
      throw new InputError('cli-prog', `invalid profiling duration: ${word}`);
    seconds = given;
  }
  const word = words.peek();
  if (word !== undefined) {
    const metric = COUNTERS.find((name) => isPrefix(word, name));
    if (metric === undefined) throw new InputError('cli-prog', `unknown metric ${word}`);
    throw new InputError(
      'cli-prog',
      `the processor's counter of ${metric} can't be read around a program here: leave the metrics out for its runs and their time, or count with "perf stat -b PROG_ID"`,
      { errno: 'EOPNOTSUPP' },
    );
  }
  const stats = attempt('failed to enable run statistics', () =>
    kernel.bpf.enable_stats({ type: STATS_TYPES.BPF_STATS_RUN_TIME }),
  );
  const before = infoOf(kernel, fd, 'prog');
  await waitForInterrupt(io, seconds * 1000);
  const after = infoOf(kernel, fd, 'prog');
  kernel.closeFd(stats);
  const runs = after.run_cnt - before.run_cnt;
  const time = after.run_time_ns - before.run_time_ns;
  if (out.json) {
    out.json.startArray();
    for (const [metric, value] of [
      ['run_cnt', runs],
      ['run_time_ns', time],
    ] as const) {
      out.json.startObject().field('metric', metric).field('value', value).endObject();
    }
    out.json.endArray();
    return;
  }
  out.print(`\n${String(runs).padStart(18)} run_cnt\n${String(time).padStart(18)} run_time_ns\n`);
}
