/** Helpers replaced by functions of the caller, compiled and interpreted. */
import { describe, expect, expectTypeOf, it } from 'vitest';
import { assembleLlvm } from '../isa/index.ts';
import type { Fd } from '../sys/index.ts';
import { createKernel, type EmbeddedKernel, SimulatedClock } from './index.ts';
import type { MockArguments, MockMap } from './mock.ts';

/** Loads a program in which `FD ll` names a map. */
function load({ bpf }: EmbeddedKernel, text: string): Fd {
  const insns = assembleLlvm(text).bytes.slice();
  for (let at = 0; at < insns.length; at += 8) {
    if (insns[at] !== 0x18) continue;
    insns[at + 1]! |= 0x10;
    at += 8;
  }
  return bpf.prog_load({ prog_type: 'sched_cls', insns, license: 'GPL', prog_name: 'under_test' }).fd;
}

const run = ({ bpf }: EmbeddedKernel, prog_fd: Fd, repeat = 1) =>
  bpf.prog_test_run({ prog_fd, data_in: new Uint8Array(64), repeat }).retval | 0;

describe.each([
  ['compiled', false],
  ['interpreted', true],
])('mocks, %s', (_, interpret) => {
  const open = () => createKernel({ interpret, cpus: 2, clock: new SimulatedClock(1000n) });

  it('replace a helper in programs that are loaded already, until they are restored', () => {
    using kernel = open();
    const program = load(kernel, 'call 5\nexit');
    expect(run(kernel, program)).toBe(1000);
    const mock = kernel.mock('bpf_ktime_get_ns', () => 42n);
    expect([run(kernel, program), run(kernel, load(kernel, 'call 5\nexit'))]).toEqual([42, 42]);
    expect(mock.calls).toBe(2);
    expect(run(kernel, program, 10)).toBe(42);
    expect(mock.calls).toBe(12);
    mock.restore();
    expect(run(kernel, program)).toBe(1000);
    {
      using _second = kernel.mock('ktime_get_ns', () => -1);
      expect(run(kernel, program)).toBe(-1);
    }
    expect(run(kernel, program)).toBe(1000);
  });

  it('hold for one kernel, and the last of a name counts', () => {
    using kernel = open();
    using other = open();
    const first = kernel.mock('get_prandom_u32', () => 1);
    kernel.mock('get_prandom_u32', () => 2);
    const text = 'call 7\nexit';
    expect(run(kernel, load(kernel, text))).toBe(2);
    expect(run(other, load(other, text))).not.toBe(2);
    first.restore();
    expect(run(kernel, load(kernel, text))).toBe(2);
  });

  it('replace what compiled programs do without a call', () => {
    using kernel = open();
    const map = kernel.bpf.map_create({ map_type: 'array', key_size: 4, value_size: 8, max_entries: 4 });
    const program = load(
      kernel,
      `*(u32 *)(r10 - 4) = 3
      r2 = r10
      r2 += -4
      r1 = ${map} ll
      call 1
      if r0 == 0 goto none
      r0 = 1
      exit
      none:
      call 8
      r0 += 100
      exit`.replace('*(u32 *)(r10 - 4) = 3', 'r1 = 3\n*(u32 *)(r10 - 4) = r1'),
    );
    expect(run(kernel, program)).toBe(1);
    const asked: [MockMap['name'], number, number][] = [];
    const lookup = kernel.mock('bpf_map_lookup_elem', function (map, key) {
      asked.push([map.type, map.valueSize, key[0]!]);
      return this.calls > 1 ? this.original() : undefined;
    });
    kernel.mock('bpf_get_smp_processor_id', () => 7);
    expect(run(kernel, program)).toBe(107);
    expect(run(kernel, program)).toBe(1);
    expect(asked).toEqual([
      ['array', 8, 3],
      ['array', 8, 3],
    ]);
    expect(lookup.calls).toBe(2);
  });

  it('see memory as bytes, write into it, and answer with errnos', () => {
    using kernel = open();
    const program = load(
      kernel,
      `r1 = r10
      r1 += -16
      r2 = 16
      call 16
      if r0 s< 0 goto out
      r0 = *(u32 *)(r10 - 16)
      out:
      exit`,
    );
    let size = 0;
    kernel.mock('bpf_get_current_comm', (buffer, length) => {
      size = length;
      buffer.fill(0);
      buffer.set([1, 2]);
      return 0;
    });
    expect(run(kernel, program)).toBe(0x0201);
    expect(size).toBe(16);
    kernel.mock('bpf_get_current_comm', function () {
      expect(this.program).toEqual({ name: 'under_test', type: 'sched_cls' });
      expect(this.task.pid).toBe(1);
      return this.errno('EPERM');
    });
    expect(run(kernel, program)).toBe(-1);
  });

  it('see the context and numbers', () => {
    using kernel = open();
    const program = load(
      kernel,
      'r2 = -1\nr3 = 5\nr4 = 6\ncall 11\nexit'.replace('r4 = 6', 'r4 = 6\nr5 = 0'),
    );
    const seen: unknown[] = [];
    kernel.mock('bpf_l4_csum_replace', (ctx, offset, from, to) => {
      seen.push(ctx.read(0, 4), offset, from, to);
      return 9;
    });
    expect(run(kernel, program)).toBe(9);
    expect(seen).toEqual([64n, 2n ** 64n - 1n, 5n, 6n]);
  });

  it('pass on what they throw, and the kernel goes on', () => {
    using kernel = open();
    const program = load(kernel, 'call 5\nexit');
    const mock = kernel.mock('bpf_ktime_get_ns', () => {
      throw new Error('not now');
    });
    expect(() => run(kernel, program)).toThrow('not now');
    mock.restore();
    expect(run(kernel, program)).toBe(1000);
    kernel.mock('bpf_ktime_get_ns', () => 0.5);
    expect(() => run(kernel, program)).toThrow(
      'the mock of bpf_ktime_get_ns returned 0.5, which is no whole number',
    );
  });

  it('are refused for what there is not', () => {
    using kernel = open();
    expect(() => kernel.mock('bpf_make_coffee', () => 0)).toThrow(
      'replacing bpf_make_coffee: there is no helper and no kernel function of that name',
    );
  });

  it('stand beside a task, randomness and a clock that are set', () => {
    using kernel = open();
    const pid = load(kernel, 'call 14\nexit');
    kernel.setTask({ pid: 77 });
    expect(run(kernel, pid)).toBe(77);
    const random = load(kernel, 'call 7\nexit');
    kernel.setRandom(() => 123);
    expect(run(kernel, random)).toBe(123);
    kernel.setRandom(1);
    const first = run(kernel, random);
    kernel.setRandom(1);
    expect(run(kernel, random)).toBe(first);
    const time = load(kernel, 'call 5\nexit');
    kernel.advance(5n);
    expect(run(kernel, time)).toBe(1005);
  });
});

describe('the signatures of mocks', () => {
  it('follow from the prototypes', () => {
    expectTypeOf<MockArguments<'ktime_get_ns'>>().toEqualTypeOf<[]>();
    expectTypeOf<MockArguments<'bpf_probe_read_kernel'>>().toEqualTypeOf<[Uint8Array, number, bigint]>();
    expectTypeOf<MockArguments<'bpf_map_update_elem'>>().toEqualTypeOf<
      [MockMap, Uint8Array, Uint8Array, bigint]
    >();
    expectTypeOf<MockArguments<'bpf_strtol'>>().toEqualTypeOf<[Uint8Array, number, bigint, Uint8Array]>();
    expectTypeOf<MockArguments<'bpf_strncmp'>>().toEqualTypeOf<[Uint8Array, number, string]>();
    expectTypeOf<MockArguments<'bpf_strcmp'>>().toEqualTypeOf<bigint[]>();
  });
});
