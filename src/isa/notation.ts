/** Operands whose text is the same in every notation: pseudo sources of 64-bit loads, called functions, numbers. */
import { unreachable } from '../base/error.ts';
import type { CallTarget, Imm64 } from './insn.ts';
import type { Cursor } from './parser.ts';

export type Base = 'hex' | 'decimal';

/** A signed number; hexadecimal ones carry their sign before the `0x`. */
export function number(value: number | bigint, base: Base): string {
  if (base === 'decimal') return String(value);
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

/** A number behind another operand: ` + 4`, ` - 4`. */
export function displacement(value: number, base: Base): string {
  return value < 0 ? ` - ${number(-value, base)}` : ` + ${number(value, base)}`;
}

/** A number whose sign is always written: `+4`, `-4`. */
export function signed(value: number, base: Base): string {
  return value < 0 ? number(value, base) : `+${number(value, base)}`;
}

export type PseudoImm64 = Exclude<Imm64, { kind: 'value' }>;

/**
 * A pseudo source as bpftool writes it (`map[id:5][0]+16`, `subprog[+3]`), where it does. bpftool's id is an fd before
 * the load; it has no notation for a kernel variable (`btf[id:7]`, `btf[fd:3,id:7]` here) and none for an index without offset.
 */
export function pseudoText(imm: PseudoImm64): string {
  switch (imm.kind) {
    case 'map_fd':
      return `map[id:${imm.fd}]`;
    case 'map_value':
      return `map[id:${imm.fd}][0]+${imm.off}`;
    case 'map_idx':
      return `map[idx:${imm.idx}]`;
    case 'map_idx_value':
      return `map[idx:${imm.idx}]+${imm.off}`;
    case 'btf_id':
      return imm.btfFd === 0 ? `btf[id:${imm.id}]` : `btf[fd:${imm.btfFd},id:${imm.id}]`;
    case 'func':
      return `subprog[${signed(imm.off, 'decimal')}]`;
    default:
      return unreachable(imm);
  }
}

/** Reads what {@link pseudoText} writes, if that comes next. */
export function parsePseudo(cursor: Cursor): PseudoImm64 | undefined {
  if (cursor.take('map', '[')) {
    const indexed = cursor.take('idx');
    if (!indexed && !cursor.take('fd')) cursor.expect('id');
    cursor.expect(':');
    const which = cursor.s32(indexed ? 'an index into fd_array' : 'a map fd');
    cursor.expect(']');
    const value = cursor.take('[', '0', ']') || (indexed && cursor.is('+'));
    if (!value) return indexed ? { kind: 'map_idx', idx: which } : { kind: 'map_fd', fd: which };
    const off = cursor.is('+') ? cursor.u32('an offset into the value') : 0;
    return indexed ? { kind: 'map_idx_value', idx: which, off } : { kind: 'map_value', fd: which, off };
  }
  if (cursor.take('btf', '[')) {
    let btfFd = 0;
    if (cursor.take('fd', ':')) {
      btfFd = cursor.s32('a BTF fd');
      cursor.expect(',');
    }
    cursor.expect('id', ':');
    const id = cursor.u32('a BTF id');
    cursor.expect(']');
    return { kind: 'btf_id', id, btfFd };
  }
  if (cursor.take('subprog', '[')) {
    const off = cursor.s32('a distance in instructions');
    cursor.expect(']');
    return { kind: 'func', off };
  }
  return undefined;
}

/** A called function without its name, as the kernel and bpftool write it; read back by {@link parseCallTarget}. */
export function callText(target: Exclude<CallTarget, { kind: 'reg' }>, base: Base): string {
  switch (target.kind) {
    case 'helper':
      return number(target.id, base);
    case 'local':
      return `pc${signed(target.off, 'decimal')}`;
    case 'kfunc':
      return `kernel-function#${target.btfId}${target.fdIdx === 0 ? '' : `[fd_idx:${target.fdIdx}]`}`;
    default:
      return unreachable(target);
  }
}

/** Reads `kernel-function#7`, `kernel-function#7[fd_idx:2]`, if that comes next. */
export function parseKfunc(cursor: Cursor): CallTarget | undefined {
  if (!cursor.take('kernel', '-', 'function', '#')) return undefined;
  const btfId = cursor.u32('a BTF id');
  let fdIdx = 0;
  if (cursor.take('[', 'fd_idx', ':')) {
    fdIdx = cursor.off16('an index into fd_array');
    cursor.expect(']');
  }
  return { kind: 'kfunc', btfId, fdIdx };
}
