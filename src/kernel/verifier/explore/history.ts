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

export interface JumpEntry {
  readonly idx: number;
  readonly prevIdx: number;
  /** A load or store through a stack pointer: frame and slot. */
  readonly stackFrame: number;
  readonly stackSlot: number;
  readonly isStackAccess: boolean;
  /** A comparison whose operand was a stack pointer, of which no value is wanted. */
  readonly dstIsStack: boolean;
  readonly srcIsStack: boolean;
  readonly linked: readonly LinkedReg[] | null;
}

/** A list that paths share up to where they part: a fork copies the array only when it is written to. */
export class JumpHistory {
  entries: JumpEntry[];
  private shared: boolean;

  constructor(entries: JumpEntry[] = [], shared = false) {
    this.entries = entries;
    this.shared = shared;
  }

  get length(): number {
    return this.entries.length;
  }

  fork(): JumpHistory {
    this.shared = true;
    return new JumpHistory(this.entries, true);
  }

  push(entry: JumpEntry): void {
    if (this.shared) {
      this.entries = this.entries.slice();
      this.shared = false;
    }
    this.entries.push(entry);
  }

  /** The entry of the instruction being processed, to add what it turned out to do. */
  replaceLast(entry: JumpEntry): void {
    if (this.shared) {
      this.entries = this.entries.slice();
      this.shared = false;
    }
    this.entries[this.entries.length - 1] = entry;
  }
}
