/**
 * Exploration: every path through the program, one instruction at a time, on abstract values.
 *
 * A path goes on until it leaves the program, until it reaches a state that was explored before, or until something
 * is wrong; conditional jumps that can go both ways put the other way on a stack. What an instruction does to the
 * state is in the files named after it; this one is the loop and what all of them share.
 *
 * Refusals travel as a {@link Refused} inside this room; `verify()` turns it into a value.
 */
import { Bug } from '../../../base/error.ts';
import type { Insn } from '../../../isa/insn.ts';
import { FORMS } from '../../../isa/opcodes.ts';
import type { Errno } from '../../../sys/errno.ts';
import { PROG_LOAD_FLAGS } from '../../../sys/flags.ts';
import { REJECT_CODES, type Refusal, type RefusedAccess, type RejectCode } from '../rejection.ts';
import { type Draft, subprogramStarting } from '../structure/draft.ts';
import { complexityLimit } from '../structure/version.ts';
import { InsnAux } from './aux.ts';
import { Wanted } from './backtrack.ts';
import type { EqualityRules } from './equal.ts';
import { FastcallStack } from './fastcall.ts';
import { FP } from './frame.ts';
import { JumpEntry, type JumpFacts, JumpHistory } from './history.ts';
import { IdMap } from './ids.ts';
import { checkInsn } from './insn.ts';
import type { Log } from './log.ts';
import { hasBackedges, LoopVisits } from './loops.ts';
import { checkLoadsPackets } from './packet-load.ts';
import type { Plan } from './plan.ts';
import { readReg } from './regs.ts';
import { StackLiveness } from './stack-liveness.ts';
import { VerifierState } from './state.ts';
import { isVisited, pathEnded, type Remembered } from './visited.ts';

/** Paths that may wait. @see kernel/bpf/verifier.c, BPF_COMPLEXITY_LIMIT_JMP_SEQ */
export const MAX_PENDING = 8192;

/** Thrown inside exploration, caught at its edge. */
export class Refused extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.problem);
    this.refusal = refusal;
  }
}

/** A path that waits to be explored. */
interface Pending {
  readonly state: VerifierState;
  readonly insnIdx: number;
  readonly prevInsnIdx: number;
  /** Length of the log when it was put aside: at level 1 only the failing path is kept. */
  readonly logPos: number;
}

/** What the caller's capabilities allow; see `struct bpf_verifier_env`. */
export interface ExploreCaps {
  /** CAP_BPF: subprograms, bounded loops, precision, more than 4096 instructions. */
  readonly bpf: boolean;
  /** CAP_PERFMON: pointers may leak into scalars and out of the program. */
  readonly allowPtrLeaks: boolean;
  readonly allowUninitStack: boolean;
  /** No mitigation of speculation past bounds checks (v1) and of store bypass (v4) is needed. */
  readonly bypassSpecV1: boolean;
  readonly bypassSpecV4: boolean;
}

export class Explorer implements EqualityRules {
  readonly draft: Draft;
  readonly insns: readonly (Insn | undefined)[];
  readonly plan: Plan;
  readonly log: Log;
  readonly caps: ExploreCaps;
  readonly testStateFreq: boolean;
  readonly ids = new IdMap();
  readonly wanted = new Wanted();
  readonly loops = new LoopVisits();
  readonly stackLiveness: StackLiveness;
  readonly fastcall: FastcallStack;
  /** What the checks learned of each instruction, over all paths. */
  readonly aux: InsnAux[];
  /** Pointer arithmetic of an unprivileged program is being masked: states compare exactly. */
  exactScalars = false;

  state: VerifierState;
  insnIdx = 0;
  prevInsnIdx = -1;
  /** Whether this instruction already has an entry in the path's history. */
  historyEntryOpen = false;
  /** A fork has that entry too. */
  private historyEntryShared = false;
  /** An instruction is being checked, as against what is done between instructions. */
  private checking = false;
  /** The next instruction is not simply the one after: the log says from where to where the path goes. */
  announce = false;
  lastId = 0;
  /** States remember the steps that led to them, for explaining a refusal. */
  tracing = false;

