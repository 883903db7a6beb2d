/**
 * Registers that may be read before they are written, for each slot: a backward data-flow pass over each subprogram.
 * A call reads as many of r1 to r5 as its prototype has arguments, and writes r0 to r5.
 */
import type { Insn, Reg } from '../../../isa/insn.ts';
import type { Draft } from '../structure/draft.ts';
import { NONE } from './flow.ts';
import type { Plan } from './plan.ts';

const R0 = 1;
const ALL = 0xffff;
const CALLER_SAVED = 0x3f;
const ARGS = 0x3e;

interface Effect {
  readonly use: number;
  readonly def: number;
}

function bit(reg: Reg): number {
  return 1 << reg;
}

/** @param argCount arguments of a helper or kfunc call, or `undefined` where they are not known */
function effectOf(insn: Insn, argCount: number | undefined): Effect {
  switch (insn.kind) {
    case 'alu': {
      const src = insn.src.kind === 'reg' ? bit(insn.src.reg) : 0;
      return { def: bit(insn.dst), use: insn.op === 'mov' ? src : src | bit(insn.dst) };
    }
    case 'neg':
    case 'endian':
      return { def: bit(insn.dst), use: bit(insn.dst) };
    case 'movsx':
    case 'addr_space_cast':
    case 'ldx':
    case 'load_acquire':
      return { def: bit(insn.dst), use: bit(insn.src) };
    case 'st':
      return { def: 0, use: bit(insn.dst) };
    case 'stx':
    case 'store_release':
      return { def: 0, use: bit(insn.dst) | bit(insn.src) };
    case 'atomic': {
      const use = bit(insn.dst) | bit(insn.src);
      if (insn.op === 'cmpxchg') return { def: R0, use: use | R0 };
      return { def: insn.fetch ? bit(insn.src) : 0, use };
    }
    case 'ldimm64':
      return { def: bit(insn.dst), use: 0 };
    case 'ld_abs':
    case 'ld_ind':
      // Linux does not look into them.
      return { def: 0, use: ALL };
    case 'ja':
    case 'may_goto':
      return { def: 0, use: 0 };
    case 'jmp':
      return { def: 0, use: bit(insn.dst) | (insn.src.kind === 'reg' ? bit(insn.src.reg) : 0) };
    case 'exit':
      return { def: 0, use: R0 };
    case 'call':
      return { def: CALLER_SAVED, use: argCount === undefined ? ARGS : ((1 << argCount) - 1) << 1 };
  }
}

/** Fills the plan's `liveRegs`. @param argCount arguments of the call at a slot, where its prototype is known */
export function computeLiveRegs(
  draft: Draft,
  argCount: (idx: number) => number | undefined,
  { liveRegs: live, flows, successors }: Plan,
): void {
  const use = new Uint16Array(draft.count);
  const keep = new Uint16Array(draft.count).fill(ALL);
  for (let idx = 0; idx < draft.count; idx++) {
    const insn = draft.insns[idx];
    if (insn === undefined) continue;
    const effect = effectOf(insn, insn.kind === 'call' ? argCount(idx) : undefined);
    use[idx] = effect.use;
    keep[idx] = ~effect.def;
  }
  for (const { start, postorder } of flows) {
    for (let changed = true; changed; ) {
      changed = false;
      for (let i = 0; i < postorder.length; i++) {
        const idx = start + postorder[i]!;
        const next = successors[2 * idx]!;
        const target = successors[2 * idx + 1]!;
        const after = (next === NONE ? 0 : live[next]!) | (target === NONE ? 0 : live[target]!);
        const before = (after & keep[idx]!) | use[idx]!;
        if (before === live[idx]) continue;
        live[idx] = before;
        changed = true;
      }
    }
  }
}
