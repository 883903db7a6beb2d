/**
 * Runs bare instructions on a stretch of memory: no verifier, no context, no maps. For conformance suites and for
 * trying instructions out. r1 is the memory's address and r2 its length, or both 0 without memory.
 */
import { decode } from '../../isa/index.ts';
import { Memory } from '../memory/index.ts';
import { Devices } from '../net/device.ts';
import { RedirectInfo } from '../net/redirect.ts';
import { Grace, type Machine, SimulatedClock, seededRandom } from '../objects/machine.ts';
import { createServices } from '../objects/services.ts';
import type { CallableHelper, RunKernel } from './environment.ts';
import { linkBare } from './executable.ts';
import type { RunFault } from './fault.ts';
import { Interpreter } from './interpreter.ts';

export type RawResult =
  | { readonly r0: bigint; readonly memory: Uint8Array; readonly fault?: undefined }
  | { readonly fault: RunFault };

export interface RawOptions {
  /** Most instructions; default 10 million. */
  readonly budget?: number;
  /** By id; the clock's and the random numbers' when absent. Others fault. */
  readonly helpers?: ReadonlyMap<number, CallableHelper>;
}

/** Helpers that need nothing but the machine. */
export const BARE_HELPERS: ReadonlyMap<number, CallableHelper> = new Map(
  [
    { id: 5, name: 'ktime_get_ns', call: (machine: Machine) => machine.clock.monotonic() },
    { id: 7, name: 'get_prandom_u32', call: (machine: Machine) => machine.random() },
    { id: 8, name: 'get_smp_processor_id', call: (machine: Machine) => machine.cpu },
  ].map(({ id, name, call }) => [
    id,
    { name, args: 0, check: () => undefined, call: ({ machine }) => call(machine) },
  ]),
);

/** Bytes. A shared memory takes its whole address range at once. */
const SHARED_LIMIT = 1 << 24;

/** A kernel without maps: a memory, a clock that counts its readings, and the same random numbers each time. */
export function bareKernel(shared = false): RunKernel {
  const memory = new Memory({ shared, ...(shared && { limit: SHARED_LIMIT }) });
  const machine: Machine = {
    memory,
    cpus: 1,
    cpu: 0,
    clock: new SimulatedClock(1n, 1n),
    random: seededRandom(1),
    grace: new Grace(),
    trace: () => {},
  };
  return {
    ...createServices(machine, undefined),
    machine,
    task: { pid: 1, tgid: 1, uid: 0, gid: 0, comm: 'bare' },
    mapAt: () => undefined,
    devices: new Devices(memory),
    redirect: new RedirectInfo(),
  };
}

/** @param insns eight bytes a slot, little-endian */
export function runRaw(insns: Uint8Array, memory: Uint8Array, options: RawOptions = {}): RawResult {
  const decoded = decode(insns);
  const [problem] = decoded.problems;
  if (problem) {
    return { fault: { code: 'unsupported', program: 'bare', insn: problem.idx, problem: problem.problem } };
  }
  const kernel = bareKernel();
  const interpreter = new Interpreter(kernel, {
    budget: options.budget ?? 10_000_000,
    helpers: options.helpers ?? BARE_HELPERS,
  });
  const block = kernel.machine.memory;
  const addr =
    memory.length === 0 ? 0 : block.allocate(memory.length, { kind: 'mem', owner: 'input', access: 'rw' });
  block.u8.set(memory, addr);
  interpreter.start(linkBare('bare', decoded.insns), undefined, [BigInt(addr), BigInt(memory.length)]);
  const r0 = interpreter.run();
  if (r0 === undefined) return { fault: interpreter.problem! };
  return { r0, memory: block.u8.slice(addr, addr + memory.length) };
}
