import type { BtfLinkage, BtfTypeId } from '../../../btf/index.ts';
import { decode, type Insn, type Problem, readSlot, type Slot, slotCount } from '../../../isa/index.ts';
import { HELPERS } from '../../../sys/helper-ids.ts';
import type { MapFacts, VerifyEnvironment } from '../environment.ts';
import type { ProgramInput, SourceLine } from '../program.ts';

/** Helpers are numbered from 1 to this. */
export const HELPER_COUNT = Object.keys(HELPERS).length;

/** A subprogram while its facts are being gathered. */
export interface DraftSubprogram {
  readonly start: number;
  end: number;
  name?: string;
  hasTailCall: boolean;
  hasLdAbs: boolean;
  tailCallReachable: boolean;
  stackDepth: number;
  /** Bytes of stack that Linux's rewriting of the verified program adds. */
  rewrittenStack?: number;
  /** From BTF: a global function is verified on its own. Absent without function info. */
  linkage?: BtfLinkage;
  /** The FUNC that function info names, in the program's BTF. */
  btfFunc?: BtfTypeId;
  /** A call disagreed with what BTF says of its arguments. */
  unreliable?: boolean;
  /** A global function that some path calls, so that it is verified too. */
  called?: boolean;
  /** A function runs it: before that returns, or (asynchronously) later and on its own. */
  isCallback?: boolean;
  isAsyncCallback?: boolean;
  /** No path enters it: Linux leaves it out of what it loads. */
  removed?: boolean;
  /** It, or something that it calls, may move packet data or sleep. */
  changesPacket?: boolean;
  mightSleep?: boolean;
}

/** A program on its way through the passes. Each pass reads what those before it filled in. */
export interface Draft {
  readonly input: ProgramInput;
  readonly environment: VerifyEnvironment;
  readonly count: number;
  readonly slots: readonly Slot[];
  readonly insns: readonly (Insn | undefined)[];
  /** What is wrong with a slot by itself. Linux finds some of it before and some of it during exploration. */
  readonly problems: ReadonlyMap<number, Problem>;
  subprograms: DraftSubprogram[];
  /** From function info: which FUNC starts at which slot, in order. */
  funcRecords: readonly { readonly insn: number; readonly type: BtfTypeId }[];
  /** The subprogram that the entry function's BTF names as the one that exceptions end in. */
  exceptionCallback?: number;
  /** Some path throws an exception. */
  throws?: boolean;
  readonly maps: MapFacts[];
  readonly mapRefs: Map<number, number>;
  readonly lines: Map<number, SourceLine>;
  /** By helper id: 1 once the program was found to be allowed to call it. */
  readonly callable: Uint8Array;
}

export function draft(input: ProgramInput, environment: VerifyEnvironment): Draft {
  const { insns, problems } = decode(input.insns);
  const count = slotCount(input.insns);
  return {
    input,
    environment,
    count,
    slots: Array.from({ length: count }, (_, idx) => readSlot(input.insns, idx)),
    insns,
    problems: new Map(problems.map((problem) => [problem.idx, problem])),
    subprograms: [],
    funcRecords: [],
    maps: [],
    mapRefs: new Map(),
    lines: new Map(),
    callable: new Uint8Array(HELPER_COUNT + 1),
  };
}

/** Slots are numbered; the subprogram that holds slot `idx`. */
export function subprogramAt(draft: Draft, idx: number): number {
  let low = 0;
  let high = draft.subprograms.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (draft.subprograms[middle]!.start <= idx) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The index of the subprogram that starts at slot `start`, or -1. */
export function subprogramStarting(draft: Draft, start: number): number {
  const index = subprogramAt(draft, start);
  return draft.subprograms[index]?.start === start ? index : -1;
}