  /** Instructions that verification may process. @see include/linux/bpf.h, BPF_COMPLEXITY_LIMIT_INSNS */
  readonly limit: number;
  processed = 0;
  jumps = 0;
  prevProcessed = 0;
  prevJumps = 0;
  maxStatesPerInsn = 0;
  totalStates = 0;
  peakStates = 0;
  backedges = 0;
  private kept = 0;
  private zombies = 0;
  private buckets: Remembered[][] = [];
  private readonly pending: Pending[] = [];

  constructor(draft: Draft, plan: Plan, log: Log, caps: ExploreCaps) {
    this.draft = draft;
    this.insns = draft.insns;
    this.plan = plan;
    this.log = log;
    this.caps = caps;
    this.limit = complexityLimit(draft);
    this.testStateFreq = (draft.input.flags & PROG_LOAD_FLAGS.BPF_F_TEST_STATE_FREQ) !== 0;
    this.stackLiveness = new StackLiveness(this);
    this.fastcall = new FastcallStack(draft);
    this.aux = draft.insns.map(() => new InsnAux());
    this.state = new VerifierState(new JumpHistory());
  }

  get allowUninitStack(): boolean {
    return this.caps.allowUninitStack;
  }
  /** Without CAP_BPF every scalar counts as precise. */
  get allPrecise(): boolean {
    return !this.caps.bpf;
  }

  liveRegs(idx: number): number {
    return this.plan.liveRegs[idx]!;
  }

  /** A fresh id for a value, object or reference. */
  newId(): number {
    return ++this.lastId;
  }

  /** Index of the subprogram that starts at a slot. */
  subprogAt(start: number): number {
    return subprogramStarting(this.draft, start);
  }

  isGlobalSubprog(subprog: number): boolean {
    return this.draft.subprograms[subprog]?.linkage === 'global';
  }

  /**
   * The program is refused at the current instruction, in Linux's words and in ours. `problem` goes to the log, unless
   * it is there already or Linux says nothing (`logged`).
   */
  refuse(
    code: RejectCode,
    problem: string,
    more: {
      reason?: string;
      hint?: string | undefined;
      errno?: Errno;
      logged?: boolean;
      access?: RefusedAccess;
    } = {},
  ): never {
    const { reason = problem, hint, errno, access } = more;
    if (more.logged !== true) this.log.write(`${problem}\n`);
    throw new Refused({
      code,
      insn: this.insnIdx,
      problem,
      reason,
      ...(hint !== undefined && { hint }),
      ...(errno !== undefined && { errno }),
      ...(access && { access }),
    });
  }

  rejectLoop(insnIdx: number, old: VerifierState, cur: VerifierState): never {
    this.log.line(insnIdx);
    this.log.write(`infinite loop detected at insn ${insnIdx}\n`);
    this.log.write('cur state:');
    this.log.frame(cur, cur.curframe, true);
    this.log.write('old state:');
    this.log.frame(old, cur.curframe, true);
    this.refuse('infinite-loop', `infinite loop detected at insn ${insnIdx}`, {
      logged: true,
      reason: 'the loop came back to the same instruction with nothing changed that could end it',
      hint: 'let every round change a value that the exit condition tests',
    });
  }

  /** Remembered states that share a bucket with the current frame at `idx`; the newest first. */
  remembered(idx: number): Remembered[] {
    const slots = this.insns.length;
    const key = ((idx ^ this.state.frame().callsite) >>> 0) % slots;
    let bucket = this.buckets[key];
    if (bucket === undefined) {
      bucket = [];
      this.buckets[key] = bucket;
    }
    return bucket;
  }

