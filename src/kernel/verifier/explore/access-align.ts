/** Alignment: always wanted of the stack, else only where the program asked for strictness or the access is atomic. */
import { PROG_LOAD_FLAGS } from '../../../sys/flags.ts';
import { formatBits } from '../value/print.ts';
import type { Scalar } from '../value/scalar.ts';
import type { Explorer } from './explorer.ts';
import type { RegState } from './reg.ts';
import {
  PTR_TO_ARENA,
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
} from './reg-type.ts';

/** Packets start at an address of which this is the remainder, on the worst of machines. */
const NET_IP_ALIGN = 2;

/** What the log calls memory behind pointers of a type. */
const NAMES: Readonly<Record<number, string>> = {
  [PTR_TO_FLOW_KEYS]: 'flow keys ',
  [PTR_TO_MAP_KEY]: 'key ',
  [PTR_TO_MAP_VALUE]: 'value ',
  [PTR_TO_CTX]: 'context ',
  [PTR_TO_STACK]: 'stack ',
  [PTR_TO_SOCKET]: 'sock ',
  [PTR_TO_SOCK_COMMON]: 'sock_common ',
  [PTR_TO_TCP_SOCK]: 'tcp_sock ',
  [PTR_TO_XDP_SOCK]: 'xdp_sock ',
};

/** Whether a sum of known bits and a constant is a multiple of `size`. */
function isAligned({ valueLo, maskLo }: Scalar, constant: number, size: number): boolean {
  const value = (valueLo + constant) | 0;
  const mask = ((maskLo + value) ^ value) | maskLo;
  return ((value | mask) & (size - 1)) === 0;
}

/** @param off offset in the instruction, the pointer's own not included */
export function checkAlignment(
  ex: Explorer,
  regno: number,
  reg: RegState,
  off: number,
  size: number,
  strictOnce: boolean,
): void {
  if (size === 1 || reg.type === PTR_TO_ARENA) return;
  if (!strictOnce && reg.type !== PTR_TO_STACK) {
    const { flags } = ex.draft.input;
    if ((flags & PROG_LOAD_FLAGS.BPF_F_STRICT_ALIGNMENT) === 0) return;
    if ((flags & PROG_LOAD_FLAGS.BPF_F_ANY_ALIGNMENT) !== 0) return;
  }
  const packet = reg.type === PTR_TO_PACKET || reg.type === PTR_TO_PACKET_META;
  const base = packet ? NET_IP_ALIGN : 0;
  if (isAligned(reg.scalar, base + reg.off + off, size)) return;
  const place = `${formatBits(reg.scalar)}+${reg.off}+${off} size ${size}`;
  const problem = packet
    ? `misaligned packet access off ${NET_IP_ALIGN}+${place}`
    : `misaligned ${NAMES[reg.type] ?? ''}access off ${place}`;
  ex.refuse('misaligned-access', problem, {
    reason: `an access of ${size} bytes through r${regno} must be at a multiple of ${size}`,
  });
}
