/** Accesses through pointers to sockets: fixed fields, to be read only. */
import { SOCK } from '../../programs/contexts/sock.ts';
import { loadUnknown } from './access-value.ts';
import type { Explorer } from './explorer.ts';
import type { RegState } from './reg.ts';
import {
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  regTypeName,
} from './reg-type.ts';

/** Bytes of `struct bpf_tcp_sock`, and the offsets of its two 64-bit members. @see include/uapi/linux/bpf.h */
const TCP_SOCK = { size: 112, wide: [80, 88] } as const;
/** Bytes of `struct bpf_xdp_sock`. */
const XDP_SOCK_SIZE = 4;
/** What a socket of any kind shows; `type` to `priority` are members of a full socket. */
const FULL_ONLY = { from: 8, to: 24 } as const;

const NO_CAPS: ReadonlySet<never> = new Set();

function isValid(type: number, off: number, size: number): boolean {
  if (off < 0 || off % size !== 0) return false;
  switch (type) {
    case PTR_TO_SOCK_COMMON:
      if (off >= FULL_ONLY.from && off < FULL_ONLY.to) return false;
      return SOCK.access('read', off, size, undefined, NO_CAPS) !== undefined;
    case PTR_TO_SOCKET:
      return SOCK.access('read', off, size, undefined, NO_CAPS) !== undefined;
    case PTR_TO_TCP_SOCK:
      if (off >= TCP_SOCK.size) return false;
      return size === ((TCP_SOCK.wide as readonly number[]).includes(off) ? 8 : 4);
    case PTR_TO_XDP_SOCK:
      return off < XDP_SOCK_SIZE && size === 4;
    default:
      return false;
  }
}

/** Whether the type is one of the four socket pointers, without a doubt about null. */
export function isSocket(type: number): boolean {
  return (
    type === PTR_TO_SOCKET ||
    type === PTR_TO_SOCK_COMMON ||
    type === PTR_TO_TCP_SOCK ||
    type === PTR_TO_XDP_SOCK
  );
}

/** @param off the fixed offset, the pointer's own included */
export function accessSocket(
  ex: Explorer,
  regno: number,
  reg: RegState,
  off: number,
  size: number,
  access: 'read' | 'write',
  valueRegno: number,
  signed: boolean,
): void {
  if (access === 'write') {
    ex.refuse('read-only-memory', `R${regno} cannot write into ${regTypeName(reg.type)}`, {
      reason: 'sockets are changed by helpers only',
    });
  }
  if (reg.scalar.sminHi < 0) {
    const problem = `R${regno} min value is negative, either use unsigned index or do a if (index >=0) check.`;
    ex.refuse('memory-bounds', problem);
  }
  if (!isValid(reg.type, off, size)) {
    const problem = `R${regno} invalid ${regTypeName(reg.type)} access off=${off} size=${size}`;
    ex.refuse('memory-bounds', problem, {
      reason: 'the socket has no field of that size at that offset',
    });
  }
  if (reg.type === PTR_TO_TCP_SOCK && size === 4 && TCP_SOCK.wide.some((at) => off === at + 4)) {
    ex.aux[ex.insnIdx]!.noConversion = true;
  }
  loadUnknown(ex, valueRegno, size, signed);
}
