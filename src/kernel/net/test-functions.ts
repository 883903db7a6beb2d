/**
 * The functions that Linux has for being traced in tests (`bpf_fentry_test1` and its kin), and what is attached to them. They
 * are called when BPF_PROG_TEST_RUN is asked to run a tracing program.
 *
 * @see net/bpf/test_run.c, bpf_prog_test_run_tracing
 */
import { InputError } from '../../base/error.ts';
import type { RunKernel } from '../interpreter/environment.ts';
import { type Addr, at } from '../memory/index.ts';
import type { Attached, TraceKind } from '../objects/traced.ts';
import { engineOf } from './runner.ts';
import { TracingContext } from './tracing-context.ts';

interface TestFunction {
  readonly name: string;
  readonly args: readonly bigint[];
  readonly body: () => bigint;
}

/** What the functions share: a number that they are given the address of, and a struct of zeros. */
interface Memory {
  readonly number: Addr;
  readonly zeros: Addr;
}

function fentryFunctions(kernel: RunKernel, { number, zeros }: Memory): TestFunction[] {
  const { memory } = kernel.machine;
  const sum = (name: string, ...args: bigint[]): TestFunction => ({
    name,
    args,
    body: () => args.reduce((total, one) => total + one, 0n),
  });
  return [
    { name: 'bpf_fentry_test1', args: [1n], body: () => 2n },
    sum('bpf_fentry_test2', 2n, 3n),
    sum('bpf_fentry_test3', 4n, 5n, 6n),
    sum('bpf_fentry_test4', 7n, 8n, 9n, 10n),
    sum('bpf_fentry_test5', 11n, 12n, 13n, 14n, 15n),
    sum('bpf_fentry_test6', 16n, 17n, 18n, 19n, 20n, 21n),
    { name: 'bpf_fentry_test7', args: [0n], body: () => 0n },
    { name: 'bpf_fentry_test8', args: [BigInt(zeros)], body: () => memory.readU64(zeros) },
    { name: 'bpf_fentry_test9', args: [BigInt(number)], body: () => BigInt(memory.readU32(number)) },
    { name: 'bpf_fentry_test10', args: [0n], body: () => 0n },
  ];
}

/** They count up the number that they are given, which shows whether they ran. */
function modifiedFunctions(kernel: RunKernel, { number }: Memory): TestFunction[] {
  const { memory } = kernel.machine;
  const counting = (name: string, before: readonly bigint[], after: readonly bigint[]): TestFunction => ({
    name,
    args: [...before, BigInt(number), ...after],
    body: () => {
      memory.writeU32(number, memory.readU32(number) + 1);
      const others = [...before, ...after].reduce((total, one) => total + one, 0n);
      return others + BigInt(memory.readU32(number));
    },
  });
  return [
    counting('bpf_modify_return_test', [1n], []),
    counting('bpf_modify_return_test2', [1n], [3n, 4n, 5n, 6n, 7n]),
  ];
}

/** Calls the functions that programs of that kind are attached to. @returns what the test run returns */
export function runTestFunctions(kernel: RunKernel, kind: TraceKind): number {
  const { memory } = kernel.machine;
  const block = memory.allocate(16, { kind: 'mem', owner: 'arguments of a test', access: 'rw' });
  const shared = { number: block, zeros: at(block, 8) };
  try {
    if (kind !== 'modify_return') {
      for (const one of fentryFunctions(kernel, shared)) call(kernel, one);
      return 0;
    }
    let effects = 0;
    let sum = 0;
    for (const one of modifiedFunctions(kernel, shared)) {
      memory.writeU32(block, 2);
      sum += Number(BigInt.asIntN(32, call(kernel, one)));
      if (memory.readU32(block) !== 2) effects += 1;
    }
    return ((effects << 16) | (sum & 0xffff)) >>> 0;
  } finally {
    memory.free(block);
  }
}

/** Calls a function with what is attached to it: in front, in its place, and behind. */
function call(kernel: RunKernel, { name, args, body }: TestFunction): bigint {
  const attached = kernel.traced.of(name);
  const ofKind = (kind: TraceKind) => attached.filter((one) => one.kind === kind);
  for (const one of ofKind('trace_fentry')) run(kernel, one, name, args, undefined);
  let result = 0n;
  for (const one of ofKind('modify_return')) {
    result = run(kernel, one, name, args, result);
    if (result !== 0n) break;
  }
  if (result === 0n) result = body();
  for (const one of ofKind('trace_fexit')) run(kernel, one, name, args, result);
  return result;
}

/** Runs a program on a call of a function. */
function run(
  kernel: RunKernel,
  { program, cookie }: Attached,
  name: string,
  args: readonly bigint[],
  result: bigint | undefined,
): bigint {
  const { grace, memory } = kernel.machine;
  const context = new TracingContext(memory, { args, result, cookie, ip: kernel.traced.address(name) });
  const engine = engineOf(kernel, program);
  grace.enter();
  try {
    const retval = engine.run(context, 1);
    if (retval !== undefined) return BigInt(retval | 0);
    const what = `running ${program.facts.name} at ${name}: ${engine.problem?.problem}`;
    throw new InputError('kernel-run-fault', what, { errno: 'EFAULT' });
  } finally {
    grace.leave();
    engine.close();
    context.close();
  }
}
