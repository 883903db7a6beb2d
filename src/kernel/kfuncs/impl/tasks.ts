/** Tasks and cgroups: those that the caller has described. @see kernel/bpf/helpers.c, bpf_task_acquire and behind it */

import { sendSignal } from '../../helpers/impl/task.ts';
import { addr, err, s32, u32 } from '../../helpers/impl/values.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';
import { cgroupsOf } from '../../objects/task.ts';

const acquire: HelperImpl = ({ kernel }, pointer) => (kernel.heap.acquire(pointer) ? pointer : 0n);
const release: HelperImpl = ({ kernel }, pointer) => {
  kernel.heap.drop(pointer);
  return 0n;
};

export const bpf_task_acquire = acquire;
export const bpf_task_release = release;
export const bpf_cgroup_acquire = acquire;
export const bpf_cgroup_release = release;

export const bpf_task_from_pid: HelperImpl = ({ kernel: { world, task } }, pid) => {
  // The current one has its struct from now on.
  world.taskStruct(task);
  return BigInt(world.taskOf(s32(pid)));
};
export const bpf_task_from_vpid = bpf_task_from_pid;

export const bpf_task_under_cgroup: HelperImpl = ({ kernel: { world } }, pointer, ancestor) => {
  const task = world.taskAt(pointer);
  const id = world.cgroupIdAt(ancestor);
  return task && id !== undefined && cgroupsOf(task).includes(id) ? 1n : 0n;
};

/** There are no hierarchies of the first version. */
export const bpf_task_get_cgroup1: HelperImpl = () => 0n;

export const bpf_cgroup_ancestor: HelperImpl = ({ kernel, machine: { memory } }, pointer, level) => {
  const { world } = kernel;
  const own = world.offsetOf('cgroup', 'level');
  const ancestors = world.offsetOf('cgroup', 'ancestors');
  if (own === undefined || ancestors === undefined) return 0n;
  if (s32(level) < 0 || s32(level) > memory.view.getInt32(addr(pointer) + own, true)) return 0n;
  const found = memory.readU64(addr(pointer) + ancestors + 8 * s32(level));
  return kernel.heap.acquire(found) ? found : 0n;
};

export const bpf_cgroup_from_id: HelperImpl = ({ kernel: { world, task } }, id) => {
  const own = cgroupsOf(task);
  world.cgroup(own.at(-1)!, own);
  return BigInt(world.cgroupOf(id));
};

export const bpf_send_signal_task: HelperImpl = (run, pointer, signal, type) => {
  const task = run.kernel.world.taskAt(pointer);
  // PIDTYPE_PID and PIDTYPE_TGID.
  if (u32(type) > 1) return err('EINVAL');
  return task ? sendSignal(task, signal, u32(type) === 0) : err('ESRCH');
};
