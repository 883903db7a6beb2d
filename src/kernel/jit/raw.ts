/**
 * Compiles and runs bare instructions that nobody verified: no context, no maps. For conformance suites, and to show that
 * compiled code can't leave the kernel's memory whatever it is: addresses are cut to 32 bits and the memory bounds them,
 * jumps that lead nowhere end the run, and so does the fuel.
 */
import { Bug } from '../../base/error.ts';
import { decode, type Insn } from '../../isa/index.ts';
import type { HelperRun, RunKernel } from '../interpreter/environment.ts';
import { functionAddress } from '../interpreter/executable.ts';
import type { FaultCode } from '../interpreter/fault.ts';
import { BARE_HELPERS, bareKernel, type RawResult } from '../interpreter/raw.ts';
import type { FunctionRange } from './graph.ts';
import { JitFault } from './jit-fault.ts';
import { memoryLimits } from './memory-limits.ts';
import { translate } from './translate.ts';
import { AREA, type HostCall, type Lowering, type Unit } from './unit.ts';
import { type WasmFunction, wasm } from './wasm/host.ts';

export interface RawJitOptions {
  /** How often a loop may go round, in instructions; default 10 million. */
  readonly fuel?: number;
  /** Over shared memory, with the atomic instructions that it needs. */
  readonly shared?: boolean;
  /**
   * Helpers 12 and 181, tail calls and loops of callbacks, are compiled as those of verified programs are. What the array of
   * the tail calls holds: numbers of the table of programs, where 1 is the program itself, and nothing else is.
   */
  readonly tailCalls?: readonly number[];
}

/** As `runRaw` of the interpreter, compiled. */
export function runCompiledRaw(
  insns: Uint8Array,
  memory: Uint8Array,
  options: RawJitOptions = {},
): RawResult {
  const decoded = decode(insns);
  const [problem] = decoded.problems;
  if (problem) return fault('unsupported', problem.idx, problem.problem);
  const kernel = bareKernel(options.shared);
  const { memory: block } = kernel.machine;
  // The interpreter has its stacks in front of the input, too.
  const area = block.allocate(AREA.size, { kind: 'stack', owner: 'BPF stack', access: 'none' });
  const addr =
    memory.length === 0 ? 0 : block.allocate(memory.length, { kind: 'mem', owner: 'input', access: 'rw' });
  block.u8.set(memory, addr);
  const { tailCalls } = options;
  const slots = tailCalls && tailCallArray(kernel, tailCalls);
  const { bytes, host } = translate(rawUnit(kernel, decoded.insns, slots));
  const programs = new wasm.Table({ element: 'anyfunc', initial: 2 });
  const imports: Record<string, WasmFunction> = {};
  for (const [name, { call }] of host) imports[name] = call;
  const { exports } = new wasm.Instance(new wasm.Module(bytes), {
    skep: {
      ...imports,
      memory: block.wasm,
      programs,
      area: new wasm.Global({ value: 'i32', mutable: false }, area),
      fuel: new wasm.Global({ value: 'i32', mutable: true }, options.fuel ?? 10_000_000),
    },
  });
  if (slots) programs.set(1, exports.main!);
  try {
    const run = (slots ? exports.run : exports.raw) as unknown as (r1: number, r2: number) => bigint | number;
    const r0 = BigInt.asUintN(64, BigInt(run(addr, memory.length)));
    return { r0, memory: block.u8.slice(addr, addr + memory.length) };
  } catch (error) {
    if (error instanceof JitFault) return { fault: error.fault };
    if (error instanceof wasm.RuntimeError) return trapped(error);
    // A call stack that is too deep.
    if (error instanceof RangeError) return fault('call-depth', 0, error.message);
    throw error;
  }
}

function trapped({ message }: Error): RawResult {
  return /unreachable/.test(message)
    ? fault('budget', 0, 'the run was stopped: its fuel is used up')
    : fault('access', 0, `outside of the kernel's memory: ${message}`);
}

function fault(code: FaultCode, insn: number, problem: string): RawResult {
  return { fault: { code, program: 'bare', insn, problem } };
}

