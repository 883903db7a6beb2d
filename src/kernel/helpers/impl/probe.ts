/** Reads of any memory, which fail in place of faulting. @see kernel/trace/bpf_trace.c */
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { addr, err, size } from './values.ts';

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

/** @returns the string's length with its zero, cut to the destination */
export const probe_read_str: HelperImpl = (run, to, length, from) => {
  const { memory } = run.machine;
  const room = size(length);
  if (room === 0) return 0n;
  const readable = mapped(run, from, room);
  const source = memory.read(addr(from), readable);
  const zero = source.indexOf(0);
  if (zero < 0 && readable < room) {
    memory.fill(addr(to), room, 0);
    return err('EFAULT');
  }
  const text = zero < 0 ? source.subarray(0, room - 1) : source.subarray(0, zero);
  memory.write(addr(to), text);
  memory.u8[addr(to) + text.length] = 0;
  return text.length + 1;
};

/** There is no memory of user space here. */
export const probe_read_user: HelperImpl = (run, to, length) => {
  run.machine.memory.fill(addr(to), size(length), 0);
  return err('EFAULT');
};
