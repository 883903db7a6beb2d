import type { MapFacts } from '../environment.ts';
import type { RegState } from './reg.ts';
import type { RegType } from './reg-type.ts';

/** What exploration learns of one instruction, over all paths that reach it. */
export class InsnAux {
  /** Some path reached it. */
  seen = false;
  /** How often it was processed, how many states were remembered at it, and how many paths ended there as known. */
  visits = 0;
  kept = 0;
  pruned = 0;
  /** Kind of pointer that a load or store goes through; every path must agree on how the access is to be done. */
  ptrType: RegType | undefined = undefined;
  /** Map argument of a helper call: `null` when paths disagree. */
  map: MapFacts | null | undefined = undefined;
  /** Some path's map was made without privilege. */
  unprivilegedMap = false;
  /** Constant key of a map helper or index of a tail call: `undefined` before the first visit, `null` when it varies. */
  constKey: bigint | null | undefined = undefined;
  /** Of a `bpf_loop` call: the callback, where every path calls the same one without flags; else -1. */
  inlineLoop: number | undefined = undefined;
  /** Way that a conditional jump was seen to go. */
  taken = false;
  fellThrough = false;
  /** It reads what Linux's pointer rules allow and its rewriting of such reads does not know. */
  noConversion = false;
  /** A barrier before it ends speculative execution. */
  nospec = false;
  /** A barrier behind it keeps its result from being speculated on. */
  nospecResult = false;
  /** Mask of pointer arithmetic in unprivileged programs. */
  aluState = 0;
  aluLimit = 0;
  /** Its immediate operand as a value: records are immutable, so every visit shares one. */
  constant: RegState | undefined = undefined;
}
