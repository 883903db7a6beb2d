/** Reads of any memory, which fail in place of faulting. @see kernel/trace/bpf_trace.c */
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import type { Addr } from '../../memory/index.ts';
import { addr, err, size, u32 } from './values.ts';

/** How many bytes from an address on are mapped, up to `most`. */
function mapped({ machine: { memory } }: HelperRun, from: bigint, most: number): number {
  if (from + BigInt(most) > 0xffff_ffffn) return 0;
  const region = memory.region(Number(from));
  return region ? Math.min(region.end - Number(from), most) : 0;
}

/** The destination is zeroed when the source can't be read whole. */
export const probe_read: HelperImpl = (run, to, length, from) => {
  const { memory } = run.machine;
  const bytes = size(length);
  if (bytes === 0) return 0n;
  if (mapped(run, from, bytes) < bytes) {
    memory.fill(addr(to), bytes, 0);
    return err('EFAULT');
  }
  memory.copy(addr(to), addr(from), bytes);
  return 0n;
};

/** Puts a string where there is room for it. @param source what can be read @returns its length with its zero */
function putString({ machine: { memory } }: HelperRun, to: Addr, room: number, source: Uint8Array): number {
  const zero = source.indexOf(0);
  if (zero < 0 && source.length < room) {
    memory.fill(to, room, 0);
    return err('EFAULT');
  }
  const text = zero < 0 ? source.subarray(0, room - 1) : source.subarray(0, zero);
  memory.write(to, text);
  memory.u8[to + text.length] = 0;
  return text.length + 1;
}

/** @returns the string's length with its zero, cut to the destination */
export const probe_read_str: HelperImpl = (run, to, length, from) => {
  const room = size(length);
  if (room === 0) return 0n;
  const readable = mapped(run, from, room);
  return putString(run, addr(to), room, run.machine.memory.read(addr(from), readable));
};

/** Bytes of the current task's memory, as many as there are. */
function user({ kernel: { task } }: HelperRun, from: bigint, length: number): Uint8Array {
  return task.userMemory?.(from, length)?.subarray(0, length) ?? new Uint8Array();
}

/** Copies from user space, or zeroes. @returns 0 or a negative errno */
export function readUser(run: HelperRun, to: Addr, length: number, from: bigint): number {
  const { memory } = run.machine;
  if (length === 0) return 0;
  const bytes = user(run, from, length);
  if (bytes.length < length) {
    memory.fill(to, length, 0);
    return err('EFAULT');
  }
  memory.write(to, bytes);
  return 0;
}

/** Copies a string from user space. @returns its length with its zero, or a negative errno */
export function userString(run: HelperRun, to: Addr, room: number, from: bigint): number {
  return room === 0 ? 0 : putString(run, to, room, user(run, from, room));
}

export const probe_read_user: HelperImpl = (run, to, length, from) =>
  readUser(run, addr(to), size(length), from);
export const probe_read_user_str: HelperImpl = (run, to, length, from) =>
  userString(run, addr(to), size(length), from);

export const copy_from_user = probe_read_user;

export const copy_from_user_task: HelperImpl = (run, to, length, from, task, flags) => {
  if (flags !== 0n) return err('EINVAL');
  if (u32(length) === 0) return 0;
  const { kernel, machine } = run;
  if (kernel.world.taskAt(task) === kernel.task) return readUser(run, addr(to), size(length), from);
  machine.memory.fill(addr(to), size(length), 0);
  return err('EFAULT');
};
