/** The task that the program runs on behalf of. @see kernel/bpf/helpers.c; kernel/trace/bpf_trace.c */
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { cgroupsOf, type Task } from '../../objects/task.ts';
import { addr, err, s32, size, u32 } from './values.ts';

const COMM_LENGTH = 15;
/** The initial namespace of process ids: the device and inode of its file. @see include/linux/proc_ns.h */
const PID_NAMESPACE = { dev: 4n, ino: 0xeffffffcn } as const;
const PIDNS_INFO = 8;
const MAX_SIGNAL = 64;
/** The first network namespace's. */
const NETNS_COOKIE = 1n;

export const get_current_pid_tgid: HelperImpl = ({ kernel: { task } }) =>
  (BigInt(task.tgid) << 32n) | BigInt(task.pid);

export const get_current_uid_gid: HelperImpl = ({ kernel: { task } }) =>
  (BigInt(task.gid) << 32n) | BigInt(task.uid);

/** The name is cut to the buffer and padded with zeros; it always ends with one. */
export const get_current_comm: HelperImpl = ({ kernel: { task }, machine: { memory } }, buffer, length) => {
  const room = size(length);
  const comm = new TextEncoder().encode(task.comm).subarray(0, Math.min(COMM_LENGTH, Math.max(room - 1, 0)));
  memory.fill(addr(buffer), room, 0);
  memory.write(addr(buffer), comm);
  return 0n;
};

export const get_current_task: HelperImpl = ({ kernel: { world, task } }) => BigInt(world.taskStruct(task));
export const get_current_task_btf = get_current_task;

export const get_current_cgroup_id: HelperImpl = ({ kernel: { task } }) => cgroupsOf(task).at(-1)!;

/** 0 for a level that its cgroup is not below. */
export const get_current_ancestor_cgroup_id: HelperImpl = ({ kernel: { task } }, level) =>
  cgroupsOf(task)[s32(level)] ?? 0n;

export const get_ns_current_pid_tgid: HelperImpl = ({ kernel: { task }, machine }, dev, ino, out, length) => {
  const { memory } = machine;
  const room = u32(length);
  if (room === PIDNS_INFO && dev === PID_NAMESPACE.dev && ino === PID_NAMESPACE.ino) {
    memory.writeU32(addr(out), task.pid);
    memory.writeU32(addr(out) + 4, task.tgid);
    return 0;
  }
  memory.fill(addr(out), room, 0);
  return err('EINVAL');
};

export const get_netns_cookie: HelperImpl = () => NETNS_COOKIE;

/** Hands a signal to who described the task. */
export function sendSignal(task: Task, signal: bigint, thread: boolean): number {
  // The first process gets none that it did not ask for.
  if (task.pid === 1) return err('EPERM');
  if (u32(signal) === 0 || u32(signal) > MAX_SIGNAL) return err('EINVAL');
  task.onSignal?.(u32(signal), thread);
  return 0;
}
export const send_signal: HelperImpl = ({ kernel: { task } }, signal) => sendSignal(task, signal, false);
export const send_signal_thread: HelperImpl = ({ kernel: { task } }, signal) =>
  sendSignal(task, signal, true);

/** `BPF_F_SKIP_FIELD_MASK`, `BPF_F_USER_STACK`, `BPF_F_USER_BUILD_ID`. */
const STACK = { SKIP: 0xffn, USER: 1n << 8n, BUILD_ID: 1n << 11n } as const;
const ADDRESS = 8;
const BUILD_ID_BYTES = 32;
/** `BPF_STACK_BUILD_ID_IP`: the address alone is known. */
const BUILD_ID_IP = 2;

/** Writes the stack's addresses, the innermost first. @returns bytes written or a negative errno */
function writeStack(run: HelperRun, task: Task, buffer: bigint, length: bigint, flags: bigint): number {
  const { memory } = run.machine;
  const room = u32(length);
  const fail = (status: number): number => {
    memory.fill(addr(buffer), room, 0);
    return status;
  };
  if (flags & ~(STACK.SKIP | STACK.USER | STACK.BUILD_ID)) return fail(err('EINVAL'));
  const withIds = (flags & STACK.BUILD_ID) !== 0n;
  if (withIds && (flags & STACK.USER) === 0n) return fail(err('EINVAL'));
  const frame = withIds ? BUILD_ID_BYTES : ADDRESS;
  if (room % frame !== 0) return fail(err('EINVAL'));
  const { kernelStack = [], userStack = [] } = task;
  const all = flags & STACK.USER ? userStack : kernelStack;
  const kept = all.slice(Number(flags & STACK.SKIP)).slice(0, room / frame);
  if (kept.length === 0) return fail(err('EFAULT'));
  memory.fill(addr(buffer), room, 0);
  for (const [i, one] of kept.entries()) {
    const at = addr(buffer) + i * frame;
    if (withIds) {
      memory.view.setInt32(at, BUILD_ID_IP, true);
      memory.writeU64(at + 24, one);
    } else memory.writeU64(at, one);
  }
  return kept.length * frame;
}

export const get_stack: HelperImpl = (run, _context, buffer, length, flags) =>
  writeStack(run, run.kernel.task, buffer, length, flags);

export const get_task_stack: HelperImpl = (run, pointer, buffer, length, flags) => {
  const task = run.kernel.world.taskAt(pointer);
  if (task) return writeStack(run, task, buffer, length, flags);
  run.machine.memory.fill(addr(buffer), u32(length), 0);
  return err('EFAULT');
};
