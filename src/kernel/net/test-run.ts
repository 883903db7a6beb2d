/**
 * `BPF_PROG_TEST_RUN`: runs a program on a packet (or a context) from user space and gives back what it made of it.
 *
 * @see net/bpf/test_run.c
 */
import { InputError } from '../../base/error.ts';
import type { Errno } from '../../sys/errno.ts';
import { TEST_RUN_FLAGS } from '../../sys/flags.ts';
import type { ProgTestRunAttr, ProgTestRunResult } from '../../sys/kernel.ts';
import type { RunKernel } from '../interpreter/environment.ts';
import type { RunFault } from '../interpreter/fault.ts';
import { CgroupStorageMap } from '../maps/index.ts';
import type { Program } from '../objects/program.ts';
import { PROGRAMS } from '../programs/index.ts';
import { PACKET_TYPES } from './packet-types.ts';
import { PacketRunner } from './runner.ts';
import { CONTEXT_RUNS } from './test-run-context.ts';
import { runOnSkb } from './test-run-skb.ts';
import { runOnXdp } from './test-run-xdp.ts';
import { XdpBuff } from './xdp-buff.ts';

/** Room for the packet that comes back, when the caller does not say. */
const DATA_OUT_BYTES = 64 * 1024;

/** A run that is asked for: its attributes, checked as far as every type's are. */
export interface Request {
  readonly kernel: RunKernel;
  readonly program: Program;
  readonly attr: ProgTestRunAttr;
  readonly data: Uint8Array;
  readonly dataOutSize: number;
  readonly repeat: number;
}

/** What a run leaves. */
export interface Outcome {
  readonly retval: number;
  readonly duration: number;
  readonly packet: Uint8Array;
  /** Bytes at the packet's end that are not in its linear part. */
  readonly fragBytes?: number;
  /** The context, where one was given or asked for. */
  readonly ctx: Uint8Array | undefined;
}

export function testRun(kernel: RunKernel, program: Program, attr: ProgTestRunAttr): ProgTestRunResult {
  const { type } = program.facts;
  if (!PROGRAMS[type].testRun) {
    throw refuse(program, 'ENOTSUPP', `programs of type ${type} can't be run by BPF_PROG_TEST_RUN`);
  }
  const data = attr.data_in ?? new Uint8Array();
  const live = ((attr.flags ?? 0) & TEST_RUN_FLAGS.BPF_F_TEST_XDP_LIVE_FRAMES) !== 0;
  const request: Request = {
    kernel,
    program,
    attr,
    data,
    dataOutSize: attr.data_size_out ?? (attr.data_in && !live ? DATA_OUT_BYTES : 0),
    repeat: Math.max(attr.repeat ?? 0, 1),
  };
  for (const map of program.usedMaps) if (map instanceof CgroupStorageMap) map.beginTestRun();
  const runs = CONTEXT_RUNS[type];
  if (runs) return finish(request, runs(request));
  const kind = PACKET_TYPES[type];
  if (!kind) {
    throw refuse(program, 'EOPNOTSUPP', `the embedded kernel can't run programs of type ${type} yet`);
  }
  const runner = runnerOf(kernel, program);
  const outcome =
    runner.packet instanceof XdpBuff
      ? runOnXdp(request, runner, runner.packet)
      : runOnSkb(request, runner, runner.packet, kind.atNetwork);
  return finish(request, outcome);
}

const runners = new WeakMap<RunKernel, WeakMap<Program, PacketRunner>>();

/** The program's runner, kept until the program ends. */
function runnerOf(kernel: RunKernel, program: Program): PacketRunner {
  let ofKernel = runners.get(kernel);
  if (!ofKernel) {
    ofKernel = new WeakMap();
    runners.set(kernel, ofKernel);
  }
  let runner = ofKernel.get(program);
  if (!runner) {
    const made = new PacketRunner(kernel, program);
    runner = made;
    ofKernel.set(program, made);
    const { onEnd } = program;
    program.onEnd = () => {
      made.close();
      onEnd?.();
    };
  }
  return runner;
}

export function refuse(program: Program, errno: Errno, reason: string): InputError {
  const { name, type } = program.facts;
  return new InputError('kernel-prog-test-run', `running ${type} program ${name}: ${reason} (${errno})`, {
    errno,
  });
}

/** What a run that did not come to its end is told as. */
export function faulted(
  program: { readonly facts: Pick<Program['facts'], 'type'> },
  fault: RunFault,
): InputError {
  return new InputError(
    'kernel-run-fault',
    `running ${program.facts.type} program ${fault.program}: instruction ${fault.insn}: ${fault.problem}`,
    { errno: 'EFAULT' },
  );
}

/** Runs a program as often as was asked for, on the same packet. */
export function execute(
  { program, repeat, kernel }: Request,
  runner: PacketRunner,
): Pick<Outcome, 'retval' | 'duration'> {
  const { clock } = kernel.machine;
  const begin = clock.monotonic();
  const retval = runner.execute(repeat);
  if (retval === undefined) throw faulted(program, runner.fault!);
  return { retval, duration: Number((clock.monotonic() - begin) / BigInt(repeat)) };
}

/** The context that the caller brings, `size` bytes with zeros behind; `undefined` when there is none at all. */
export function contextIn({ attr, program }: Request, size: number): Uint8Array | undefined {
  const given = attr.ctx_in;
  if (!given?.length && !attr.ctx_size_out) return undefined;
  const context = new Uint8Array(size);
  if (!given) return context;
  if (given.length > 4096 || given.subarray(size).some((byte) => byte !== 0)) {
    throw refuse(program, 'E2BIG', `the context has more than the ${size} bytes that are known of it`);
  }
  context.set(given.subarray(0, size));
  return context;
}

function finish({ program, attr, dataOutSize }: Request, outcome: Outcome): ProgTestRunResult {
  const { packet, ctx, fragBytes = 0 } = outcome;
  if (dataOutSize > 0 && packet.length > dataOutSize) {
    throw refuse(
      program,
      'ENOSPC',
      `the packet is ${packet.length} bytes and there is room for ${dataOutSize}${fragBytes ? ' in all' : ''}`,
    );
  }
  const ctxRoom = attr.ctx_size_out ?? attr.ctx_in?.length ?? 0;
  if (ctx && ctxRoom > 0 && ctx.length > ctxRoom) {
    throw refuse(program, 'ENOSPC', `the context is ${ctx.length} bytes and there is room for ${ctxRoom}`);
  }
  return {
    retval: outcome.retval,
    duration: outcome.duration,
    data_out: dataOutSize > 0 ? packet : new Uint8Array(),
    ctx_out: ctx && ctxRoom > 0 ? ctx : new Uint8Array(),
  };
}
