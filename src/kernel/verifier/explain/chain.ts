/**
 * The instructions that made a value what it is: the failing path is walked backwards from the registers that the
 * refusal is about, and whatever defined or changed them, and what they were made from, is kept.
 */
import type { Insn } from '../../../isa/insn.ts';
import type { Explorer } from '../explore/explorer.ts';
import type { RegState } from '../explore/reg.ts';
import { baseType, NOT_INIT, PTR_TO_BTF_ID, PTR_TO_STACK, SCALAR } from '../explore/reg-type.ts';
import type { TraceStep } from '../explore/state.ts';
import { describeReg, describeTarget } from './describe.ts';
import { calleeName } from './insn-text.ts';

type Found = Omit<Link, 'step'>;

/** What an instruction did to the value. */
export type LinkKind =
  | 'enter'
  | 'define'
  | 'compute'
  | 'load'
  | 'store'
  | 'call'
  | 'pass'
  | 'return'
  | 'branch'
  | 'lose';

export interface Link {
  readonly insn: number;
  /** Number of the instruction on the path, which may come to the same instruction many times. */
  readonly step: number;
  /** Depth of the call stack; 0 is the entry function. */
  readonly frame: number;
  readonly kind: LinkKind;
  /** `r2`, `fp-8`. */
  readonly place: string;
  /** What it held before, where it held something that matters, and after. */
  readonly before?: RegState;
  readonly after?: RegState;
  /** One clause: `is loaded from the packet: a number from 0 to 255`. */
  readonly says: string;
}

/** Links that are kept: the oldest one, which is the origin, and the newest. */
const MAX_LINKS = 24;
const R0 = 0;
const SLOT = 8;

/** A register of a frame, or a slot of its stack (numbered from 11 on). */
const FIRST_SLOT = 11;

class Wanted {
  private readonly places = new Set<number>();
  add(frame: number, place: number): void {
    this.places.add(frame * 100 + place);
  }
  drop(frame: number, place: number): void {
    this.places.delete(frame * 100 + place);
  }
  has(frame: number, place: number): boolean {
    return this.places.has(frame * 100 + place);
  }
  of(frame: number): number[] {
    return [...this.places].filter((key) => Math.floor(key / 100) === frame).map((key) => key % 100);
  }
  get empty(): boolean {
    return this.places.size === 0;
  }
}

const placeName = (place: number): string =>
  place < FIRST_SLOT ? `r${place}` : `fp-${(place - FIRST_SLOT + 1) * SLOT}`;

/** The steps of the failing path, oldest first. The last one is the instruction that failed. */
export function stepsOf(last: TraceStep | null): TraceStep[] {
  const steps: TraceStep[] = [];
  for (let step = last; step !== null; step = step.before) steps.push(step);
  return steps.reverse();
}

/** @param regs registers of the failing instruction's frame that it was refused for */
export function chainOf(ex: Explorer, steps: readonly TraceStep[], regs: readonly number[]): Link[] {
  const last = steps.at(-1);
  if (last === undefined) return [];
  const wanted = new Wanted();
  for (const reg of regs) if (reg < 10) wanted.add(last.frameno, reg);
  const links: Link[] = [];
  for (let at = steps.length - 2; at >= 0 && !wanted.empty; at--) {
    const found: Found[] = [];
    link(ex, steps[at]!, steps[at + 1]!, wanted, found);
    for (const one of found) links.push({ ...one, step: at });
  }
  const first = steps[0]!;
  for (let reg = 1; reg <= 5; reg++) {
    const value = first.regs[reg]!;
    if (!wanted.has(first.frameno, reg) || value.type === NOT_INIT) continue;
    links.push({
      insn: first.insnIdx,
      step: 0,
      frame: first.frameno,
      kind: 'enter',
      place: `r${reg}`,
      after: value,
      says: entered(first.insnIdx, reg, value),
    });
  }
  const kept = newestRounds(links).reverse();
  return kept.length <= MAX_LINKS ? kept : [kept[0]!, ...kept.slice(kept.length - MAX_LINKS + 1)];
}

