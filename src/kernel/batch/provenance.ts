/**
 * What the registers of a program point into, instruction by instruction: followed through copies, sums and the stack. Of a
 * verified program of one function, so that what is used as an address is one. What is not plain is unknown.
 */
import type { Insn, Operand, Reg } from '../../isa/index.ts';
import { helperName } from '../../sys/helper-ids.ts';
import { writes } from '../interpreter/registers.ts';
import type { VerifiedProgram } from '../verifier/index.ts';

/** What a register may hold. Offsets are constant, or `undefined`. */
export type Held =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'zero' }
  | { readonly kind: 'ctx' }
  /** What a field of the context has: where it is used as an address, the packet's. */
  | { readonly kind: 'packet' }
  | { readonly kind: 'stack'; readonly offset: number | undefined }
  /** Index into the program's maps. */
  | { readonly kind: 'map'; readonly map: number }
  | { readonly kind: 'value'; readonly map: number; readonly offset: number | undefined };

const UNKNOWN: Held = { kind: 'unknown' };
const ZERO: Held = { kind: 'zero' };
const PACKET: Held = { kind: 'packet' };

/** Registers, then what 8-byte slots of the stack hold, by their distance from its top. */
interface State {
  readonly regs: readonly Held[];
  readonly slots: ReadonlyMap<number, Held>;
}

const CALL_WRITES = 0b111111;

/** What registers hold in front of each instruction that is reached. */
export type Provenance = ReadonlyMap<number, readonly Held[]>;

/** @returns `undefined` for programs of several functions */
export function provenanceOf(program: VerifiedProgram): Provenance | undefined {
  if (program.subprograms.length > 1) return undefined;
  const { insns } = program;
  const states = new Map<number, State>();
  const regs: Held[] = new Array<Held>(11).fill(UNKNOWN);
  regs[1] = { kind: 'ctx' };
  regs[10] = { kind: 'stack', offset: 0 };
  states.set(0, { regs, slots: new Map() });
  const open = [0];
  for (let slot = open.pop(); slot !== undefined; slot = open.pop()) {
    const insn = insns[slot];
    if (insn === undefined) return undefined;
    if (insn.kind === 'exit') continue;
    const after = step(program, slot, insn, states.get(slot)!);
    for (const to of successors(insn, slot)) {
      const before = states.get(to);
      const joined = before === undefined ? after : join(before, after);
      if (before !== undefined && same(before, joined)) continue;
      states.set(to, joined);
      open.push(to);
    }
  }
  return new Map([...states].map(([slot, state]) => [slot, state.regs]));
}

/** Slots that control goes to from an instruction that is no exit. */
export function successors(insn: Insn, slot: number): readonly number[] {
  const next = slot + (insn.kind === 'ldimm64' ? 2 : 1);
  if (insn.kind === 'ja') return [next + insn.off];
  return insn.kind === 'jmp' || insn.kind === 'may_goto' ? [next, next + insn.off] : [next];
}

function step(program: VerifiedProgram, slot: number, insn: Insn, { regs, slots }: State): State {
  const now = [...regs];
  const base =
    insn.kind === 'stx' || insn.kind === 'st' || insn.kind === 'atomic' ? regs[insn.dst]! : UNKNOWN;
  if (base.kind === 'stack') {
    const kept = insn.kind === 'stx' && insn.size === 8 ? regs[insn.src]! : UNKNOWN;
    return {
      regs: afterWrites(now, insn),
      slots: spill(slots, base.offset, (insn as { off: number }).off, kept),
    };
  }
  switch (insn.kind) {
    case 'alu':
      now[insn.dst] = compute(insn, regs);
      break;
    case 'ldx':
      now[insn.dst] = loaded(regs[insn.src]!, insn, slots);
      break;
    case 'ldimm64':
      now[insn.dst] = constant(program.mapRefs.get(slot as never), insn);
      break;
    case 'call':
      for (let reg = 0; reg <= 5; reg++) now[reg] = UNKNOWN;
      now[0] = answer(insn, regs[1]!);
      break;
    default:
      afterWrites(now, insn);
  }
  return { regs: now, slots };
}

function afterWrites(regs: Held[], insn: Insn): Held[] {
  const written = insn.kind === 'call' ? CALL_WRITES : writes(insn);
  for (let reg = 0; reg < 10; reg++) if ((written >> reg) & 1) regs[reg] = UNKNOWN;
  return regs;
}

