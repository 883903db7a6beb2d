/** `prog profile`: its words, and the programs that read counters. */
import { describe, expect, it } from 'vitest';
import { METRICS, metricLine, type Reading } from '../../src/cli/prog/profile-metrics.ts';
import { makeProfileMaps, profileProgram, readProfile } from '../../src/cli/prog/profile-programs.ts';
import { linuxStatus, openLinux } from '../../src/index.ts';
import { PERF_SOFTWARE, PERF_TYPES } from '../../src/sys/index.ts';
import { kernelWorld } from './kernel-world.ts';

const { ok, run } = kernelWorld();
const PIN = '/sys/fs/bpf/profiled';

describe('prog profile', () => {
  it('counts runs and their time where no metric is named', async () => {
    await ok(`prog load examples/syn_counter.o ${PIN}`);
    const text = await ok(`prog profile pinned ${PIN} duration 0`);
    expect(text).toMatch(/^\n {17}0 run_cnt {13}\n {17}0 run_time_ns {9}\n$/);
    expect(JSON.parse(await ok(`-j prog profile pinned ${PIN} dur 0`))).toEqual([
      { metric: 'run_cnt', value: 0 },
      { metric: 'run_time_ns', value: 0 },
    ]);
  });

  it.each([
    ['cyc instr', 255, "the embedded kernel can't read the processor's counters (cycles, instructions)"],
    ['duration 1 bogus', 255, 'unknown metric bogus'],
    [METRICS.map(({ name }) => name).join(' '), 255, 'too many (6) metrics, please specify no more than 4'],
    ['duration one cycles', 255, 'Usage: '],
  ])('%s: %i, %s', async (words, code, message) => {
    const answer = await run(`prog profile pinned ${PIN} ${words}`);
    expect(answer.code).toBe(code);
    expect(answer.stderr).toContain(message);
  });

  it('needs words', async () => {
    expect(await run('prog profile')).toMatchObject({
      code: 234,
      stderr: "Error: 'profile' needs at least 2 arguments, 0 found\n",
    });
  });
});

describe('a line', () => {
  const reading = (counter: bigint, running = 10n): Reading => ({ counter, enabled: 10n, running });
  const [cycles, instructions] = METRICS;

  it('sets a number beside the one that it belongs to, and says what share of the time it was counted', () => {
    const readings = new Map([
      ['cycles', reading(400n)],
      ['instructions', reading(1000n, 5n)],
    ]);
    expect(metricLine(cycles!, readings)).toBe(`${'400'.padStart(18)} cycles${' '.repeat(14 + 41)}\n`);
    expect(metricLine(instructions!, readings)).toBe(
      `${'1000'.padStart(18)} instructions        #     2.50 insns per cycle               (50.00%)\n`,
    );
    expect(metricLine(instructions!, new Map([['instructions', reading(7n)]]))).toMatch(
      /7 instructions {49}\n$/,
    );
  });
});

const COUNTS = [1, 2, 3, 4];

// A machine need not have counters, nor let trampolines be attached: the programs run on a software clock and are called.
describe.skipIf(!linuxStatus().ok)('the programs, on Linux', () => {
  it.each(COUNTS)('sum what %i counters grow by from entry to exit', (metrics) => {
    using kernel = openLinux();
    const { bpf, possibleCpus: cpus } = kernel;
    const maps = makeProfileMaps(kernel, metrics);
    const [entry, exit] = (['entry', 'exit'] as const).map(
      (end) =>
        bpf.prog_load({
          prog_type: 'raw_tracepoint',
          insns: profileProgram(end, maps, metrics, cpus),
          license: 'GPL',
        }).fd,
    );
    for (let at = 0; at < metrics * cpus; at++) {
      const event = kernel.os.perf_event_open({
        type: PERF_TYPES.PERF_TYPE_SOFTWARE,
        config: PERF_SOFTWARE.PERF_COUNT_SW_CPU_CLOCK,
        cpu: at % cpus,
      });
      const [key, value] = [at, event].map((number) => new Uint8Array(Uint32Array.of(number).buffer));
      bpf.map_update_elem({ map_fd: maps.events, key: key!, value: value! });
    }
    for (let i = 0; i < 3 * cpus; i++) {
      for (const prog_fd of [entry!, exit!]) bpf.prog_test_run({ prog_fd, cpu: i % cpus, flags: 1 });
    }
    const { runs, readings } = readProfile(kernel, maps, metrics);
    expect(runs).toBe(BigInt(3 * cpus));
    expect(readings).toHaveLength(metrics);
    for (const { counter, enabled, running } of readings) {
      expect(counter).toBeGreaterThan(0n);
      expect(counter).toBeLessThan(10_000_000_000n);
      expect([enabled > 0n, enabled >= running]).toEqual([true, true]);
    }
  });
});