  noteState(): void {
    this.totalStates++;
    this.kept++;
    this.notePeak();
  }
  notePeak(): void {
    this.peakStates = Math.max(this.peakStates, this.kept + this.zombies + this.backedges);
  }
  /** A remembered state is dropped; while paths from it are open or its loop is not finished it still takes memory. */
  forget(state: VerifierState): void {
    this.kept--;
    if (state.branches > 0 || hasBackedges(this, state)) {
      state.forgotten = true;
      this.zombies++;
    }
  }
  /** The last path from a state ended. One whose loop is not finished is kept to the end. */
  finished(state: VerifierState): void {
    if (state.forgotten && !hasBackedges(this, state)) this.zombies--;
  }

  /** Adds to what the path's history knows of the current instruction. */
  pushHistory(what: JumpFacts | undefined): void {
    const { history } = this.state;
    let entry: JumpEntry;
    if (!this.historyEntryOpen) {
      this.historyEntryOpen = true;
      this.historyEntryShared = false;
      entry = history.push(this.insnIdx, this.prevInsnIdx);
    } else {
      const last = history.last;
      if (last === null || last.idx !== this.insnIdx) {
        throw new Bug('the open history entry is of another insn');
      }
      entry = last;
      if (this.historyEntryShared && what !== undefined) {
        entry = new JumpEntry(last.idx, last.prevIdx, last.before);
        entry.note({ ...last, linked: last.linked ?? undefined });
        history.last = entry;
        this.historyEntryShared = false;
      }
    }
    if (what !== undefined) entry.note(what);
  }

  /**
   * Puts a copy of the current path aside, to go on at `insnIdx`.
   *
   * @returns the copy, to be changed into what holds on that way
   */
  fork(insnIdx: number, prevInsnIdx: number, speculative = false): VerifierState {
    this.historyEntryShared = true;
    const copy = new VerifierState(this.state.history.fork());
    copy.copyFrom(this.state);
    copy.speculative ||= speculative;
    this.pending.push({ state: copy, insnIdx, prevInsnIdx, logPos: this.log.position });
    if (this.pending.length > MAX_PENDING) {
      const problem = `The sequence of ${this.pending.length} jumps is too complex.`;
      this.refuse('too-complex', problem, { errno: 'E2BIG' });
    }
    if (copy.parent !== null) copy.parent.branches++;
    return copy;
  }

  /** As {@link fork}, for a state that was made from nothing (a callback that runs later). */
  forkFresh(state: VerifierState, insnIdx: number, prevInsnIdx: number): void {
    this.pending.push({ state, insnIdx, prevInsnIdx, logPos: this.log.position });
    if (this.pending.length > MAX_PENDING) {
      const problem = `The sequence of ${this.pending.length} jumps is too complex for async cb.`;
      this.refuse('too-complex', problem, { errno: 'E2BIG' });
    }
  }

  /** Explores from the state that was set up until no path is left. */
  explore(): void {
    for (;;) {
      try {
        this.run();
        return;
      } catch (error) {
        if (!(error instanceof Refused) || !this.blocksSpeculation(error)) throw error;
        this.checking = false;
        this.log.markAll();
        pathEnded(this, this.state);
        if (!this.next()) return;
        this.announce = true;
      }
    }
  }

  /**
   * What an instruction would do wrong after a mispredicted branch is no reason to refuse the program: a barrier before it
   * keeps speculation from reaching it. An endless loop is one all the same.
   */
  private blocksSpeculation({ refusal }: Refused): boolean {
    if (!this.state.speculative || !this.checking) return false;
    const errno = refusal.errno ?? REJECT_CODES[refusal.code].errno;
    if (errno !== 'EPERM' && errno !== 'EACCES' && errno !== 'EINVAL') return false;
    const aux = this.aux[this.insnIdx]!;
    aux.nospec = true;
    aux.aluState = 0;
    return true;
  }

