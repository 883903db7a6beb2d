/**
 * What is known of each instruction before any path is explored, by slot: which registers may still be read, where
 * states are worth remembering, which calls run callbacks, and which loops (strongly connected components of the
 * control flow) an instruction is part of.
 */
import type { SubprogFlow } from './flow.ts';

const PRUNE_POINT = 1;
const JUMP_POINT = 2;
const FORCE_CHECKPOINT = 4;
const CALLS_CALLBACK = 8;
const CALLS_SYNC_CALLBACK = 16;
const ITER_NEXT = 32;
const MAY_GOTO = 64;

export class Plan {
  private readonly flags: Uint8Array;
  /** Registers that may be read before they are written from the slot on: bit i is register i. */
  readonly liveRegs: Uint16Array;
  /** Component of the control-flow graph that the slot is in; 0 when it is in no loop. */
  readonly scc: Uint32Array;
  /** Slots that may run next in the same frame, two for each slot. */
  readonly successors: Int32Array;
  /** By subprogram. */
  readonly flows: readonly SubprogFlow[];

  constructor(slots: number, { successors, flows, scc }: Pick<Plan, 'successors' | 'flows' | 'scc'>) {
    this.flags = new Uint8Array(slots);
    this.liveRegs = new Uint16Array(slots);
    this.successors = successors;
    this.flows = flows;
    this.scc = scc;
  }

  /** States are compared and may be remembered here. */
  isPrunePoint(idx: number): boolean {
    return (this.flags[idx]! & PRUNE_POINT) !== 0;
  }
  markPrunePoint(idx: number): void {
    this.flags[idx]! |= PRUNE_POINT;
  }
  /** Reaching it must be written to the path's history. */
  isJumpPoint(idx: number): boolean {
    return (this.flags[idx]! & JUMP_POINT) !== 0;
  }
  markJumpPoint(idx: number): void {
    this.flags[idx]! |= JUMP_POINT;
  }
  /** A state is always remembered here: loops converge by it. */
  isForcedCheckpoint(idx: number): boolean {
    return (this.flags[idx]! & FORCE_CHECKPOINT) !== 0;
  }
  markForcedCheckpoint(idx: number): void {
    this.flags[idx]! |= FORCE_CHECKPOINT;
  }
  /** A call that runs a callback now. */
  callsSyncCallback(idx: number): boolean {
    return (this.flags[idx]! & CALLS_SYNC_CALLBACK) !== 0;
  }
  markSyncCallback(idx: number): void {
    this.flags[idx]! |= CALLS_SYNC_CALLBACK | CALLS_CALLBACK;
  }
  /** A call that runs a callback, now or later. */
  callsCallback(idx: number): boolean {
    return (this.flags[idx]! & CALLS_CALLBACK) !== 0;
  }
  isIterNext(idx: number): boolean {
    return (this.flags[idx]! & ITER_NEXT) !== 0;
  }
  markIterNext(idx: number): void {
    this.flags[idx]! |= ITER_NEXT;
  }
  isMayGoto(idx: number): boolean {
    return (this.flags[idx]! & MAY_GOTO) !== 0;
  }
  markMayGoto(idx: number): void {
    this.flags[idx]! |= MAY_GOTO;
  }
}