function spill(
  slots: ReadonlyMap<number, Held>,
  base: number | undefined,
  off: number,
  held: Held,
): ReadonlyMap<number, Held> {
  if (base === undefined) return new Map();
  const now = new Map(slots);
  const at = base + off;
  for (let other = at - 7; other < at + 8; other++) now.delete(other);
  if (held.kind !== 'unknown') now.set(at, held);
  return now;
}

function loaded(base: Held, insn: Extract<Insn, { kind: 'ldx' }>, slots: ReadonlyMap<number, Held>): Held {
  if (base.kind === 'ctx') return PACKET;
  if (base.kind !== 'stack' || base.offset === undefined || insn.size !== 8) return UNKNOWN;
  return slots.get(base.offset + insn.off) ?? UNKNOWN;
}

function constant(map: number | undefined, { imm }: Extract<Insn, { kind: 'ldimm64' }>): Held {
  if (map === undefined) return UNKNOWN;
  if (imm.kind === 'map_fd' || imm.kind === 'map_idx') return { kind: 'map', map };
  return imm.kind === 'map_value' || imm.kind === 'map_idx_value'
    ? { kind: 'value', map, offset: imm.off }
    : UNKNOWN;
}

function answer({ target }: Extract<Insn, { kind: 'call' }>, first: Held): Held {
  if (target.kind !== 'helper' || helperName(target.id) !== 'map_lookup_elem') return UNKNOWN;
  return first.kind === 'map' ? { kind: 'value', map: first.map, offset: 0 } : UNKNOWN;
}

type Alu = Extract<Insn, { kind: 'alu' }>;

function compute({ op, width, dst, src }: Alu, regs: readonly Held[]): Held {
  const other: Held = src.kind === 'reg' ? regs[src.reg]! : UNKNOWN;
  if (op === 'mov' && src.kind === 'imm' && src.imm === 0) return ZERO;
  if (width !== 64) return UNKNOWN;
  if (op === 'mov') return other;
  if (op !== 'add' && op !== 'sub') return UNKNOWN;
  const held = regs[dst]!;
  if (isAddress(held)) return isAddress(other) ? UNKNOWN : moved(held, op, src);
  return op === 'add' && isAddress(other) ? moved(other, op, undefined) : UNKNOWN;
}

/** Anything that may be used as an address, and so goes on to be the same. */
function isAddress({ kind }: Held): boolean {
  return kind !== 'unknown' && kind !== 'zero';
}

/** @param by absent where it is not constant */
function moved(held: Held, op: 'add' | 'sub', by: Operand | undefined): Held {
  if (held.kind !== 'stack' && held.kind !== 'value') return held.kind === 'map' ? UNKNOWN : held;
  const distance = by?.kind === 'imm' ? (op === 'add' ? by.imm : -by.imm) : undefined;
  const offset = distance === undefined || held.offset === undefined ? undefined : held.offset + distance;
  return { ...held, offset };
}

function joinHeld(a: Held, b: Held): Held {
  if (a === b) return a;
  if (a.kind === 'stack' && b.kind === 'stack')
    return a.offset === b.offset ? a : { ...a, offset: undefined };
  if (a.kind === 'value' && b.kind === 'value' && a.map === b.map) {
    return a.offset === b.offset ? a : { ...a, offset: undefined };
  }
  if (a.kind === 'map' && b.kind === 'map') return a.map === b.map ? a : UNKNOWN;
  return a.kind === b.kind && a.kind !== 'value' ? a : UNKNOWN;
}

function join(a: State, b: State): State {
  const slots = new Map<number, Held>();
  for (const [at, held] of a.slots) {
    const other = b.slots.get(at);
    const joined = other === undefined ? UNKNOWN : joinHeld(held, other);
    if (joined.kind !== 'unknown') slots.set(at, joined);
  }
  return { regs: a.regs.map((held, reg) => joinHeld(held, b.regs[reg as Reg]!)), slots };
}

function same(a: State, b: State): boolean {
  if (a.slots.size !== b.slots.size) return false;
  for (const [at, held] of a.slots) if (joinHeld(held, b.slots.get(at) ?? UNKNOWN) !== held) return false;
  return a.regs.every((held, reg) => held === b.regs[reg]);
}
