/** Time and random numbers, as compiled programs see them: what the kernel is given, no more and no less often. */
import { describe, expect, it } from 'vitest';
import { assembleLlvm } from '../../src/isa/index.ts';
import { createKernel, type EmbeddedKernel, SimulatedClock } from '../../src/kernel/index.ts';
import type { Fd } from '../../src/sys/index.ts';

const KTIME = 5;
const PRANDOM = 7;
const KTIME_BOOT = 125;
const KTIME_COARSE = 160;
const JIFFIES = 118;

/** A program that writes what calls of a helper answer into its packet, 8 bytes each. */
function load({ bpf }: EmbeddedKernel, helper: number, calls: number): Fd {
  const text = [
    'r6 = *(u32 *)(r1 + 0)',
    'r7 = *(u32 *)(r1 + 4)',
    'r8 = r6',
    `r8 += ${8 * calls}`,
    `if r8 > r7 goto +${2 * calls}`,
    ...Array.from({ length: calls }, (_, i) => [`call ${helper}`, `*(u64 *)(r6 + ${8 * i}) = r0`]).flat(),
    'r0 = 2',
    'exit',
  ].join('\n');
  return bpf.prog_load({ prog_type: 'xdp', insns: assembleLlvm(text).bytes, license: 'GPL' }).fd;
}

function run({ bpf }: EmbeddedKernel, prog_fd: Fd, calls: number): bigint[] {
  const size = Math.max(8 * calls, 64);
  const { data_out } = bpf.prog_test_run({ prog_fd, data_in: new Uint8Array(size), data_size_out: size });
  return [...new BigUint64Array(data_out!.slice().buffer, 0, calls)];
}

describe('random numbers', () => {
  const numbers = (interpret: boolean, change?: (kernel: EmbeddedKernel) => void) => {
    using kernel = createKernel({ interpret, random: 7 });
    const program = load(kernel, PRANDOM, 8);
    const found = run(kernel, program, 8);
    change?.(kernel);
    return [...found, ...run(kernel, program, 8)];
  };

  it('are those of the seed, compiled and interpreted', () => {
    const compiled = numbers(false);
    expect(compiled).toEqual(numbers(true));
    expect(new Set(compiled).size).toBe(16);
    expect(compiled.every((number) => number < 1n << 32n)).toBe(true);
  });

  it('begin anew with a new seed, and come from a function that is given', () => {
    for (const interpret of [false, true]) {
      const again = numbers(interpret, (kernel) => kernel.setRandom(7));
      expect(again.slice(8)).toEqual(again.slice(0, 8));
      let next = 0;
      const given = numbers(interpret, (kernel) => kernel.setRandom(() => next++));
      expect(given.slice(8)).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n]);
      expect(next).toBe(8);
    }
  });

  it('go on where they were when programs come and go', () => {
    const alone = numbers(false);
    using kernel = createKernel({ random: 7 });
    const found = [0, 1].flatMap(() => {
      const program = load(kernel, PRANDOM, 8);
      const some = run(kernel, program, 8);
      kernel.closeFd(program);
      return some;
    });
    expect(found).toEqual(alone);
  });
});

describe('the clock', () => {
  it.each([KTIME, KTIME_BOOT])('of the host is as it is at each first read (helper %d)', (helper) => {
    using kernel = createKernel();
    const program = load(kernel, helper, 2);
    const time = () => BigInt(Math.floor(performance.now() * 1e6));
    for (let round = 0; round < 100; round++) {
      const before = time();
      const [first, second] = run(kernel, program, 2) as [bigint, bigint];
      expect(first).toBeGreaterThanOrEqual(before);
      expect(second).toBeGreaterThanOrEqual(first);
      expect(second).toBeLessThanOrEqual(time());
    }
  });

  it('of the host goes on within a run', () => {
    using kernel = createKernel();
    const times = run(kernel, load(kernel, KTIME, 400), 400);
    expect(times.every((time, i) => i === 0 || time >= times[i - 1]!)).toBe(true);
    expect(new Set(times).size).toBeGreaterThan(3);
  });

  it('of the host has ticks', () => {
    using kernel = createKernel();
    using interpreted = createKernel({ interpret: true });
    const [first] = run(interpreted, load(interpreted, JIFFIES, 1), 1);
    const [jiffies] = run(kernel, load(kernel, JIFFIES, 1), 1);
    const [last] = run(interpreted, load(interpreted, JIFFIES, 1), 1);
    expect(jiffies).toBeGreaterThanOrEqual(first!);
    expect(jiffies).toBeLessThanOrEqual(last!);
    const [coarse] = run(kernel, load(kernel, KTIME_COARSE, 1), 1);
    expect(coarse! % 4_000_000n).toBe(0n);
  });

  it('that is given is asked at every read', () => {
    using kernel = createKernel({ clock: new SimulatedClock(1000n, 10n) });
    const times = run(kernel, load(kernel, KTIME, 8), 8);
    expect(times.map((time, i) => i > 0 && time - times[i - 1]!).slice(1)).toEqual(new Array(7).fill(10n));
  });
});
