/**
 * The way that a path took since its last checkpoint: one entry for each instruction that was not simply the next
 * one, or that did something the instruction itself does not tell (which stack slot it touched, which registers were
 * linked then). Precision marks walk it backwards.
 */

/** Registers and stack slots that shared a scalar id when a comparison narrowed them. */
export interface LinkedReg {
  readonly frameno: number;
  /** Register number, or slot number where `slot` is set. */
  readonly index: number;
  readonly slot: boolean;
}

/** What the history knows of an instruction beside its place. */
export interface JumpFacts {
  /** A load or store through a stack pointer: frame and slot. */
  readonly isStackAccess?: boolean;
  readonly stackFrame?: number;
  readonly stackSlot?: number;
  /** A comparison whose operand was a stack pointer, of which no value is wanted. */
  readonly dstIsStack?: boolean;
  readonly srcIsStack?: boolean;
  readonly linked?: readonly LinkedReg[] | undefined;
}

/** Changed only while its instruction is checked. Chained to the one before, so that paths share what they have in common. */
export class JumpEntry {
  readonly idx: number;
  readonly prevIdx: number;
  readonly before: JumpEntry | null;
  isStackAccess = false;
  stackFrame = 0;
  stackSlot = 0;
  dstIsStack = false;
  srcIsStack = false;
  linked: readonly LinkedReg[] | null = null;

  constructor(idx: number, prevIdx: number, before: JumpEntry | null) {
    this.idx = idx;
    this.prevIdx = prevIdx;
    this.before = before;
  }

  note(what: JumpFacts): void {
    if (what.isStackAccess === true) {
      this.isStackAccess = true;
      this.stackFrame = what.stackFrame ?? 0;
      this.stackSlot = what.stackSlot ?? 0;
    }
    if (what.dstIsStack === true) this.dstIsStack = true;
    if (what.srcIsStack === true) this.srcIsStack = true;
    if (what.linked !== undefined) this.linked = what.linked;
  }
}

export class JumpHistory {
  last: JumpEntry | null;
  length: number;

  constructor(last: JumpEntry | null = null, length = 0) {
    this.last = last;
    this.length = length;
  }

  /** A history that goes on from here by itself. */
  fork(): JumpHistory {
    return new JumpHistory(this.last, this.length);
  }

  push(idx: number, prevIdx: number): JumpEntry {
    const entry = new JumpEntry(idx, prevIdx, this.last);
    this.last = entry;
    this.length++;
    return entry;
  }
}
