/** What a register holds, in a person's words. */
import type { RegState } from '../explore/reg.ts';
import {
  baseType,
  CONST_PTR_TO_DYNPTR,
  CONST_PTR_TO_MAP,
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RCU,
  MEM_RDONLY,
  MEM_RINGBUF,
  MEM_USER,
  mayBeNull,
  NOT_INIT,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_FUNC,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_TP_BUFFER,
  PTR_TO_XDP_SOCK,
  PTR_TRUSTED,
  PTR_UNTRUSTED,
  SCALAR,
} from '../explore/reg-type.ts';
import { formatSigned, formatUnsigned } from '../value/print.ts';
import type { Scalar } from '../value/scalar.ts';

const POINTERS: Readonly<Record<number, string>> = {
  [PTR_TO_CTX]: 'the context',
  [PTR_TO_PACKET_END]: "the packet's end",
  [PTR_TO_FLOW_KEYS]: 'the flow keys',
  [PTR_TO_SOCKET]: 'a socket',
  [PTR_TO_SOCK_COMMON]: 'the common part of a socket',
  [PTR_TO_TCP_SOCK]: 'a TCP socket',
  [PTR_TO_TP_BUFFER]: "the tracepoint's buffer",
  [PTR_TO_XDP_SOCK]: 'an XDP socket',
  [PTR_TO_ARENA]: 'memory of an arena',
  [PTR_TO_BUF]: 'a buffer of the kernel',
  [PTR_TO_FUNC]: 'a function',
  [CONST_PTR_TO_DYNPTR]: 'a dynptr',
};

/** `1 byte`, `4 bytes`. */
export const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** `a pointer to a value of map counts, or null`. */
export function describeReg(reg: RegState): string {
  if (reg.type === NOT_INIT) return 'nothing: it was not written, or a call made it unreadable';
  if (reg.type === SCALAR) return describeNumber(reg.scalar);
  const base = baseType(reg.type);
  if (base === PTR_TO_STACK) return describeStack(reg);
  const text = `a pointer ${place(reg, target(reg, base))}`;
  return `${qualified(reg, text)}${mayBeNull(reg.type) ? ', or null' : ''}`;
}

/** What a pointer points to, without where: `the stack`, `a value of map counts (8 bytes)`. */
export function describeTarget(reg: RegState): string {
  const base = baseType(reg.type);
  return base === PTR_TO_STACK ? 'the stack' : target(reg, base).replace(/ \([^)]*\)$/, '');
}

/** `a number from 0 to 255`. */
export function describeNumber(scalar: Scalar): string {
  if (scalar.isConst) return `the number ${formatSigned(scalar.valueHi, scalar.valueLo)}`;
  const { sminHi, sminLo, smaxHi, smaxLo, uminHi, uminLo, umaxHi, umaxLo } = scalar;
  const signedKnown = sminHi !== -0x80000000 || smaxHi !== 0x7fffffff || sminLo !== 0 || smaxLo !== -1;
  if (sminHi < 0) {
    if (!signedKnown) return umaxHi === -1 && umaxLo === -1 ? 'a number that can be anything' : 'a number';
    return `a number from ${formatSigned(sminHi, sminLo)} to ${formatSigned(smaxHi, smaxLo)}`;
  }
  const most =
    smaxHi === 0x7fffffff && smaxLo === -1
      ? 'without a known maximum'
      : `to ${formatUnsigned(umaxHi, umaxLo)}`;
  return `a number from ${formatUnsigned(uminHi, uminLo)} ${most}`;
}

function describeStack(reg: RegState): string {
  if (!reg.scalar.isConst) return `a pointer into the stack at a variable offset`;
  const at = reg.off + reg.scalar.constNumber();
  return at === 0 ? 'the frame pointer' : `a pointer into the stack, at fp${at}`;
}

/** `17 bytes into the packet`, `into the packet, 0 to 20 bytes past its start`. */
function place(reg: RegState, what: string): string {
  const { scalar } = reg;
  if (scalar.isConst) {
    const off = reg.off + scalar.constNumber();
    return off === 0 ? `to ${what}` : `${plural(off, 'byte')} into ${what}`;
  }
  const fixed = reg.off === 0 ? '' : `${reg.off} and `;
  const range = describeNumber(scalar).replace(/^a number (from )?/, '');
  const many = /^-?\w+ to /.test(range) ? range : 'an unknown number of';
  return `into ${what}, ${fixed}${many} bytes past its start`;
}

function known({ range }: RegState): string {
  return range > 0 ? `${range} bytes are known to be there` : 'no bytes are known to be there';
}

function target(reg: RegState, base: number): string {
  switch (base) {
    case CONST_PTR_TO_MAP:
      return `map ${reg.map?.name ?? ''}`;
    case PTR_TO_MAP_VALUE:
      return `a value of map ${reg.map?.name ?? ''} (${reg.map?.valueSize ?? 0} bytes)`;
    case PTR_TO_MAP_KEY:
      return `a key of map ${reg.map?.name ?? ''} (${reg.map?.keySize ?? 0} bytes)`;
    case PTR_TO_PACKET:
      return `the packet (${known(reg)})`;
    case PTR_TO_PACKET_META:
      return `the packet's metadata (${known(reg)})`;
    case PTR_TO_MEM:
      return (reg.type & MEM_RINGBUF) !== 0
        ? `a ring buffer record (${reg.memSize} bytes)`
        : `memory (${reg.memSize} bytes)`;
    case PTR_TO_BTF_ID: {
      const type = reg.btf?.type(reg.btfId);
      const name = type !== undefined && 'name' in type ? String(type.name) : '';
      return `struct ${name}`;
    }
    default:
      return POINTERS[base] ?? 'something';
  }
}

const QUALITIES: readonly (readonly [number, string])[] = [
  [PTR_UNTRUSTED, 'untrusted'],
  [PTR_TRUSTED, 'trusted'],
  [MEM_RCU, 'RCU-protected'],
  [MEM_ALLOC, 'owned'],
  [MEM_USER, 'user-space'],
  [MEM_PERCPU, 'per-CPU'],
  [MEM_RDONLY, 'read-only'],
];

function qualified(reg: RegState, text: string): string {
  const words = QUALITIES.filter(([flag]) => (reg.type & flag) !== 0).map(([, word]) => word);
  if (words.length === 0) return text;
  const article = /^[aeiou]/i.test(words[0]!) ? 'an' : 'a';
  return text.replace(/^a pointer/, `${article} ${words.join(' ')} pointer`);
}
