/**
 * Precision: which earlier values a check really depended on.
 *
 * Most scalars never matter, so states are compared without looking at them. When one does (a variable offset, a
 * size, a decided branch), the path is walked backwards from the use: whatever the value was computed from becomes
 * precise, in every checkpoint passed, until it is found to come from memory that keeps no track, a constant or a
 * call. A step that can't be undone makes everything on the path precise.
 *
 * @see the commit message of Linux b5dc0163d8fd ("bpf: precise scalar_value tracking")
 */
import type { Insn } from '../../../isa/insn.ts';
import { helperId } from '../../../sys/helper-ids.ts';
import type { Explorer } from './explorer.ts';
import { FP, type Frame } from './frame.ts';
import type { JumpEntry, LinkedReg } from './history.ts';
import { SCALAR } from './reg-type.ts';
import { MAX_FRAMES, type VerifierState } from './state.ts';

const TAIL_CALL = helperId('tail_call');
/** r1 to r5. */
const ARGS = 0x3e;

/** What is still looked for: registers and stack slots of each frame. Slots are a pair of 32-bit masks. */
export class Wanted {
  frame = 0;
  readonly regs = new Int32Array(MAX_FRAMES);
  private readonly slotsLow = new Int32Array(MAX_FRAMES);
  private readonly slotsHigh = new Int32Array(MAX_FRAMES);

  reset(frame: number): void {
    this.frame = frame;
    this.regs.fill(0);
    this.slotsLow.fill(0);
    this.slotsHigh.fill(0);
  }

  get empty(): boolean {
    for (let i = this.frame; i >= 0; i--) {
      if ((this.regs[i]! | this.slotsLow[i]! | this.slotsHigh[i]!) !== 0) return false;
    }
    return true;
  }

  hasReg(reg: number, frame = this.frame): boolean {
    return (this.regs[frame]! & (1 << reg)) !== 0;
  }
  addReg(reg: number, frame = this.frame): void {
    this.regs[frame]! |= 1 << reg;
  }
  dropReg(reg: number, frame = this.frame): void {
    this.regs[frame]! &= ~(1 << reg);
  }
  hasSlot(slot: number, frame = this.frame): boolean {
    return ((slot < 32 ? this.slotsLow[frame]! : this.slotsHigh[frame]!) & (1 << (slot & 31))) !== 0;
  }
  addSlot(slot: number, frame = this.frame): void {
    if (slot < 32) this.slotsLow[frame]! |= 1 << slot;
    else this.slotsHigh[frame]! |= 1 << (slot & 31);
  }
  dropSlot(slot: number, frame = this.frame): void {
    if (slot < 32) this.slotsLow[frame]! &= ~(1 << slot);
    else this.slotsHigh[frame]! &= ~(1 << (slot & 31));
  }
  anySlot(frame = this.frame): boolean {
    return (this.slotsLow[frame]! | this.slotsHigh[frame]!) !== 0;
  }
  /** Slot numbers wanted in a frame, ascending. */
  slotsOf(frame = this.frame): number[] {
    const found: number[] = [];
    if (!this.anySlot(frame)) return found;
    for (let slot = 0; slot < 64; slot++) if (this.hasSlot(slot, frame)) found.push(slot);
    return found;
  }

  /** Wanted registers of the running frame, as a mask in Linux's notation. */
  regMask(): string {
    return (this.regs[this.frame]! >>> 0).toString(16);
  }
  /** Wanted slots of the running frame, as a mask in Linux's notation. */
  slotMask(): string {
    const low = (this.slotsLow[this.frame]! >>> 0).toString(16);
    const high = this.slotsHigh[this.frame]! >>> 0;
    return high === 0 ? low : high.toString(16) + low.padStart(8, '0');
  }
}

/**
 * The walk came to what it has no rule for: a value was made in a way that the path does not tell. Linux then takes
 * itself to be wrong and refuses the program, whether it is safe or not.
 */
