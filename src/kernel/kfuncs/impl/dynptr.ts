/** Dynptrs, as kernel functions handle them. @see kernel/bpf/helpers.c, bpf_dynptr_slice and the functions beside it */
import {
  clearDynptr,
  DYNPTR,
  type Dynptr,
  isInside,
  loadFrom,
  readDynptr,
  storeTo,
  writeDynptr,
} from '../../helpers/impl/dynptr.ts';
import { packetAt } from '../../helpers/impl/packet.ts';
import { probe_read_kernel, probe_read_kernel_str, readUser, userString } from '../../helpers/impl/probe.ts';
import { addr, err, s32, u32 } from '../../helpers/impl/values.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { type Addr, at } from '../../memory/index.ts';
import { SkBuff } from '../../net/sk-buff.ts';
import type { Task } from '../../objects/task.ts';

/** Types whose programs may write to their packet. @see net/core/filter.c, may_access_direct_pkt_data */
const WRITE_PACKETS: ReadonlySet<string> = new Set(['sched_cls', 'sched_act', 'lwt_xmit', 'sk_skb', 'xdp']);

/** Metadata is what XDP leaves in front of a packet: no socket buffer comes from there, so it is empty. */
const fromPacket =
  (kind: 'skb' | 'xdp' | 'skb_meta'): HelperImpl =>
  (run, context, flags, pointer) => {
    clearDynptr(run, pointer);
    if (flags !== 0n) return err('EINVAL');
    const packet = packetAt(run, context);
    const size = kind === 'skb_meta' ? 0 : packet instanceof SkBuff ? packet.len : packet.length();
    const readOnly = kind !== 'skb_meta' && !WRITE_PACKETS.has(run.program.type);
    writeDynptr(run, pointer, { data: packet.addr, kind: DYNPTR[kind], readOnly, size, offset: 0 });
    return 0;
  };

export const bpf_dynptr_from_skb = fromPacket('skb');
export const bpf_dynptr_from_xdp = fromPacket('xdp');
export const bpf_dynptr_from_skb_meta = fromPacket('skb_meta');

/** Where a dynptr's first bytes are, when they lie together; 0 when they don't. */
export function dynptrPlace(run: HelperRun, dynptr: Dynptr, length: number): number {
  if (dynptr.kind === DYNPTR.local || dynptr.kind === DYNPTR.ringbuf) return dynptr.data + dynptr.offset;
  return packetAt(run, BigInt(dynptr.data)).linear(dynptr.offset, length);
}

/** A pointer to the bytes themselves where they lie together, or to a copy in the caller's buffer. */
function slice(run: HelperRun, dynptr: Dynptr, offset: bigint, buffer: bigint, length: bigint): bigint {
  if (!isInside(dynptr, offset, length)) return 0n;
  const from = dynptr.offset + Number(offset);
  if (dynptr.kind === DYNPTR.local || dynptr.kind === DYNPTR.ringbuf) return BigInt(dynptr.data + from);
  const packet = packetAt(run, BigInt(dynptr.data));
  const direct = packet.linear(from, u32(length));
  if (direct !== 0) return BigInt(direct);
  if (buffer === 0n) return 0n;
  return loadFrom(run, dynptr, u32(offset), addr(buffer), u32(length)) === 0 ? buffer : 0n;
}

export const bpf_dynptr_slice: HelperImpl = (run, pointer, offset, buffer, length) => {
  const dynptr = readDynptr(run, pointer);
  return dynptr ? slice(run, dynptr, offset, buffer, BigInt(u32(length))) : 0n;
};

export const bpf_dynptr_slice_rdwr: HelperImpl = (run, pointer, offset, buffer, length) => {
  const dynptr = readDynptr(run, pointer);
  return dynptr && !dynptr.readOnly ? slice(run, dynptr, offset, buffer, BigInt(u32(length))) : 0n;
};

export const bpf_dynptr_adjust: HelperImpl = (run, pointer, start, end) => {
  const dynptr = readDynptr(run, pointer);
  const [from, to] = [u32(start), u32(end)];
  if (!dynptr || from > to) return err('EINVAL');
  if (from > dynptr.size || to > dynptr.size) return err('ERANGE');
  writeDynptr(run, pointer, { ...dynptr, offset: dynptr.offset + from, size: to - from });
  return 0;
};

export const bpf_dynptr_is_null: HelperImpl = (run, pointer) => (readDynptr(run, pointer) ? 0n : 1n);
export const bpf_dynptr_is_rdonly: HelperImpl = (run, pointer) =>
  readDynptr(run, pointer)?.readOnly ? 1n : 0n;
export const bpf_dynptr_size: HelperImpl = (run, pointer) =>
  readDynptr(run, pointer)?.size ?? BigInt.asUintN(64, BigInt(err('EINVAL')));

export const bpf_dynptr_clone: HelperImpl = (run, pointer, clone) => {
  const dynptr = readDynptr(run, pointer);
  clearDynptr(run, clone);
  if (!dynptr) return err('EINVAL');
  writeDynptr(run, clone, dynptr);
  return 0;
};

