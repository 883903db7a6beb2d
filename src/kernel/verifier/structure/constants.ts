/**
 * Which instructions can be reached when branches on constants are decided: code for kernels and options that are not
 * there. The loader makes such constants (CO-RE relocations, read-only data), and what they rule out may hold calls
 * that no kernel has. Follows constants in registers and loads from read-only data; everything else is unknown.
 */
import type { Insn, Operand, Reg, Size } from '../../../isa/index.ts';
import { MAP_CREATE_FLAGS } from '../../../sys/flags.ts';
import { ALU64, TEST32, TEST64 } from '../../interpreter/alu.ts';
import { successors } from './cfg.ts';
import type { Draft } from './draft.ts';

/** A number, the address of a byte of a map's value, or something unknown. */
type Value = bigint | { readonly map: number; readonly off: number } | undefined;
type State = readonly Value[];

const UNKNOWN: State = new Array<Value>(11).fill(undefined);

export function reachableWithConstants(draft: Draft): Uint8Array {
  const live = new Uint8Array(draft.count);
  const states: (State | undefined)[] = new Array(draft.count);
  const work: number[] = [];
  const flow = (to: number, state: State) => {
    const merged = live[to] === 1 ? merge(states[to]!, state) : state;
    if (live[to] === 1 && merged === states[to]) return;
    live[to] = 1;
    states[to] = merged;
    work.push(to);
  };
  flow(0, UNKNOWN);
  for (let idx = work.pop(); idx !== undefined; idx = work.pop()) {
    const insn = draft.insns[idx];
    const before = states[idx]!;
    if (insn === undefined) {
      for (const to of successors(draft, idx)) flow(to, UNKNOWN);
      continue;
    }
    const after = transfer(draft, idx, insn, before);
    const taken = insn.kind === 'jmp' ? decide(insn, before) : undefined;
    const [next, other] = successors(draft, idx);
    if (insn.kind === 'jmp') {
      if (taken !== true) flow(next!, after);
      if (taken !== false) flow(other!, after);
    } else {
      if (next !== undefined) flow(next, after);
      // The start of a called function: its arguments are anything.
      if (other !== undefined) flow(other, insn.kind === 'may_goto' ? after : UNKNOWN);
    }
  }
  return live;
}

function same(a: Value, b: Value): boolean {
  if (typeof a === 'object' && typeof b === 'object') return a.map === b.map && a.off === b.off;
  return a === b;
}

/** What both states know. The first one itself when that is all that it knows. */
function merge(a: State, b: State): State {
  return a.every((value, i) => value === undefined || same(value, b[i]))
    ? a
    : a.map((value, i) => (same(value, b[i]) ? value : undefined));
}

function set(state: State, reg: Reg, value: Value): State {
  if (state[reg] === undefined && value === undefined) return state;
  const changed = [...state];
  changed[reg] = value;
  return changed;
}

function transfer(draft: Draft, idx: number, insn: Insn, state: State): State {
  switch (insn.kind) {
    case 'alu':
      return set(state, insn.dst, compute(insn, state));
    case 'ldimm64': {
      const { imm } = insn;
      if (imm.kind === 'value') return set(state, insn.dst, imm.value);
      const map = draft.mapRefs.get(idx);
      const direct = imm.kind === 'map_value' || imm.kind === 'map_idx_value';
      return set(state, insn.dst, direct && map !== undefined ? { map, off: imm.off } : undefined);
    }
    case 'ldx':
      return set(state, insn.dst, loaded(draft, state[insn.src], insn.off, insn.size, insn.signed));
    case 'neg':
    case 'movsx':
    case 'endian':
    case 'addr_space_cast':
    case 'load_acquire':
      return set(state, insn.dst, undefined);
    case 'atomic':
      return insn.fetch ? set(set(state, insn.src, undefined), 0, undefined) : state;
    case 'call':
    case 'ld_abs':
    case 'ld_ind':
      return state.map((value, reg) => (reg <= 5 ? undefined : value));
    default:
      return state;
  }
}

function operand(src: Operand, state: State): Value {
  return src.kind === 'imm' ? BigInt.asUintN(64, BigInt(src.imm)) : state[src.reg];
}

function compute(insn: Extract<Insn, { kind: 'alu' }>, state: State): Value {
  const src = operand(insn.src, state);
  if (insn.op === 'mov') return insn.width === 64 ? src : narrow(src);
  const dst = state[insn.dst];
  if (typeof src !== 'bigint' || insn.width !== 64) return undefined;
  if (typeof dst === 'object') {
    return insn.op === 'add' ? { map: dst.map, off: dst.off + Number(BigInt.asIntN(64, src)) } : undefined;
  }
  return dst === undefined ? undefined : BigInt.asUintN(64, ALU64[insn.op](dst, src));
}

const narrow = (value: Value): Value => (typeof value === 'bigint' ? BigInt.asUintN(32, value) : undefined);

/** A load from an array that no one can write any more. */
function loaded({ maps }: Draft, base: Value, off: number, size: Size, signed: boolean): Value {
  if (typeof base !== 'object') return undefined;
  const map = maps[base.map]!;
  if (!map.frozen || (map.flags & MAP_CREATE_FLAGS.BPF_F_RDONLY_PROG) === 0) return undefined;
  const bytes = map.contents?.(base.off + off, size);
  if (bytes?.length !== size) return undefined;
  const value = bytes.reduceRight((all, byte) => (all << 8n) | BigInt(byte), 0n);
  return signed ? BigInt.asUintN(64, BigInt.asIntN(size * 8, value)) : value;
}

/** Whether a branch is taken, where that is known. */
function decide(insn: Extract<Insn, { kind: 'jmp' }>, state: State): boolean | undefined {
  const dst = state[insn.dst];
  const src = operand(insn.src, state);
  if (typeof dst !== 'bigint' || typeof src !== 'bigint') return undefined;
  if (insn.width === 64) return TEST64[insn.op](dst, src);
  return TEST32[insn.op](Number(BigInt.asIntN(32, dst)), Number(BigInt.asIntN(32, src)));
}
