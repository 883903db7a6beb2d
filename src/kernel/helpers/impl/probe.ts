/** Reads of any memory, which fail in place of faulting. @see kernel/trace/bpf_trace.c */
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import type { Addr } from '../../memory/index.ts';
import type { Task } from '../../objects/task.ts';
import { addr, err, size, u32 } from './values.ts';

/** How many bytes from an address on are mapped, up to `most`. */
function mapped({ machine: { memory } }: HelperRun, from: bigint, most: number): number {
  if (from + BigInt(most) > 0xffff_ffffn) return 0;
  const region = memory.region(Number(from));
  return region ? Math.min(region.end - Number(from), most) : 0;
}

/** Addresses of user space and the page behind it, and of the page of old system calls. */
const USER_END = (1n << 47n) + 4096n;
const VSYSCALL = 0xffff_ffff_ff60_0000n;
const PAGE = 4096n;

/**
 * What Linux answers for a kernel address that can't be read: `ERANGE` where no kernel memory can be, else `EFAULT`.
 * @see arch/x86/mm/maccess.c, copy_from_kernel_nofault_allowed
 */
export function addressError(pointer: bigint): number {
  const canonical = BigInt.asUintN(64, BigInt.asIntN(48, pointer)) === pointer;
  const never = pointer < USER_END || !canonical || (pointer & ~(PAGE - 1n)) === VSYSCALL;
  return err(never ? 'ERANGE' : 'EFAULT');
}

/** The destination is zeroed when the source can't be read whole. */
function readWhole(run: HelperRun, to: bigint, length: bigint, from: bigint): bigint | number {
  const { memory } = run.machine;
  const bytes = size(length);
  // Whether the address can be the kernel's is looked at first.
  if (bytes === 0) {
    const wrong = mapped(run, from, 1) === 0 && addressError(from) === err('ERANGE');
    return wrong ? err('ERANGE') : 0n;
  }
  if (mapped(run, from, bytes) < bytes) {
    memory.fill(addr(to), bytes, 0);
    return addressError(from);
  }
  memory.copy(addr(to), addr(from), bytes);
  return 0n;
}

export const probe_read_kernel: HelperImpl = (run, to, length, from) => readWhole(run, to, length, from);

/** Where user space ends: what is wrong with an address below is `EFAULT`. @see arch/x86/include/asm/page_64.h, TASK_SIZE_MAX */
const TASK_SIZE = (1n << 47n) - PAGE;

/** An address that may be one of user space, too. */
export const probe_read: HelperImpl = (run, to, length, from) => {
  if (from >= TASK_SIZE) return readWhole(run, to, length, from);
  return length === 0n || readWhole(run, to, length, from) === 0n ? 0n : err('EFAULT');
};

/** Puts a string where there is room for it. @param source what can be read @returns its length with its zero */
function putString(
  { machine: { memory } }: HelperRun,
  to: Addr,
  room: number,
  source: Uint8Array,
  wrong = err('EFAULT'),
): number {
  const zero = source.indexOf(0);
  if (zero < 0 && source.length < room) {
    memory.fill(to, room, 0);
    return wrong;
  }
  const text = zero < 0 ? source.subarray(0, room - 1) : source.subarray(0, zero);
  memory.write(to, text);
  memory.u8[to + text.length] = 0;
  return text.length + 1;
}

/** @returns the string's length with its zero, cut to the destination */
export const probe_read_kernel_str: HelperImpl = (run, to, length, from) => {
  const room = size(length);
  if (room === 0) return 0n;
  const readable = mapped(run, from, room);
  const source = run.machine.memory.read(addr(from), readable);
  return putString(run, addr(to), room, source, addressError(from));
};

export const probe_read_str: HelperImpl = (run, to, length, from) => {
  const result = probe_read_kernel_str(run, to, length, from, 0n, 0n) as bigint | number;
  return result < 0 && from < TASK_SIZE ? err('EFAULT') : result;
};

/** Bytes of a task's memory, as many as there are. */
function user(task: Task, from: bigint, length: number): Uint8Array {
  return task.userMemory?.(from, length)?.subarray(0, length) ?? new Uint8Array();
}

/** Copies from user space, or zeroes. @returns 0 or a negative errno */
export function readUser(
  run: HelperRun,
  to: Addr,
  length: number,
  from: bigint,
  task = run.kernel.task,
): number {
  const { memory } = run.machine;
  if (length === 0) return 0;
  const bytes = user(task, from, length);
  if (bytes.length < length) {
    memory.fill(to, length, 0);
    return err('EFAULT');
  }
  memory.write(to, bytes);
  return 0;
}

/** Copies a string from user space. @returns its length with its zero, or a negative errno */
export function userString(
  run: HelperRun,
  to: Addr,
  room: number,
  from: bigint,
  task = run.kernel.task,
): number {
  return room === 0 ? 0 : putString(run, to, room, user(task, from, room));
}

/** Whether an address is user space's is looked at even where nothing is read. */
export const probe_read_user: HelperImpl = (run, to, length, from) =>
  length === 0n && from >= TASK_SIZE ? err('EFAULT') : readUser(run, addr(to), size(length), from);
export const probe_read_user_str: HelperImpl = (run, to, length, from) =>
  userString(run, addr(to), size(length), from);

export const copy_from_user: HelperImpl = (run, to, length, from) =>
  readUser(run, addr(to), size(length), from);

export const copy_from_user_task: HelperImpl = (run, to, length, from, pointer, flags) => {
  if (flags !== 0n) return err('EINVAL');
  if (u32(length) === 0) return 0;
  const { kernel, machine } = run;
  const task = kernel.world.taskAt(pointer);
  if (task) return readUser(run, addr(to), size(length), from, task);
  machine.memory.fill(addr(to), size(length), 0);
  return err('EFAULT');
};
