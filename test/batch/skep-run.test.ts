/** Runs over captures by the command line and as bpf(2) tells of them. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createKernel } from '../../src/kernel/index.ts';
import { loadObject, parseObject } from '../../src/loader/index.ts';
import { MIXED, skep } from '../cli/harness.ts';

const PROCESSORS = 'test/batch/processors.o';

async function report(argv: readonly string[]) {
  const { code, stdout } = await skep([...argv, '--json']);
  expect(code, stdout).toBe(0);
  return JSON.parse(stdout);
}

/** From source a thread compiles the kernel's TypeScript first, which takes a while on a machine with other work. */
const LONG = 240_000;

describe('skep run --cpus', () => {
  it(
    'comes to what one processor does, with a value for each in per-CPU maps',
    async () => {
      const argv = ['run', PROCESSORS, 'count', '--pcap', MIXED];
      const one = await report(argv);
      const many = await report([...argv, '--cpus', '2']);
      expect(many.packets).toBe(one.packets);
      expect(many.verdicts).toEqual(one.verdicts);
      const { entries } = many.maps.find((map: { name: string }) => map.name === 'each');
      expect(entries[0].values.map(({ cpu }: { cpu: number }) => cpu)).toEqual([0, 1]);
    },
    LONG,
  );

  it('names what is not done on several processors', async () => {
    const { code, stderr } = await skep(['run', 'examples/dns_events.o', '--pcap', MIXED, '--cpus', '2']);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/on several processors: \w+ calls bpf_\w+.*; run it on one \(--cpus 1\)/);
  });

  it('does not go with what is done packet by packet', async () => {
    const argv = ['run', PROCESSORS, 'count', '--pcap', MIXED, '--cpus', '2'];
    for (const more of [['--repeat', '3'], ['--interpret'], ['--out', 'x.pcap'], ['--kernel', 'linux']]) {
      const { code, stderr } = await skep([...argv, ...more]);
      expect(code).toBe(2);
      expect(stderr).toContain('--cpus 2 does not go with');
    }
    expect((await skep([...argv.slice(0, -1), '1000'])).stderr).toContain('--cpus 1000 is at most 64');
  });

  it(
    'ends when the user interrupts',
    async () => {
      const argv = ['run', PROCESSORS, 'count', '--pcap', MIXED, '--cpus', '2'];
      const { code, stdout } = await skep(argv, { interrupt: true });
      expect(code).toBe(130);
      expect(stdout).toContain('interrupted');
    },
    LONG,
  );
});

describe('run statistics', () => {
  it('count the runs of a capture while they are enabled, and only then', () => {
    const kernel = createKernel();
    const object = loadObject(kernel, parseObject(readFileSync(PROCESSORS), PROCESSORS), {
      programs: ['count'],
    });
    const { fd } = object.program('count');
    const run = () => {
      using capture = kernel.captureRun(fd);
      capture.feed(readFileSync(MIXED));
      return capture.end().packets;
    };
    const info = () => kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
    run();
    expect(info()).toMatchObject({ run_cnt: 0n, run_time_ns: 0n });
    const stats = kernel.bpf.enable_stats({ type: 0 });
    const packets = run();
    expect(info()).toMatchObject({ run_cnt: BigInt(packets) });
    expect((info() as { run_time_ns: bigint }).run_time_ns).toBeGreaterThan(0n);
    kernel.closeFd(stats);
    run();
    expect(info()).toMatchObject({ run_cnt: BigInt(packets) });
    object.close();
    kernel.close();
  });
});
