/**
 * The abstract state of one call frame: eleven registers and up to 512 bytes of stack in 8-byte slots.
 *
 * Slot `i` covers the bytes `fp - 8 * (i + 1)` up to `fp - 8 * i - 1`. Its bytes are numbered downwards, as the stack
 * grows: byte 0 is `fp - 8 * i - 1`, byte 7 the lowest address. A slot whose byte 7 is `STACK_SPILL` also has the
 * register that was spilled there; when its byte 0 is too, all of the register was.
 */
import { Bug } from '../../../base/error.ts';
import type { Reg } from '../../../isa/insn.ts';
import { type RegState, UNINIT } from './reg.ts';

/** Types of a stack byte. */
export const STACK_INVALID = 0;
export const STACK_SPILL = 1;
export const STACK_MISC = 2;
export const STACK_ZERO = 3;
export const STACK_DYNPTR = 4;
export const STACK_ITER = 5;
export const STACK_IRQ_FLAG = 6;

export const SLOT_BYTES = 8;
/** Bytes of stack that one frame may use. @see include/linux/filter.h, MAX_BPF_STACK */
export const MAX_STACK = 512;
const MAX_SLOTS = MAX_STACK / SLOT_BYTES;
export const NUM_REGS = 11;
export const FP = 10 as Reg;

/** How the callee that this frame runs was entered. */
export type FrameKind = 'subprog' | 'callback' | 'async_callback' | 'exception_callback';

export class Frame {
  /** Index of this frame in its state; 0 is the entry. */
  readonly frameno: number;
  /** Index of the subprogram that runs in it. */
  readonly subprogno: number;
  /** Slot of the call instruction in the caller; -1 for the entry. */
  callsite: number;
  kind: FrameKind = 'subprog';
  /** Inclusive range that a callback's r0 must be in. */
  callbackRet: readonly [number, number] = [0, 1];
  /** Iterations of the callback unrolled on this path. */
  callbackDepth = 0;
  /** How many times an asynchronous callback was queued from here. */
  asyncEntryCount = 0;
  readonly regs: RegState[];
  /** Registers whose exact value an accepted path relied on: bit i is register i. */
  preciseRegs = 0;
  /** The same for stack slots: slots 0 to 31, and 32 to 63. */
  preciseSlotsLow = 0;
  preciseSlotsHigh = 0;
  /** Slots that the frame has used so far. */
  slots = 0;
  /** `slots * 8` byte types; byte `b` of slot `i` is `bytes[8 * i + b]`. Changed through {@link ownBytes}. */
  bytes: ArrayLike<number> = NO_BYTES;
  /** By slot. Changed through {@link setSpilled}. */
  spilled: readonly RegState[] = [];
  /** Slots with more than bytes that were never written or of which nothing is known; see {@link findKnownSlots}. */
  knownLow = 0;
  knownHigh = 0;
  private foundKnown = false;
  /** Another frame may have the same arrays: most copies of a state never change their stack. */
  private sharesStack = false;

  constructor(
    callsite: number,
    frameno: number,
    subprogno: number,
    regs: RegState[] = new Array<RegState>(NUM_REGS).fill(UNINIT),
  ) {
    this.callsite = callsite;
    this.frameno = frameno;
    this.subprogno = subprogno;
    this.regs = regs;
  }

  clone(): Frame {
    const copy = new Frame(this.callsite, this.frameno, this.subprogno, this.regs.slice());
    copy.kind = this.kind;
    copy.callbackRet = this.callbackRet;
    copy.callbackDepth = this.callbackDepth;
    copy.asyncEntryCount = this.asyncEntryCount;
    copy.preciseRegs = this.preciseRegs;
    copy.preciseSlotsLow = this.preciseSlotsLow;
    copy.preciseSlotsHigh = this.preciseSlotsHigh;
    copy.slots = this.slots;
    copy.bytes = this.bytes;
    copy.spilled = this.spilled;
    copy.sharesStack = this.sharesStack = true;
    return copy;
  }