/** What a function is given: the program the context, another one whatever its callers may pass. */
function entered(insn: number, reg: number, value: RegState): string {
  if (insn === 0) return `the program begins with ${describeReg(value)} in r${reg}`;
  return `a caller of this global function may pass ${describeReg(value)} in r${reg}`;
}

/** Of what a loop did to a value in every round, the last round. */
function newestRounds(links: readonly Link[]): Link[] {
  const times = new Map<string, number>();
  const key = ({ insn, frame, place, kind }: Link): string => `${insn} ${frame} ${place} ${kind}`;
  for (const one of links) times.set(key(one), (times.get(key(one)) ?? 0) + 1);
  const seen = new Set<string>();
  return links.flatMap((one) => {
    const which = key(one);
    if (seen.has(which)) return [];
    seen.add(which);
    const count = times.get(which)!;
    return [count === 1 ? one : { ...one, says: `${one.says} (in the last of ${count} rounds)` }];
  });
}

function link(ex: Explorer, step: TraceStep, next: TraceStep, wanted: Wanted, links: Found[]): void {
  const insn = ex.insns[step.insnIdx];
  if (insn === undefined) return;
  const frame = step.frameno;
  if (next.frameno > frame) passArguments(step, next, wanted, links);
  else if (next.frameno < frame) returnValue(step, next, wanted, links);
  else {
    storedSlots(step, insn, wanted, links);
    for (const place of wanted.of(frame)) {
      if (place < FIRST_SLOT) changedRegister(ex, step, next, insn, place, wanted, links);
    }
  }
}

function passArguments(step: TraceStep, next: TraceStep, wanted: Wanted, links: Found[]): void {
  for (const place of wanted.of(next.frameno)) {
    wanted.drop(next.frameno, place);
    if (place < 1 || place > 5) continue;
    wanted.add(step.frameno, place);
    links.push({
      insn: step.insnIdx,
      frame: step.frameno,
      kind: 'pass',
      place: placeName(place),
      after: next.regs[place]!,
      says: `${placeName(place)} is passed to the function: ${describeReg(next.regs[place]!)}`,
    });
  }
}

function returnValue(step: TraceStep, next: TraceStep, wanted: Wanted, links: Found[]): void {
  if (!wanted.has(next.frameno, R0)) return;
  wanted.drop(next.frameno, R0);
  wanted.add(step.frameno, R0);
  links.push({
    insn: step.insnIdx,
    frame: step.frameno,
    kind: 'return',
    place: 'r0',
    after: step.regs[R0]!,
    says: `the function returns ${describeReg(step.regs[R0]!)}`,
  });
}

/** Stores into slots that are looked for. */
function storedSlots(step: TraceStep, insn: Insn, wanted: Wanted, links: Found[]): void {
  if (insn.kind !== 'stx' && insn.kind !== 'st') return;
  const base = step.regs[insn.dst]!;
  if (base.type !== PTR_TO_STACK || !base.scalar.isConst) return;
  const place = slotPlace(base.off + base.scalar.constNumber() + insn.off);
  if (!wanted.has(base.frameno, place)) return;
  wanted.drop(base.frameno, place);
  const value = insn.kind === 'stx' ? step.regs[insn.src]! : undefined;
  if (insn.kind === 'stx') wanted.add(step.frameno, insn.src);
  links.push({
    insn: step.insnIdx,
    frame: step.frameno,
    kind: 'store',
    place: placeName(place),
    ...(value !== undefined && { after: value }),
    says:
      insn.kind === 'stx'
        ? `r${insn.src} is stored on the stack: ${describeReg(value!)}`
        : `the number ${insn.imm} is stored on the stack`,
  });
}

function slotPlace(off: number): number {
  return FIRST_SLOT + Math.floor((-off - 1) / SLOT);
}

