/** The functions of the host that a program may import where it runs on several processors. */
import { Bug } from '../../base/error.ts';
import { helperId } from '../../sys/helper-ids.ts';
import type { Helper } from '../../sys/index.ts';
import type { ProgType } from '../../sys/tables.ts';
import { ON_PACKET } from '../batch/effects.ts';
import { JitFault } from '../jit/jit-fault.ts';
import { lowerHelper } from '../jit/lower.ts';
import type { JitRun } from '../jit/run.ts';
import type { WasmFunction } from '../jit/wasm/host.ts';

/** Helpers that look at nothing but their arguments, the packet, the processor and its clock. */
const ALONE: ReadonlySet<string> = new Set<Helper>([
  'ktime_get_ns',
  'ktime_get_boot_ns',
  'ktime_get_coarse_ns',
  'ktime_get_tai_ns',
  'jiffies64',
  'get_prandom_u32',
  'get_current_pid_tgid',
  'get_current_uid_gid',
  'get_current_comm',
  'trace_printk',
  'trace_vprintk',
  'snprintf',
  'strtol',
  'strtoul',
  'strncmp',
  'csum_diff',
  'redirect',
  'xdp_adjust_head',
  'xdp_adjust_tail',
  'xdp_adjust_meta',
  ...ON_PACKET,
]);

const ABORT = 'abort';
const LOAD_PACKET = 'load packet';

/** Whether another thread can provide the function. */
export function providable(name: string): boolean {
  return name === ABORT || name === LOAD_PACKET || ALONE.has(name);
}

/** The function, for a run on this thread. */
export function importOf(name: string, run: JitRun, type: ProgType, program: string): WasmFunction {
  if (name === ABORT) {
    return (slot: number) => {
      const problem = 'the instruction can not be run here';
      throw new JitFault({ code: 'unsupported', program, insn: slot, problem });
    };
  }
  if (name === LOAD_PACKET) {
    return (offset: number, size: 1 | 2 | 4) => BigInt(run.context?.loadPacket(offset, size) ?? -1);
  }
  const none = (): never => {
    throw new Bug(`bpf_${name} asks for a map`);
  };
  const host = { run, type, maps: [], programSlots: none, findProgram: none };
  const lowering = lowerHelper(host, helperId(name as Helper), undefined);
  if (lowering.kind !== 'host') throw new Bug(`bpf_${name} is no function of the host`);
  return lowering.call;
}