/** Works on a scratch block, which is given back. */
function withScratch<T>({ machine: { memory } }: HelperRun, size: number, work: (block: Addr) => T): T {
  const block = memory.allocate(size, { kind: 'kernel', owner: 'copy of a dynptr', access: 'none' });
  try {
    return work(block);
  } finally {
    memory.free(block);
  }
}

export const bpf_dynptr_copy: HelperImpl = (run, toPointer, toOffset, fromPointer, fromOffset, length) => {
  const to = readDynptr(run, toPointer);
  const from = readDynptr(run, fromPointer);
  // Of two that are null, only where they are asked for is looked at.
  if (!from && !to)
    return u32(length) === 0 && u32(toOffset) === 0 && u32(fromOffset) === 0 ? 0 : err('E2BIG');
  if (!from || !to || to.readOnly) return err('EINVAL');
  if (!isInside(to, toOffset, length) || !isInside(from, fromOffset, length)) return err('E2BIG');
  const count = u32(length);
  if (count === 0) return 0;
  return withScratch(run, count, (block) => {
    const status = loadFrom(run, from, u32(fromOffset), block, count);
    return status !== 0 ? status : storeTo(run, to, u32(toOffset), block, count, 0n);
  });
};

export const bpf_dynptr_memset: HelperImpl = (run, pointer, offset, length, value) => {
  const dynptr = readDynptr(run, pointer);
  if (!dynptr || dynptr.readOnly) return err('EINVAL');
  if (!isInside(dynptr, offset, length)) return err('E2BIG');
  const count = u32(length);
  if (count === 0) return 0;
  return withScratch(run, count, (block) => {
    run.machine.memory.fill(block, count, Number(value & 0xffn));
    return storeTo(run, dynptr, u32(offset), block, count, 0n);
  });
};

/** Reads memory into what a dynptr points to: whole, or a string. @returns 0, a string's length with its zero, or an errno */
function readInto(
  read: (run: HelperRun, to: Addr, length: number, from: bigint, task?: Task) => number,
  task?: Task,
): HelperImpl {
  return (run, pointer, offset, length, from) => {
    const dynptr = readDynptr(run, pointer);
    const count = BigInt(u32(length));
    if (!dynptr || dynptr.readOnly) return err('EINVAL');
    if (!isInside(dynptr, offset, count)) return err('E2BIG');
    if (count === 0n) return 0;
    return withScratch(run, Number(count), (block) => {
      const result = read(run, block, Number(count), from, task);
      if (result < 0) return result;
      const status = storeTo(run, dynptr, u32(offset), block, result > 0 ? result : Number(count), 0n);
      return status === 0 ? result : status;
    });
  };
}

const kernel = (run: HelperRun, to: Addr, length: number, from: bigint): number =>
  Number(probe_read_kernel(run, BigInt(to), BigInt(length), from, 0n, 0n) as bigint | number);
const kernelString = (run: HelperRun, to: Addr, length: number, from: bigint): number =>
  Number(probe_read_kernel_str(run, BigInt(to), BigInt(length), from, 0n, 0n) as bigint | number);

export const bpf_probe_read_kernel_dynptr = readInto(kernel);
export const bpf_probe_read_kernel_str_dynptr = readInto(kernelString);
export const bpf_probe_read_user_dynptr = readInto(readUser);
export const bpf_probe_read_user_str_dynptr = readInto(userString);
export const bpf_copy_from_user_dynptr = bpf_probe_read_user_dynptr;
export const bpf_copy_from_user_str_dynptr = bpf_probe_read_user_str_dynptr;

/** The task is the fifth argument; one that was not described has no memory. */
const ofTask =
  (read: typeof readUser): HelperImpl =>
  (run, pointer, offset, length, from, taskPointer) => {
    const task = run.kernel.world.taskAt(taskPointer);
    return task ? readInto(read, task)(run, pointer, offset, length, from, 0n) : err('EFAULT');
  };

export const bpf_copy_from_user_task_dynptr = ofTask(readUser);
export const bpf_copy_from_user_task_str_dynptr = ofTask(userString);

/** `BPF_F_PAD_ZEROS`. */
const PAD_ZEROS = 1n;

/** Copies a string of a task's memory, and zeros behind it where that is asked for. */
function copyUserString(
  run: HelperRun,
  [to, length, from, flags]: readonly [to: bigint, length: bigint, from: bigint, flags: bigint],
  task: Task,
): number {
  if (flags & ~PAD_ZEROS) return err('EINVAL');
  const room = u32(length);
  if (room === 0) return 0;
  const { memory } = run.machine;
  const result = userString(run, addr(to), room, from, task);
  if (result < 0) {
    if (flags & PAD_ZEROS) memory.fill(addr(to), room, 0);
    return s32(BigInt(result));
  }
  if (flags & PAD_ZEROS) memory.fill(at(addr(to), result), room - result, 0);
  return result;
}

export const bpf_copy_from_user_str: HelperImpl = (run, to, length, from, flags) =>
  copyUserString(run, [to, length, from, flags], run.kernel.task);

export const bpf_copy_from_user_task_str: HelperImpl = (run, to, length, from, pointer, flags) => {
  const task = run.kernel.world.taskAt(pointer);
  return task ? copyUserString(run, [to, length, from, flags], task) : err('EFAULT');
};
