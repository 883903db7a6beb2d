/** The task that the program runs on behalf of. */
import type { HelperImpl } from '../../interpreter/environment.ts';
import { addr, size } from './values.ts';

const COMM_LENGTH = 15;

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