interface TailCallArray {
  readonly slots: number;
  readonly count: number;
}

function tailCallArray({ machine: { memory } }: RunKernel, indices: readonly number[]): TailCallArray {
  const slots = memory.allocate(4 * indices.length, { kind: 'kernel', owner: 'tail calls', access: 'none' });
  for (const [i, index] of indices.entries()) memory.writeU32(slots + 4 * i, index);
  return { slots, count: indices.length };
}

const HELPERS = { tailCall: 12, loop: 181 } as const;

/** @param tailCalls where the array of tail calls is, if the program makes some */
function rawUnit(
  kernel: RunKernel,
  insns: readonly (Insn | undefined)[],
  tailCalls: TailCallArray | undefined,
): Unit {
  return {
    name: 'bare',
    insns,
    functions: functionsOf(insns),
    proofs: new Map(),
    constants: constantsOf(insns),
    entry: tailCalls ? 'context' : 'memory',
    context: undefined,
    packet: undefined,
    helper: (_, id) => {
      if (tailCalls && id === HELPERS.tailCall) return { kind: 'tail_call', ...tailCalls };
      return tailCalls && id === HELPERS.loop ? { kind: 'loop' } : bareHelper(kernel, id);
    },
    register: {
      kind: 'host',
      name: 'call register',
      args: [{ reg: 0, as: 'i32' }],
      result: 'i64',
      call: (id: number) => callBare(kernel, id),
    },
    abort: {
      kind: 'host',
      name: 'abort',
      args: [{ reg: 0, as: 'i32' }],
      result: 'none',
      call: (slot: number) => {
        const problem = `instruction ${slot} can't be run, or control leaves the program behind it`;
        throw new JitFault({ code: 'unsupported', program: 'bare', insn: slot, problem });
      },
    },
    memory: memoryLimits(kernel.machine.memory),
    fuel: true,
    cpus: 1,
  };
}

/** From each start to the next one: the entry, and what is called or pointed to. */
function functionsOf(insns: readonly (Insn | undefined)[]): FunctionRange[] {
  const starts = new Set([0]);
  for (const [slot, insn] of insns.entries()) {
    let start: number | undefined;
    if (insn?.kind === 'call' && insn.target.kind === 'local') start = slot + 1 + insn.target.off;
    if (insn?.kind === 'ldimm64' && insn.imm.kind === 'func') start = slot + 1 + insn.imm.off;
    if (start !== undefined && insns[start] !== undefined) starts.add(start);
  }
  const sorted = [...starts].toSorted((a, b) => a - b);
  return sorted.map((start, i) => ({ start, end: sorted[i + 1] ?? insns.length }));
}

function constantsOf(insns: readonly (Insn | undefined)[]): ReadonlyMap<number, bigint> {
  const constants = new Map<number, bigint>();
  for (const [slot, insn] of insns.entries()) {
    if (insn?.kind !== 'ldimm64') continue;
    if (insn.imm.kind === 'value') constants.set(slot, insn.imm.value);
    if (insn.imm.kind === 'func') constants.set(slot, functionAddress(slot + 1 + insn.imm.off));
  }
  return constants;
}

function bareHelper(kernel: RunKernel, id: number): Lowering {
  const helper = BARE_HELPERS.get(id);
  if (!helper) return { kind: 'unsupported', problem: `there is no helper ${id} here` };
  const call: HostCall['call'] = () => callBare(kernel, id);
  return { kind: 'host', name: helper.name, args: [], result: 'i64', call };
}

/** Bare helpers look at the machine only. */
function callBare(kernel: RunKernel, id: number): bigint {
  const helper = BARE_HELPERS.get(id >>> 0);
  if (!helper) {
    const problem = `there is no helper ${id} here`;
    throw new JitFault({ code: 'unknown-helper', program: 'bare', insn: 0, problem });
  }
  const result = helper.call({ kernel, machine: kernel.machine } as HelperRun, 0n, 0n, 0n, 0n, 0n);
  if (typeof result === 'object') throw new Bug(`bpf_${helper.name} calls back`);
  return BigInt(result);
}
