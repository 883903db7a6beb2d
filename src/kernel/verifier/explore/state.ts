/** The abstract state of a path at one instruction: call frames, held references, locks and execution context. */
import { Bug } from '../../../base/error.ts';
import type { Frame } from './frame.ts';
import type { JumpHistory } from './history.ts';
import type { RegState } from './reg.ts';

/** Frames that a chain of calls may have. @see include/linux/bpf_verifier.h, MAX_CALL_FRAMES */
export const MAX_FRAMES = 8;

/** Something acquired that must be given back: an object, saved interrupt flags or a held lock. */
export interface Reference {
  readonly kind: 'object' | 'irq' | 'lock' | 'res_lock' | 'res_lock_irq';
  /** Unique in the verification; for a lock the id of the register it was taken through. */
  readonly id: number;
  /** Where it was acquired. */
  readonly insnIdx: number;
  /** For locks: the map or allocated object that contains the lock. */
  readonly holder: object | null;
}

/** One instruction of a path, and the registers of its frame before it. */
export interface TraceStep {
  readonly before: TraceStep | null;
  readonly insnIdx: number;
  readonly frameno: number;
  readonly regs: readonly RegState[];
}

export class VerifierState {
  frames: Frame[] = [];
  /** In order of acquisition; interrupt flags and locks must be released last first. Shared between states: replace, don't mutate. */
  refs: readonly Reference[] = [];
  /** Locks held. */
  activeLocks = 0;
  /** Id of the innermost lock. */
  activeLockId = 0;
  activeLockHolder: object | null = null;
  /** Id of the innermost saved interrupt flags; 0 when interrupts are on. */
  activeIrqId = 0;
  activePreemptLocks = 0;
  activeRcuLocks = 0;
  /** Sleepable now: the program or callback may sleep. */
  inSleepable = false;
  /** Explores what a mispredicted branch would do (unprivileged programs). */
  speculative = false;
  /** Simulates a callback that may run any number of times. */
  callbackUnrollDepth = 0;
  mayGotoDepth = 0;
  /** Length of the path in checkpoints, and instructions processed since the last one. */
  dfsDepth = 0;
  /** Where the path stood when this state was made and where it ended. */
  insnIdx = 0;
  firstInsnIdx = 0;
  lastInsnIdx = 0;
  /** The checkpoint that this path came from. */
  parent: VerifierState | null = null;
  /** Of a remembered state: paths from it that are still to be explored; 0 when all of them ended safely. */
  branches = 0;
  /** Jumps that led from the parent here, for walking back. */
  history: JumpHistory;
  /** Dead registers and slots were already forgotten. */
  cleaned = false;
  /** No longer compared with: kept only until its open paths end. */
  forgotten = false;

  /** The last step that led here, where steps are kept. */
  trace: TraceStep | null = null;

  constructor(history: JumpHistory) {
    this.history = history;
  }

  get curframe(): number {
    return this.frames.length - 1;
  }

  /** The frame that runs. */
  frame(): Frame {
    const frame = this.frames[this.frames.length - 1];
    if (frame === undefined) throw new Bug('a verifier state without frames');
    return frame;
  }

  /** A copy to explore on its own; history and parent are the caller's to set. */
  copyFrom(other: VerifierState): void {
    for (let i = 0; i < other.frames.length; i++) this.frames[i] = other.frames[i]!.clone();
    this.refs = other.refs;
    this.activeLocks = other.activeLocks;
    this.activeLockId = other.activeLockId;
    this.activeLockHolder = other.activeLockHolder;
    this.activeIrqId = other.activeIrqId;
    this.activePreemptLocks = other.activePreemptLocks;
    this.activeRcuLocks = other.activeRcuLocks;
    this.inSleepable = other.inSleepable;
    this.speculative = other.speculative;
    this.callbackUnrollDepth = other.callbackUnrollDepth;
    this.mayGotoDepth = other.mayGotoDepth;
    this.dfsDepth = other.dfsDepth;
    this.insnIdx = other.insnIdx;
    this.firstInsnIdx = other.firstInsnIdx;
    this.lastInsnIdx = other.lastInsnIdx;
    this.parent = other.parent;
    this.trace = other.trace;
  }
}
