/** Sets of processors. @see kernel/bpf/cpumask.c */
import { addr, err, u32 } from '../../helpers/impl/values.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import type { Addr } from '../../memory/index.ts';
import { NULL } from '../../memory/index.ts';

const MAPPING = { kind: 'mem', owner: 'bpf_cpumask', access: 'rw' } as const;

/** Bytes that the kernel's processors take in a mask. */
const bytesOf = ({ machine: { cpus } }: HelperRun): number => Math.ceil(cpus / 8);

const test = ({ machine: { memory } }: HelperRun, mask: Addr, cpu: number): boolean =>
  (memory.u8[mask + (cpu >> 3)]! & (1 << (cpu & 7))) !== 0;

function set({ machine: { memory } }: HelperRun, mask: Addr, cpu: number, value: boolean): void {
  const bit = 1 << (cpu & 7);
  const at = mask + (cpu >> 3);
  memory.u8[at] = value ? memory.u8[at]! | bit : memory.u8[at]! & ~bit;
}

export const bpf_cpumask_create: HelperImpl = ({ kernel, machine: { memory } }) => {
  const mask = memory.tryAllocate(Math.max(kernel.world.sizeOf('bpf_cpumask'), 64), MAPPING);
  if (mask !== NULL) kernel.heap.adopt(mask, 1);
  return BigInt(mask);
};

export const bpf_cpumask_acquire: HelperImpl = ({ kernel }, mask) => {
  kernel.heap.acquire(mask);
  return mask;
};

export const bpf_cpumask_release: HelperImpl = ({ kernel }, mask) => {
  kernel.heap.drop(mask);
  return 0n;
};

/** The first processor for which it holds; the number of processors when there is none. */
function first(run: HelperRun, holds: (cpu: number) => boolean, from = 0): number {
  const { cpus } = run.machine;
  for (let i = 0; i < cpus; i++) {
    const cpu = (from + i) % cpus;
    if (holds(cpu)) return cpu;
  }
  return cpus;
}

export const bpf_cpumask_first: HelperImpl = (run, mask) => first(run, (cpu) => test(run, addr(mask), cpu));
export const bpf_cpumask_first_zero: HelperImpl = (run, mask) =>
  first(run, (cpu) => !test(run, addr(mask), cpu));
export const bpf_cpumask_first_and: HelperImpl = (run, a, b) =>
  first(run, (cpu) => test(run, addr(a), cpu) && test(run, addr(b), cpu));

/** The one that was given last is asked last. */
const last = new WeakMap<object, number>();
function distribute(run: HelperRun, holds: (cpu: number) => boolean): number {
  const cpu = first(run, holds, ((last.get(run.kernel) ?? -1) + 1) % run.machine.cpus);
  if (cpu < run.machine.cpus) last.set(run.kernel, cpu);
  return cpu;
}
export const bpf_cpumask_any_distribute: HelperImpl = (run, mask) =>
  distribute(run, (cpu) => test(run, addr(mask), cpu));
export const bpf_cpumask_any_and_distribute: HelperImpl = (run, a, b) =>
  distribute(run, (cpu) => test(run, addr(a), cpu) && test(run, addr(b), cpu));

/** What is no processor's number changes nothing. */
const valid = ({ machine: { cpus } }: HelperRun, cpu: bigint): boolean => u32(cpu) < cpus;

export const bpf_cpumask_set_cpu: HelperImpl = (run, cpu, mask) => {
  if (valid(run, cpu)) set(run, addr(mask), u32(cpu), true);
  return 0n;
};
export const bpf_cpumask_clear_cpu: HelperImpl = (run, cpu, mask) => {
  if (valid(run, cpu)) set(run, addr(mask), u32(cpu), false);
  return 0n;
};
export const bpf_cpumask_test_cpu: HelperImpl = (run, cpu, mask) =>
  valid(run, cpu) && test(run, addr(mask), u32(cpu)) ? 1n : 0n;

const testAnd =
  (value: boolean): HelperImpl =>
  (run, cpu, mask) => {
    if (!valid(run, cpu)) return 0n;
    const before = test(run, addr(mask), u32(cpu));
    set(run, addr(mask), u32(cpu), value);
    return before ? 1n : 0n;
  };
export const bpf_cpumask_test_and_set_cpu = testAnd(true);
export const bpf_cpumask_test_and_clear_cpu = testAnd(false);

const fill =
  (value: boolean): HelperImpl =>
  (run, mask) => {
    for (let cpu = 0; cpu < run.machine.cpus; cpu++) set(run, addr(mask), cpu, value);
    return 0n;
  };
export const bpf_cpumask_setall = fill(true);
export const bpf_cpumask_clear = fill(false);

/** Combines two masks in a third. @returns whether anything is in it */
const combine =
  (operation: (a: boolean, b: boolean) => boolean): HelperImpl =>
  (run, to, a, b) => {
    let any = 0n;
    for (let cpu = 0; cpu < run.machine.cpus; cpu++) {
      const value = operation(test(run, addr(a), cpu), test(run, addr(b), cpu));
      set(run, addr(to), cpu, value);
      if (value) any = 1n;
    }
    return any;
  };
export const bpf_cpumask_and = combine((a, b) => a && b);
export const bpf_cpumask_or: HelperImpl = (run, to, a, b) => {
  combine((one, other) => one || other)(run, to, a, b, 0n, 0n);
  return 0n;
};
export const bpf_cpumask_xor: HelperImpl = (run, to, a, b) => {
  combine((one, other) => one !== other)(run, to, a, b, 0n, 0n);
  return 0n;
};

/** Whether it holds for every processor. */
const every =
  (holds: (a: boolean, b: boolean) => boolean): HelperImpl =>
  (run, a, b) => {
    for (let cpu = 0; cpu < run.machine.cpus; cpu++) {
      if (!holds(test(run, addr(a), cpu), b !== 0n && test(run, addr(b), cpu))) return 0n;
    }
    return 1n;
  };
export const bpf_cpumask_equal = every((a, b) => a === b);
export const bpf_cpumask_subset = every((a, b) => !a || b);
export const bpf_cpumask_intersects: HelperImpl = (run, a, b) =>
  first(run, (cpu) => test(run, addr(a), cpu) && test(run, addr(b), cpu)) < run.machine.cpus ? 1n : 0n;
export const bpf_cpumask_empty: HelperImpl = (run, mask) =>
  first(run, (cpu) => test(run, addr(mask), cpu)) === run.machine.cpus ? 1n : 0n;
export const bpf_cpumask_full: HelperImpl = (run, mask) =>
  first(run, (cpu) => !test(run, addr(mask), cpu)) === run.machine.cpus ? 1n : 0n;

export const bpf_cpumask_copy: HelperImpl = (run, to, from) => {
  run.machine.memory.copy(addr(to), addr(from), bytesOf(run));
  return 0n;
};

export const bpf_cpumask_populate: HelperImpl = (run, to, from, length) => {
  const words = Math.ceil(run.machine.cpus / 64) * 8;
  if (length < BigInt(words)) return err('EACCES');
  run.machine.memory.copy(addr(to), addr(from), words);
  return 0;
};

export const bpf_cpumask_weight: HelperImpl = (run, mask) => {
  let count = 0;
  for (let cpu = 0; cpu < run.machine.cpus; cpu++) if (test(run, addr(mask), cpu)) count++;
  return count;
};