  private run(): void {
    let prev = this.prevInsnIdx;
    for (;;) {
      this.historyEntryOpen = false;
      this.prevInsnIdx = prev;
      const { state, insnIdx } = this;
      const insn = this.insns[insnIdx];
      if (++this.processed > this.limit) this.refuseTooLarge();
      state.lastInsnIdx = this.prevInsnIdx;
      state.insnIdx = insnIdx;
      let ended = false;
      if (this.plan.isPrunePoint(insnIdx) && isVisited(this, insnIdx)) {
        this.log.safe(insnIdx, this.announce ? this.prevInsnIdx : undefined, state.speculative);
        ended = true;
      } else {
        if (this.plan.isJumpPoint(insnIdx)) this.pushHistory(undefined);
        if (this.log.wantsPath) {
          this.log.insn(this, this.announce);
          if (this.log.wantsStates) this.announce = false;
        }
        if (!(state.speculative && this.aux[insnIdx]!.nospec)) {
          this.stackLiveness.begin(insnIdx);
          prev = insnIdx;
          this.aux[insnIdx]!.visits++;
          if (this.tracing) this.traceStep();
          this.checking = true;
          ended = insn === undefined ? this.refuseSlot(insnIdx) : checkInsn(this, insn);
          this.checking = false;
          this.stackLiveness.commit();
          // A barrier behind the instruction ends what runs ahead.
          ended ||= state.speculative && this.aux[insnIdx]!.nospecResult;
        } else {
          ended = true;
        }
      }
      if (!ended) continue;
      this.log.markAll();
      this.stackLiveness.update();
      pathEnded(this, this.state);
      if (!this.next()) return;
      prev = this.prevInsnIdx;
      this.announce = true;
    }
  }

  private traceStep(): void {
    const { state, insnIdx } = this;
    const frame = state.frame();
    state.trace = { before: state.trace, insnIdx, frameno: frame.frameno, regs: frame.regs.slice() };
  }

  /** Takes up the path that was put aside last. */
  private next(): boolean {
    const next = this.pending.pop();
    if (next === undefined) return false;
    this.log.rewind(next.logPos);
    this.state = next.state;
    this.insnIdx = next.insnIdx;
    this.prevInsnIdx = next.prevInsnIdx;
    this.stackLiveness.frameChanged();
    return true;
  }

  /** The slot is no instruction, which matters only now that a path reached it. */
  private refuseSlot(insnIdx: number): never {
    const found = this.draft.problems.get(insnIdx);
    if (found === undefined) {
      const problem = `invalid insn idx ${insnIdx} insn_cnt ${this.insns.length}`;
      return this.refuse('bad-call-target', problem, { errno: 'EFAULT' });
    }
    const { code, dst, src } = this.draft.slots[insnIdx]!;
    const known = FORMS[code];
    const form = known?.form;
    if (found.code === 'reserved-field' && (form === 'ld_abs' || form === 'ld_ind')) checkLoadsPackets(this);
    // What a jump compares is looked at before the rest of it.
    if (form === 'jmp' && (found.code === 'reserved-field' || found.code === 'bad-register')) {
      if (dst > FP) {
        this.refuse('bad-register', `R${dst} is invalid`, {
          reason: 'registers are r0 to r10',
          errno: 'EINVAL',
        });
      }
      readReg(this, dst);
    }
    // Of two registers the one that is read is looked at first.
    const reads =
      form === 'ldx' ||
      form === 'stx' ||
      form === 'atomic' ||
      (known !== undefined && 'source' in known && known.source === 'reg');
    if (found.code === 'bad-register' && found.field === 'dst' && reads) readReg(this, src);
    return this.refuse(found.code as RejectCode, found.linux, { reason: found.problem });
  }

  private refuseTooLarge(): never {
    const problem = `BPF program is too large. Processed ${this.processed} insn`;
    this.refuse('too-complex', problem, {
      reason: `verification may process ${this.limit} instructions over all paths`,
      hint: 'split the program with tail calls or global functions, or bound its loops tighter',
      errno: 'E2BIG',
    });
  }

  /** Begins a new function to verify on its own: what was remembered of the last is of no use. */
  restart(state: VerifierState, insnIdx: number): void {
    this.buckets = [];
    this.loops.clear();
    this.pending.length = 0;
    this.state = state;
    this.insnIdx = insnIdx;
    this.prevInsnIdx = -1;
    this.announce = false;
    this.log.restart();
    this.stackLiveness.frameChanged();
  }
}