  private unshareStack(): void {
    if (!this.sharesStack) return;
    this.bytes = (this.bytes as Uint8Array).slice();
    this.spilled = this.spilled.slice();
    this.sharesStack = false;
  }

  /** The types of the stack's bytes, to be changed: the array is this frame's alone, until the frame is cloned or grows. */
  ownBytes(): Uint8Array {
    this.unshareStack();
    this.foundKnown = false;
    return this.bytes as Uint8Array;
  }

  /** Puts a register into a slot; the types of its bytes are the caller's to set. */
  setSpilled(slot: number, reg: RegState): void {
    if (this.spilled[slot] === reg) return;
    this.unshareStack();
    (this.spilled as RegState[])[slot] = reg;
  }

  reg(regno: number): RegState {
    return this.regs[regno]!;
  }

  /** A changeable copy of a register, already in its place. */
  own(regno: number): RegState {
    const copy = this.regs[regno]!.clone();
    this.regs[regno] = copy;
    return copy;
  }

  /** Makes room so that slot `slots - 1` exists. */
  growStack(slots: number): void {
    if (slots <= this.slots) return;
    if (slots > MAX_SLOTS) throw new Bug(`frame ${this.frameno} grows to ${slots} stack slots`);
    const bytes = new Uint8Array(slots * SLOT_BYTES);
    bytes.set(this.bytes);
    const spilled = this.spilled.slice();
    for (let i = this.slots; i < slots; i++) spilled.push(UNINIT);
    this.bytes = bytes;
    this.spilled = spilled;
    this.sharesStack = false;
    this.foundKnown = false;
    this.slots = slots;
  }

  /** Brings {@link knownLow} and {@link knownHigh} up to date: a remembered state is compared with often, and rarely changes. */
  findKnownSlots(): void {
    if (this.foundKnown) return;
    const { bytes } = this;
    let low = 0;
    let high = 0;
    for (let slot = 0; slot < this.slots; slot++) {
      const base = slot * SLOT_BYTES;
      let b = 0;
      while (b < SLOT_BYTES && (bytes[base + b] === STACK_INVALID || bytes[base + b] === STACK_MISC)) b++;
      if (b === SLOT_BYTES) continue;
      if (slot < 32) low |= 1 << slot;
      else high |= 1 << (slot - 32);
    }
    this.knownLow = low;
    this.knownHigh = high;
    this.foundKnown = true;
  }

  /** Type of byte `b` of slot `slot`. */
  byteType(slot: number, b: number): number {
    return this.bytes[slot * SLOT_BYTES + b]!;
  }

  setSlot(slot: number, type: number): void {
    this.ownBytes().fill(type, slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES);
  }

  /** Nothing is known of the slot any more. */
  forgetSlot(slot: number): void {
    this.setSpilled(slot, UNINIT);
    let b = 0;
    while (b < SLOT_BYTES && this.byteType(slot, b) === STACK_INVALID) b++;
    if (b < SLOT_BYTES) this.setSlot(slot, STACK_INVALID);
  }

  /** Whether the slot holds a spilled register, whole or its low bytes. */
  isSpill(slot: number): boolean {
    return this.bytes[slot * SLOT_BYTES + SLOT_BYTES - 1] === STACK_SPILL;
  }

  isPreciseSlot(slot: number): boolean {
    return slot < 32
      ? (this.preciseSlotsLow & (1 << slot)) !== 0
      : (this.preciseSlotsHigh & (1 << (slot - 32))) !== 0;
  }

  markPreciseSlot(slot: number): void {
    if (slot < 32) this.preciseSlotsLow |= 1 << slot;
    else this.preciseSlotsHigh |= 1 << (slot - 32);
  }

  clearPrecision(): void {
    this.preciseRegs = 0;
    this.preciseSlotsLow = 0;
    this.preciseSlotsHigh = 0;
  }
}

const NO_BYTES = new Uint8Array(0);