function lost(ex: Explorer, what: string): never {
  ex.refuse('lost-track', `verifier bug: ${what}`, {
    reason: "where a value that a check relies on came from can't be told from the path that led here",
  });
}

function enterSubprog(ex: Explorer, wanted: Wanted): void {
  if (wanted.frame === MAX_FRAMES - 1) lost(ex, `subprog enter from frame ${wanted.frame}`);
  wanted.frame++;
}

function exitSubprog(ex: Explorer, wanted: Wanted): void {
  if (wanted.frame === 0) lost(ex, 'subprog exit from frame 0');
  wanted.frame--;
}

/** What runs at the start of a function can only want its arguments. @param who `static subprog`, `callback` */
function onlyArguments(ex: Explorer, wanted: Wanted, who: string): void {
  if ((wanted.regs[wanted.frame]! & ~ARGS) !== 0) lost(ex, `${who} unexpected regs ${wanted.regMask()}`);
  if (wanted.anySlot()) lost(ex, `${who} leftover stack slots ${wanted.slotMask()}`);
}

/** `regs=r1,r6` of the log. */
export function regList(mask: number): string {
  const names: string[] = [];
  for (let i = 0; i < 32; i++) if ((mask & (1 << i)) !== 0) names.push(`r${i}`);
  return names.join(',');
}

/** `stack=-8,-16` of the log. */
export function slotList(slots: readonly number[]): string {
  return slots.map((slot) => `${-(slot + 1) * 8}`).join(',');
}

/** When one of several registers that share an id is wanted, all of them are. */
function syncLinked(wanted: Wanted, linked: readonly LinkedReg[]): void {
  const some = linked.some((one) =>
    one.slot ? wanted.hasSlot(one.index, one.frameno) : wanted.hasReg(one.index, one.frameno),
  );
  if (!some) return;
  for (const one of linked) {
    if (one.slot) wanted.addSlot(one.index, one.frameno);
    else wanted.addReg(one.index, one.frameno);
  }
}

/**
 * Undoes one instruction: replaces what it produced by what it produced it from.
 *
 * @param next the instruction that ran after it; -1 at the start
 * @returns false when it can't be undone
 */
function undo(
  ex: Explorer,
  wanted: Wanted,
  insn: Insn,
  idx: number,
  next: number,
  entry: JumpEntry | null,
): boolean {
  switch (insn.kind) {
    case 'alu':
      if (!wanted.hasReg(insn.dst)) return true;
      if (insn.op === 'mov') wanted.dropReg(insn.dst);
      if (insn.src.kind === 'reg' && insn.src.reg !== FP) wanted.addReg(insn.src.reg);
      return true;
    case 'movsx':
    case 'addr_space_cast':
      if (!wanted.hasReg(insn.dst)) return true;
      wanted.dropReg(insn.dst);
      if (insn.src !== FP) wanted.addReg(insn.src);
      return true;
    case 'neg':
    case 'endian':
    case 'exit':
    case 'ja':
    case 'may_goto':
      return insn.kind === 'exit' ? undoExit(ex, wanted, next) : true;
    case 'ldx':
    case 'load_acquire':
      if (!wanted.hasReg(insn.dst)) return true;
      wanted.dropReg(insn.dst);
      // Scalars keep their precision on the stack only.
      if (entry?.isStackAccess) wanted.addSlot(entry.stackSlot, entry.stackFrame);
      return true;
    case 'st':
    case 'stx':
    case 'atomic':
    case 'store_release':
      // The address is a pointer; a scalar there is what a subtraction of pointers left.
      if (wanted.hasReg(insn.dst)) return false;
      if (!entry?.isStackAccess || !wanted.hasSlot(entry.stackSlot, entry.stackFrame)) return true;
      wanted.dropSlot(entry.stackSlot, entry.stackFrame);
      if (insn.kind !== 'st') wanted.addReg(insn.src);
      return true;
    case 'call':
      return undoCall(ex, wanted, insn, idx, next);
    case 'jmp':
      if (insn.src.kind === 'reg' && (wanted.hasReg(insn.dst) || wanted.hasReg(insn.src.reg))) {
        if (!entry?.srcIsStack) wanted.addReg(insn.src.reg);
        if (!entry?.dstIsStack) wanted.addReg(insn.dst);
      }
      return true;
    case 'ldimm64':
      wanted.dropReg(insn.dst);
      return true;
    case 'ld_abs':
    case 'ld_ind':
      return !wanted.hasReg(0);
  }
}

