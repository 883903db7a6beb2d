/** Accesses to buffers whose size is known only when the program is attached or run, and to flow keys. */
import { formatBits } from '../value/print.ts';
import type { Explorer } from './explorer.ts';
import type { RegState } from './reg.ts';
import { MEM_RDONLY } from './reg-type.ts';

/** Bytes of `struct bpf_flow_keys`. @see include/uapi/linux/bpf.h */
const FLOW_KEYS_SIZE = 56;

export function checkFlowKeys(ex: Explorer, off: number, size: number): void {
  if (off >= 0 && off + size <= FLOW_KEYS_SIZE) return;
  ex.refuse('memory-bounds', `invalid access to flow keys off=${off} size=${size}`, {
    reason: `struct bpf_flow_keys has ${FLOW_KEYS_SIZE} bytes`,
  });
}

/**
 * The access is at a constant offset that is not negative; how far it reaches is compared with the buffer later.
 *
 * @param kind what the log calls the buffer
 * @param off the fixed offset, the pointer's own included
 */
export function checkBuffer(
  ex: Explorer,
  kind: string,
  regno: number,
  reg: RegState,
  off: number,
  size: number,
): void {
  if (off < 0) {
    const problem = `R${regno} invalid ${kind} buffer access: off=${off}, size=${size}`;
    ex.refuse('memory-bounds', problem);
  }
  if (!reg.scalar.isConst || reg.scalar.valueLo !== 0) {
    const problem = `R${regno} invalid variable buffer offset: off=${off}, var_off=${formatBits(reg.scalar)}`;
    ex.refuse('memory-bounds', problem, { reason: 'how much of the buffer is used must be known exactly' });
  }
}

/** What the log calls a buffer of that type. */
export function bufferName(reg: RegState): string {
  return (reg.type & MEM_RDONLY) !== 0 ? 'rdonly' : 'rdwr';
}
