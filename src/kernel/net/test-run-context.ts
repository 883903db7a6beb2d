/**
 * `BPF_PROG_TEST_RUN` of the types whose context is not made of a packet's bytes alone: system call programs, raw tracepoints,
 * traced functions, netfilter hooks.
 *
 * @see net/bpf/test_run.c
 */
import { TEST_RUN_FLAGS } from '../../sys/flags.ts';
import type { NetfilterContext } from './netfilter-context.ts';
import { PlainContext } from './plain-context.ts';
import { engineOf } from './runner.ts';
import { runTestFunctions } from './test-functions.ts';
import { type Outcome, type Request, refuse } from './test-run.ts';
import { runFlowDissector, runSkLookup } from './test-run-lookup.ts';
import { runNetfilter } from './test-run-netfilter.ts';
import { runStructOps } from './test-run-struct-ops.ts';

/** Arguments that a traced function or tracepoint can have. @see include/linux/bpf.h, MAX_BPF_FUNC_ARGS */
const MAX_ARGUMENTS = 12;
const MAX_SYSCALL_CONTEXT = 0xffff;

type Run = (request: Request) => Outcome;

/** By program type. */
export const CONTEXT_RUNS: Partial<Readonly<Record<Request['program']['facts']['type'], Run>>> = {
  syscall: runSyscall,
  raw_tracepoint: runRawTracepoint,
  tracing: runTracing,
  netfilter: runNetfilter,
  flow_dissector: runFlowDissector,
  sk_lookup: runSkLookup,
  struct_ops: runStructOps,
};

/** What a run leaves that makes no packet. */
export const nothing = (retval: number, duration = 0): Outcome => ({
  retval,
  duration,
  packet: new Uint8Array(),
  ctx: undefined,
});

/** Bytes from its context's start on that the program touches. */
function touched({ program: { verified } }: Request): number {
  let most = 0;
  for (const [slot, { access }] of verified.proofs) {
    const insn = verified.insns[slot];
    if (access !== 'ctx' || insn === undefined || !('off' in insn) || !('size' in insn)) continue;
    most = Math.max(most, insn.off + insn.size);
  }
  return most;
}

function refusePackets(request: Request): void {
  const { program, attr } = request;
  if (attr.data_in?.length || attr.data_size_out || attr.ctx_size_out || attr.repeat || attr.batch_size) {
    const reason = 'it takes a context that comes back changed, and no packet, count of runs or batch size';
    throw refuse(program, 'EINVAL', reason);
  }
}

/** Runs the program once on a context. */
export function runOn({ kernel, program }: Request, context: PlainContext | NetfilterContext): number {
  const { grace } = kernel.machine;
  const engine = engineOf(kernel, program);
  grace.enter();
  try {
    const retval = engine.run(context, 1);
    if (retval === undefined) throw refuse(program, 'EFAULT', engine.problem?.problem ?? 'it faulted');
    return retval;
  } finally {
    grace.leave();
    engine.close();
  }
}

function runSyscall(request: Request): Outcome {
  const { program, attr, kernel } = request;
  refusePackets(request);
  if (attr.flags) throw refuse(program, 'EINVAL', 'it takes no flags');
  const given = attr.ctx_in ?? new Uint8Array();
  if (given.length < touched(request) || given.length > MAX_SYSCALL_CONTEXT) {
    const reason = `the context has ${given.length} bytes, and the program reads ${touched(request)}`;
    throw refuse(program, 'EINVAL', reason);
  }
  const context = new PlainContext(kernel.machine.memory, given);
  try {
    const retval = runOn(request, context);
    return { ...nothing(retval), ctx: context.bytes() };
  } finally {
    context.close();
  }
}

function runRawTracepoint(request: Request): Outcome {
  const { program, attr, kernel } = request;
  refusePackets(request);
  const given = attr.ctx_in ?? new Uint8Array();
  if (given.length < touched(request) || given.length > MAX_ARGUMENTS * 8) {
    const reason = `the context has ${given.length} bytes, the program reads ${touched(request)} and there are at most 96`;
    throw refuse(program, 'EINVAL', reason);
  }
  const { machine } = kernel;
  const cpu = attr.cpu ?? 0;
  const elsewhere = ((attr.flags ?? 0) & TEST_RUN_FLAGS.BPF_F_TEST_RUN_ON_CPU) !== 0;
  if (!elsewhere && cpu !== 0)
    throw refuse(program, 'EINVAL', 'a CPU is given without BPF_F_TEST_RUN_ON_CPU');
  if (elsewhere && cpu >= machine.cpus) throw refuse(program, 'ENXIO', `there is no CPU ${cpu}`);
  const context = new PlainContext(machine.memory, given);
  const here = machine.cpu;
  if (elsewhere) machine.cpu = cpu;
  try {
    return nothing(runOn(request, context));
  } finally {
    machine.cpu = here;
    context.close();
  }
}

/** Functions are there to be traced: they are called, with what is attached to them. */
function runTracing(request: Request): Outcome {
  const { program, attr, kernel } = request;
  if (attr.flags || attr.cpu || attr.batch_size) {
    throw refuse(program, 'EINVAL', 'it takes no flags, CPU or batch size');
  }
  const attach = program.facts.expectedAttachType;
  if (attach !== 'trace_fentry' && attach !== 'trace_fexit' && attach !== 'modify_return') {
    throw refuse(program, 'EFAULT', `nothing calls what a ${attach ?? 'tracing'} program is attached to`);
  }
  return nothing(runTestFunctions(kernel, attach));
}