function undoCall(
  ex: Explorer,
  wanted: Wanted,
  insn: Insn & { kind: 'call' },
  idx: number,
  next: number,
): boolean {
  const target = insn.target;
  if (target.kind === 'local') {
    if (ex.isGlobalSubprog(ex.subprogAt(idx + target.off + 1))) {
      // Verified on its own: its r0 is whatever its prototype says.
      if ((wanted.regs[wanted.frame]! & ARGS) !== 0) {
        lost(ex, `global subprog unexpected regs ${wanted.regMask()}`);
      }
      wanted.dropReg(0);
      return true;
    }
    // Walking out of the subprogram through its start: its arguments were the caller's r1 to r5.
    onlyArguments(ex, wanted, 'static subprog');
    for (let reg = 1; reg <= 5; reg++) {
      if (!wanted.hasReg(reg)) continue;
      wanted.dropReg(reg);
      wanted.addReg(reg, wanted.frame - 1);
    }
    exitSubprog(ex, wanted);
    return true;
  }
  if (ex.plan.callsSyncCallback(idx) && idx !== next - 1) {
    // Walking out of a callback: the helper, not this program, made its arguments.
    onlyArguments(ex, wanted, 'callback');
    for (let reg = 1; reg <= 5; reg++) wanted.dropReg(reg);
    exitSubprog(ex, wanted);
    return true;
  }
  wanted.dropReg(0);
  if ((wanted.regs[wanted.frame]! & ARGS) !== 0) {
    lost(ex, `backtracking call unexpected regs ${wanted.regMask()}`);
  }
  // A tail call that was taken returned to the caller of the subprogram, with what the other program left in r0.
  if (target.kind === 'helper' && target.id === TAIL_CALL && next - idx !== 1) enterSubprog(ex, wanted);
  return true;
}

function undoExit(ex: Explorer, wanted: Wanted, next: number): boolean {
  if (next >= 0 && ex.plan.callsCallback(next)) {
    for (let reg = 1; reg <= 5; reg++) wanted.dropReg(reg);
  }
  if ((wanted.regs[wanted.frame]! & ARGS) !== 0) {
    lost(ex, `backtracking exit unexpected regs ${wanted.regMask()}`);
  }
  // A subprogram's r0 is its caller's r0; a callback's is the helper's business.
  const caller = next >= 1 ? ex.insns[next - 1] : undefined;
  const r0 = caller?.kind === 'call' && caller.target.kind === 'local' && wanted.hasReg(0);
  wanted.dropReg(0);
  enterSubprog(ex, wanted);
  if (r0) wanted.addReg(0);
  return true;
}

/** Makes every scalar of the checkpoints that led to `from` precise: the safe answer when the walk can't go on. */
export function markEverything(ex: Explorer, from: VerifierState): void {
  if (ex.log.wantsStates) {
    ex.log.write(`mark_precise: frame${from.curframe}: falling back to forcing all scalars precise\n`);
  }
  for (let state = from.parent; state !== null; state = state.parent) {
    for (const frame of state.frames) {
      for (let i = 0; i < FP; i++) {
        if (frame.regs[i]!.type !== SCALAR || (frame.preciseRegs & (1 << i)) !== 0) continue;
        frame.preciseRegs |= 1 << i;
        logForced(ex, frame, `r${i}`);
      }
      for (let slot = 0; slot < frame.slots; slot++) {
        if (!isScalarSpill(frame, slot) || frame.isPreciseSlot(slot)) continue;
        frame.markPreciseSlot(slot);
        logForced(ex, frame, `fp${-(slot + 1) * 8}`);
      }
    }
  }
}