function changedRegister(
  ex: Explorer,
  step: TraceStep,
  next: TraceStep,
  insn: Insn,
  reg: number,
  wanted: Wanted,
  links: Found[],
): void {
  const before = step.regs[reg]!;
  const after = next.regs[reg]!;
  const defines = written(insn) === reg;
  if (!defines && (before === after || before.sameValue(after))) return;
  const name = `r${reg}`;
  const push = (kind: LinkKind, says: string): void => {
    links.push({ insn: step.insnIdx, frame: step.frameno, kind, place: name, before, after, says });
  };
  if (insn.kind === 'jmp') {
    const taken = next.insnIdx !== step.insnIdx + 1;
    push('branch', `the branch is ${taken ? 'taken' : 'not taken'}, so ${name} is ${describeReg(after)}`);
    return;
  }
  if (!defines) {
    if (after.type === NOT_INIT) {
      push('lose', `the call of ${callee(ex, insn)} makes ${name} unreadable`);
      wanted.drop(step.frameno, reg);
    } else if (insn.kind === 'call' && before.type !== SCALAR && after.type === SCALAR) {
      push('lose', `${callee(ex, insn)} ends what ${name} pointed to: it was ${describeReg(before)}`);
    } else {
      push('compute', `${name} becomes ${describeReg(after)}`);
    }
    return;
  }
  wanted.drop(step.frameno, reg);
  for (const source of sources(insn, step, reg)) wanted.add(source.frame, source.place);
  if (insn.kind === 'call') push('call', `${callee(ex, insn)} returns ${describeReg(after)}`);
  else if (insn.kind === 'ldx' || insn.kind === 'load_acquire') {
    push('load', `${name} is loaded from ${describeTarget(step.regs[insn.src]!)}: ${describeReg(after)}`);
  } else if (
    insn.kind === 'ldimm64' ||
    (insn.kind === 'alu' && insn.op === 'mov' && insn.src.kind === 'imm')
  ) {
    push('define', `${name} is set to ${describeReg(after)}`);
  } else push('compute', `${name} becomes ${describeReg(after)}`);
}

/** The register that the instruction puts a value into. */
function written(insn: Insn): number | undefined {
  switch (insn.kind) {
    case 'alu':
    case 'neg':
    case 'movsx':
    case 'addr_space_cast':
    case 'endian':
    case 'ldx':
    case 'load_acquire':
    case 'ldimm64':
      return insn.dst;
    case 'atomic':
      return insn.fetch ? (insn.op === 'cmpxchg' ? R0 : insn.src) : undefined;
    case 'call':
    case 'ld_abs':
    case 'ld_ind':
      return R0;
    default:
      return undefined;
  }
}

/** What the instruction made its result from. */
function sources(insn: Insn, step: TraceStep, reg: number): { frame: number; place: number }[] {
  const own = (place: number) => ({ frame: step.frameno, place });
  switch (insn.kind) {
    case 'alu': {
      const from = insn.src.kind === 'reg' && insn.src.reg < 10 ? [own(insn.src.reg)] : [];
      return insn.op === 'mov' ? from : [own(reg), ...from];
    }
    case 'neg':
    case 'endian':
      return [own(reg)];
    case 'movsx':
    case 'addr_space_cast':
      return [own(insn.src)];
    case 'ldx': {
      const base = step.regs[insn.src]!;
      if (base.type === PTR_TO_STACK && base.scalar.isConst) {
        return [{ frame: base.frameno, place: slotPlace(base.off + base.scalar.constNumber() + insn.off) }];
      }
      return baseType(base.type) === PTR_TO_BTF_ID ? [own(insn.src)] : [];
    }
    default:
      return [];
  }
}

/** Name of what a call calls. */
export function callee(ex: Explorer, insn: Insn): string {
  return insn.kind === 'call'
    ? `${calleeName(ex.draft, insn.target) ?? 'the function'}()`
    : 'the instruction';
}
