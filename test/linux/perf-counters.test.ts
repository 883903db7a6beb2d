/** Counters of perf events as programs read them, on the embedded kernel and on Linux. */
import { expect, it } from 'vitest';
import { InputError } from '../../src/base/error.ts';
import { assembleLlvm } from '../../src/isa/index.ts';
import { createKernel, SimulatedClock } from '../../src/kernel/index.ts';
import { type Helper, helperId } from '../../src/sys/helper-ids.ts';
import { type Kernel, PERF_SOFTWARE, PERF_TYPES } from '../../src/sys/index.ts';
import { needsLinux, theLinux } from './support.ts';

const U32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const embedded = (): Kernel => createKernel({ cpus: theLinux().possibleCpus });

/** Programs that read the counter in slot 0, return errors, and leave the count and its times in a map. */
const READ = `
  r6 = r1
  *(u32 *)(r10 - 4) = 0
  r1 = map[id:1]
  r2 = r10
  r2 += -4
  call map_lookup_elem
  if r0 == 0 goto out
  r7 = r0
  r1 = map[id:0]
  r2 = 0xffffffff ll
  r3 = r7
  r4 = 24
  call perf_event_read_value
  r8 = r0
  r1 = map[id:0]
  r2 = 0xffffffff ll
  call perf_event_read
  *(u64 *)(r7 + 24) = r0
  r1 = r6
  r2 = map[id:0]
  r3 = 0xffffffff ll
  r4 = r7
  r5 = 8
  call perf_event_output
  *(u64 *)(r7 + 32) = r0
  r0 = r8
  exit
out:
  r0 = 77
  exit`;

interface Answer {
  readonly status: number;
  readonly count: bigint;
  readonly enabled: bigint;
  readonly running: bigint;
  readonly read: bigint;
  readonly output: bigint;
}

/** Reads an event of the current CPU, once. */
function read(kernel: Kernel, config: number, disabled = false): Answer | string {
  const { bpf, os, closeFd } = kernel;
  const fds = [];
  try {
    const cpus = kernel.possibleCpus;
    const events = bpf.map_create({
      map_type: 'perf_event_array',
      key_size: 4,
      value_size: 4,
      max_entries: cpus,
    });
    fds.push(events);
    for (let cpu = 0; cpu < cpus; cpu++) {
      const event = os.perf_event_open({
        type: PERF_TYPES.PERF_TYPE_SOFTWARE,
        config,
        cpu,
        disabled,
        sample_type: 1 << 10,
      });
      fds.push(event);
      bpf.map_update_elem({ map_fd: events, key: U32(cpu), value: U32(event) });
    }
    const out = bpf.map_create({ map_type: 'array', key_size: 4, value_size: 40, max_entries: 1 });
    fds.push(out);
    const text = READ.replaceAll('map[id:0]', `map[id:${events}]`).replaceAll('map[id:1]', `map[id:${out}]`);
    const { bytes } = assembleLlvm(text, { helper: (name) => helperId(name as Helper) });
    const { fd } = bpf.prog_load({ prog_type: 'raw_tracepoint', insns: bytes, license: 'GPL' });
    fds.push(fd);
    const { retval } = bpf.prog_test_run({ prog_fd: fd });
    const words = new BigInt64Array(bpf.map_lookup_elem({ map_fd: out, key: U32(0) })!.slice().buffer);
    const [count = 0n, enabled = 0n, running = 0n, answer = 0n, output = 0n] = words;
    return { status: retval | 0, count, enabled, running, read: answer, output };
  } catch (error) {
    if (error instanceof InputError) return error.errno ?? error.message;
    throw error;
  } finally {
    for (const fd of fds.toReversed()) closeFd.call(kernel, fd);
  }
}

/** What of an answer does not depend on the time. */
function shape(answer: Answer | string): unknown {
  if (typeof answer === 'string') return answer;
  const { status, count, enabled, running, read: value, output } = answer;
  return {
    status,
    counts: count > 0n,
    enabled: enabled > 0n,
    running: running === enabled,
    read: value > 0n,
    output,
  };
}

needsLinux('perf counters', () => {
  it.each(Object.entries(PERF_SOFTWARE).filter(([name]) => !/FAULTS|SWITCHES|MIGRATIONS/.test(name)))(
    '%s',
    (_, config) => {
      using kernel = embedded();
      expect(shape(read(kernel, config))).toEqual(shape(read(theLinux(), config)));
      expect(shape(read(kernel, config, true))).toEqual(shape(read(theLinux(), config, true)));
    },
  );

  it('an event that there is not', () => {
    using kernel = embedded();
    expect(read(kernel, 12)).toEqual(read(theLinux(), 12));
  });
});

it('a counter tells the time since it was opened, on the kernel’s own clock', () => {
  const clock = new SimulatedClock();
  using kernel = createKernel({ clock });
  const answer = read(kernel, PERF_SOFTWARE.PERF_COUNT_SW_CPU_CLOCK);
  expect(answer).toMatchObject({ status: 0, output: -22n });
  const { count, enabled } = answer as Answer;
  expect(count).toBe(enabled);
});