function logForced(ex: Explorer, frame: Frame, what: string): void {
  if (!ex.log.wantsStates) return;
  ex.log.write(`force_precise: frame${frame.frameno}: forcing ${what} to be precise\n`);
}

/** Marks what is wanted in a checkpoint, and stops wanting what is no scalar or was marked before. */
function markState(ex: Explorer, state: VerifierState, wanted: Wanted): boolean {
  let changed = false;
  for (let fr = wanted.frame; fr >= 0; fr--) {
    const frame = state.frames[fr]!;
    for (let i = 0; i < FP && wanted.regs[fr] !== 0; i++) {
      if (!wanted.hasReg(i, fr)) continue;
      if (frame.regs[i]!.type !== SCALAR || (frame.preciseRegs & (1 << i)) !== 0) wanted.dropReg(i, fr);
      else {
        frame.preciseRegs |= 1 << i;
        changed = true;
      }
    }
    if (!wanted.anySlot(fr)) continue;
    for (let slot = 0; slot < 64; slot++) {
      if (!wanted.hasSlot(slot, fr)) continue;
      if (slot >= frame.slots) {
        // Linux's own condition is part of its message.
        const condition = 'i >= func->allocated_stack / BPF_REG_SIZE';
        lost(ex, `stack slot ${slot}, total slots ${frame.slots} (${condition})`);
      }
      if (!isScalarSpill(frame, slot) || frame.isPreciseSlot(slot)) wanted.dropSlot(slot, fr);
      else {
        frame.markPreciseSlot(slot);
        changed = true;
      }
    }
  }
  return changed;
}

function isScalarSpill(frame: Frame, slot: number): boolean {
  return frame.isSpill(slot) && frame.spilled[slot]!.type === SCALAR;
}

/**
 * Walks back from the current instruction of `start` for what `wanted` holds.
 *
 * @returns whether any checkpoint changed
 */
export function markChain(ex: Explorer, start: VerifierState, wanted: Wanted): boolean {
  let changed = false;
  // The instruction that asks is not undone: what is wanted is wanted before it.
  let skip = true;
  let state: VerifierState | null = start;
  let first = start.firstInsnIdx;
  let last = start.insnIdx;
  let next = -1;
  const { log, insns } = ex;
  const { wantsStates } = log;
  if (wanted.empty) return false;
  for (;;) {
    let entry = state.history.last;
    if (wantsStates) {
      log.write(
        `mark_precise: frame${wanted.frame}: last_idx ${last} first_idx ${first} subseq_idx ${next} \n`,
      );
    }
    if (last < 0) {
      markGlobalArguments(ex, state, wanted);
      return changed;
    }
    for (let idx = last; ; ) {
      if (skip) skip = false;
      else {
        const known = entry !== null && entry.idx === idx ? entry : null;
        const insn = insns[idx];
        if (insn !== undefined) {
          if (wantsStates) logStep(ex, wanted, idx);
          if (known?.linked) syncLinked(wanted, known.linked);
          if (!undo(ex, wanted, insn, idx, next, known)) {
            markEverything(ex, start);
            return true;
          }
          if (known?.linked) syncLinked(wanted, known.linked);
        }
      }
      if (wanted.empty) return changed;
      next = idx;
      const recorded: boolean = entry !== null && entry.idx === idx;
      if (idx === state.firstInsnIdx && (entry === null || (entry.before === null && recorded))) break;
      if (recorded) {
        idx = entry!.prevIdx;
        entry = entry!.before;
      } else {
        idx--;
      }
      if (idx < 0 && state.parent !== null) lost(ex, `backtracking idx ${idx}`);
      if (idx < 0) break;
    }
    state = state.parent;
    if (state === null) break;
    const marked = markState(ex, state, wanted);
    changed ||= marked;
    logParent(ex, state, wanted);
    if (wanted.empty) return changed;
    next = first;
    last = state.lastInsnIdx;
    first = state.firstInsnIdx;
  }
  if (!wanted.empty) markEverything(ex, start);
  return true;
}

function logStep(ex: Explorer, wanted: Wanted, idx: number): void {
  const regs = regList(wanted.regs[wanted.frame]!);
  const slots = slotList(wanted.slotsOf());
  ex.log.write(
    `mark_precise: frame${wanted.frame}: regs=${regs} stack=${slots} before ${idx}: ${ex.log.insnText(idx)}\n`,
  );
}

function logParent(ex: Explorer, state: VerifierState, wanted: Wanted): void {
  if (!ex.log.wantsStates) return;
  for (let fr = wanted.frame; fr >= 0; fr--) {
    const regs = regList(wanted.regs[fr]!);
    const slots = slotList(wanted.slotsOf(fr));
    ex.log.write(`mark_precise: frame${fr}: parent state regs=${regs} stack=${slots}: `);
    ex.log.frame(state, fr, true);
  }
}

/** The walk reached the start of a global subprogram: what it wants are arguments. */
function markGlobalArguments(ex: Explorer, state: VerifierState, wanted: Wanted): void {
  const frame = state.frames[0]!;
  if (state.curframe !== 0 || wanted.anySlot() || (wanted.regs[0]! & ~ARGS) !== 0) {
    const masks = `reg_mask ${wanted.regMask()} stack_mask ${wanted.slotMask()}`;
    lost(ex, `backtracking func entry subprog ${frame.subprogno} ${masks}`);
  }
  for (let reg = 1; reg <= 5; reg++) {
    if (!wanted.hasReg(reg, 0)) continue;
    wanted.dropReg(reg, 0);
    if (frame.regs[reg]!.type === SCALAR) frame.preciseRegs |= 1 << reg;
  }
}

/** The value of a register of the running frame matters. */
export function markRegPrecise(ex: Explorer, regno: number): void {
  if (ex.allPrecise) return;
  const state = ex.state;
  if (state.frame().reg(regno).type !== SCALAR) {
    ex.refuse('lost-track', 'verifier bug: backtracking misuse', {
      reason: `r${regno} decides what is checked here, and holds an address`,
      hint: `set r${regno} to a number`,
    });
  }
  ex.wanted.reset(state.curframe);
  ex.wanted.addReg(regno);
  markChain(ex, state, ex.wanted);
}

/** The value in a stack slot matters. */
export function markSlotPrecise(ex: Explorer, frameno: number, slot: number): void {
  if (ex.allPrecise) return;
  const state = ex.state;
  ex.wanted.reset(state.curframe);
  ex.wanted.addSlot(slot, frameno);
  markChain(ex, state, ex.wanted);
}

/** What an equal state relied on matters on the current path too. */
export function propagatePrecision(ex: Explorer, old: VerifierState, cur: VerifierState): boolean {
  if (ex.allPrecise) return false;
  const wanted = ex.wanted;
  wanted.reset(cur.curframe);
  for (let fr = old.curframe; fr >= 0; fr--) {
    const frame = old.frames[fr]!;
    const names: string[] | undefined = ex.log.wantsStates ? [] : undefined;
    for (let i = 0; i < FP; i++) {
      if ((frame.preciseRegs & (1 << i)) === 0 || frame.regs[i]!.type !== SCALAR) continue;
      wanted.addReg(i, fr);
      names?.push(`r${i}`);
    }
    for (let slot = 0; slot < frame.slots; slot++) {
      if (!frame.isPreciseSlot(slot) || !isScalarSpill(frame, slot)) continue;
      wanted.addSlot(slot, fr);
      names?.push(`fp${-(slot + 1) * 8}`);
    }
    if (names !== undefined && names.length > 0) {
      ex.log.write(`frame ${fr}: propagating ${names.join(',')}\n`);
    }
  }
  return markChain(ex, cur, wanted);
}
