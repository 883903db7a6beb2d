/**
 * Which stack slots may still be read, for each chain of calls that a subprogram is reached through.
 *
 * Exploration tells what each instruction reads and what it certainly overwrites, in its own frame and, through
 * pointers, in the frames of its callers. From that a backward data-flow pass over the subprogram computes what is
 * live before each instruction; what is live at its start is what the call instruction reads of its callers' frames.
 *
 * Sets of slots are pairs of 32-bit masks: element `2 * i` holds slots 0 to 31 of instruction `i`, `2 * i + 1` the rest.
 *
 * @see the commit messages of the Linux series "bpf: replace path-sensitive with path-insensitive live stack analysis"
 */
import type { Explorer } from './explorer.ts';
import type { SubprogFlow } from './flow.ts';
import type { VerifierState } from './state.ts';

/** Masks for the slots of one frame, by instruction of the subprogram. */
interface FrameMasks {
  readonly mayRead: Int32Array;
  /** Written by the instruction itself, on every visit so far. */
  readonly writes: Int32Array;
  /** Written between the instruction and the end of the subprogram, on every path. */
  readonly mustWrite: Int32Array;
  readonly liveBefore: Int32Array;
}

/** A subprogram as reached through one chain of call sites. */
interface Instance {
  readonly callsites: readonly number[];
  readonly depth: number;
  readonly start: number;
  readonly length: number;
  readonly frames: (FrameMasks | undefined)[];
  /** By instruction: it was explored at least once. */
  readonly visited: Uint8Array;
  /** By instruction: it writes a whole slot of some frame, on every visit so far. */
  readonly writing: Uint8Array;
  updated: boolean;
  /** A later visit wrote less than an earlier one, so what must be written has to be computed afresh. */
  dropped: boolean;
}

export class StackLiveness {
  private readonly instances = new Map<string, Instance>();
  private readonly ex: Explorer;
  private current: Instance | undefined;
  private writeIdx = 0;
  private readonly pendingLow = new Int32Array(8);
  private readonly pendingHigh = new Int32Array(8);
  /** Something is pending. */
  private pending = false;
  private queried: Instance[] = [];
  private queriedState: VerifierState | undefined;

  constructor(ex: Explorer) {
    this.ex = ex;
  }

  /** The call stack changed: the next access looks its instance up again. */
  frameChanged(): void {
    this.current = undefined;
  }

  private instance(state: VerifierState, depth: number): Instance {
    const callsites: number[] = [];
    for (let fr = 1; fr <= depth; fr++) callsites.push(state.frames[fr]!.callsite);
    return this.instanceAt(callsites, state.frames[depth]!.subprogno);
  }

  private instanceAt(callsites: readonly number[], subprogno: number): Instance {
    const key = `${callsites.join(',')}:${subprogno}`;
    let found = this.instances.get(key);
    if (found === undefined) {
      const flow = this.ex.plan.flows[subprogno]!;
      found = {
        callsites,
        depth: callsites.length,
        start: flow.start,
        length: flow.length,
        frames: [],
        visited: new Uint8Array(flow.length),
        writing: new Uint8Array(flow.length),
        updated: false,
        dropped: false,
      };
      this.instances.set(key, found);
    }
    return found;
  }

  private running(): Instance {
    this.current ??= this.instance(this.ex.state, this.ex.state.curframe);
    return this.current;
  }

  /** The instruction may read a slot of the frame `frameno`. */
  read(frameno: number, idx: number, slot: number): void {
    if (slot < 32) mayRead(this.running(), frameno, idx, 1 << slot, 0);
    else mayRead(this.running(), frameno, idx, 0, 1 << (slot & 31));
  }

  /** An instruction begins: it has written nothing yet. */
  begin(idx: number): void {
    this.running();
    this.writeIdx = idx;
    if (!this.pending) return;
    this.pendingLow.fill(0);
    this.pendingHigh.fill(0);
    this.pending = false;
  }

  /** The instruction overwrites the whole slot. */
  write(frameno: number, slot: number): void {
    this.pending = true;
    if (slot < 32) this.pendingLow[frameno]! |= 1 << slot;
    else this.pendingHigh[frameno]! |= 1 << (slot & 31);
  }

  /** The instruction that `begin` named is done. One that entered or left a subprogram wrote nothing by itself. */
  commit(): void {
    if (this.current !== undefined) this.commitTo(this.current);
  }

  private commitTo(instance: Instance): void {
    const i = this.writeIdx - instance.start;
    const first = instance.visited[i] === 0;
    instance.visited[i] = 1;
    // Most instructions write nothing and never did.
    if (!this.pending && instance.writing[i] === 0) return;
    let writing = 0;
    for (let fr = 0; fr <= instance.depth; fr++) {
      const low = this.pendingLow[fr]!;
      const high = this.pendingHigh[fr]!;
      let masks = instance.frames[fr];
      if (masks === undefined) {
        if ((low | high) === 0) continue;
        masks = masksOf(instance, fr);
      }
      const newLow = first ? low : masks.writes[2 * i]! & low;
      const newHigh = first ? high : masks.writes[2 * i + 1]! & high;
      writing |= newLow | newHigh;
      if (newLow === masks.writes[2 * i] && newHigh === masks.writes[2 * i + 1]) continue;
      if (!first) instance.dropped = true;
      masks.writes[2 * i] = newLow;
      masks.writes[2 * i + 1] = newHigh;
      instance.updated = true;
    }
    instance.writing[i] = writing === 0 ? 0 : 1;
  }

  /** A path ended or leaves a subprogram: brings the live sets of its call chain up to date. */
  update(): void {
    this.current = undefined;
    for (let depth = this.ex.state.curframe; depth >= 0; depth--) {
      const instance = this.instance(this.ex.state, depth);
      if (!instance.updated) continue;
      this.solve(instance, this.ex.state.frames[depth]!.subprogno);
      if (depth > 0) this.tellCaller(instance, this.instance(this.ex.state, depth - 1));
    }
  }

  private solve(instance: Instance, subprogno: number): void {
    const flow = this.ex.plan.flows[subprogno]!;
    const { successors } = this.ex.plan;
    const chain = `(${[...instance.callsites, instance.start].join(',')})`;
    let rounds = 0;
    for (let changed = true; changed; rounds++) {
      changed = false;
      for (let fr = 0; fr <= instance.depth; fr++) {
        const masks = instance.frames[fr];
        if (masks === undefined) continue;
        if (instance.dropped && rounds === 0) masks.mustWrite.fill(0);
        const watch = this.ex.log.wantsStates
          ? this.watch(`${chain} frame ${fr}`, instance, masks)
          : undefined;
        if (pass(flow, successors, masks, watch)) changed = true;
      }
    }
    if (this.ex.log.wantsStates)
      this.ex.log.write(`${chain} live stack update done in ${rounds} iterations\n`);
    instance.updated = false;
    instance.dropped = false;
  }

  /** Writes to the log what changes at the instructions that matter: accesses, the start, and prune points. */
  private watch(where: string, instance: Instance, masks: FrameMasks): Watch {
    return (i, what, low, high) => {
      const idx = instance.start + i;
      const accesses =
        (masks.mayRead[2 * i]! |
          masks.mayRead[2 * i + 1]! |
          masks.writes[2 * i]! |
          masks.writes[2 * i + 1]!) !==
        0;
      if (!accesses && i !== 0 && !this.ex.plan.isPrunePoint(idx)) return;
      const set = what === 'live' ? masks.liveBefore : masks.mustWrite;
      const ones = slotNames(low & ~set[2 * i]!, high & ~set[2 * i + 1]!);
      const zeros = slotNames(set[2 * i]! & ~low, set[2 * i + 1]! & ~high);
      if (ones === '' && zeros === '') return;
      const more = (ones && `+${what} ${ones} `) + (zeros && `-${what} ${zeros}`);
      this.ex.log.write(`${where} insn ${idx} ${more}\n`);
    };
  }

  private tellCaller(instance: Instance, outer: Instance): void {
    const callsite = instance.callsites[instance.depth - 1]!;
    this.begin(callsite);
    for (let fr = 0; fr < instance.depth; fr++) {
      const masks = instance.frames[fr];
      if (masks === undefined) continue;
      this.pending = true;
      this.pendingLow[fr] = masks.mustWrite[0]!;
      this.pendingHigh[fr] = masks.mustWrite[1]!;
      mayRead(outer, fr, callsite, masks.liveBefore[0]!, masks.liveBefore[1]!);
    }
    this.commitTo(outer);
  }

  /** Prepares {@link isLive} for a state. */
  query(state: VerifierState): void {
    this.queriedState = state;
    this.queried = state.frames.map((_, depth) => this.instance(state, depth));
  }

  /** Whether a slot may still be read after the queried state. */
  isLive(frameno: number, slot: number): boolean {
    const state = this.queriedState!;
    const last = state.curframe;
    if (liveBefore(this.queried[last]!, state.insnIdx, frameno, slot)) return true;
    for (let depth = frameno; depth < last; depth++) {
      const callsite = state.frames[depth + 1]!.callsite;
      // A callback may run again, so its call is still ahead; a subprogram returns behind its call.
      const idx = this.ex.plan.callsCallback(callsite) ? callsite : callsite + 1;
      if (liveBefore(this.queried[depth]!, idx, frameno, slot)) return true;
    }
    return false;
  }
}

function masksOf(instance: Instance, frameno: number): FrameMasks {
  let masks = instance.frames[frameno];
  if (masks === undefined) {
    const cells = instance.length * 2;
    masks = {
      mayRead: new Int32Array(cells),
      writes: new Int32Array(cells),
      mustWrite: new Int32Array(cells),
      liveBefore: new Int32Array(cells),
    };
    instance.frames[frameno] = masks;
  }
  return masks;
}

function mayRead(instance: Instance, frameno: number, idx: number, low: number, high: number): void {
  if ((low | high) === 0) return;
  const { mayRead: set, liveBefore: live } = masksOf(instance, frameno);
  const i = 2 * (idx - instance.start);
  if ((set[i]! & low) === low && (set[i + 1]! & high) === high) return;
  set[i]! |= low;
  set[i + 1]! |= high;
  // What is known to be live already tells nothing new.
  if ((set[i]! & ~live[i]!) !== 0 || (set[i + 1]! & ~live[i + 1]!) !== 0) instance.updated = true;
}

function liveBefore(instance: Instance, idx: number, frameno: number, slot: number): boolean {
  const masks = instance.frames[frameno];
  if (masks === undefined) return false;
  return (masks.liveBefore[2 * (idx - instance.start) + (slot >> 5)]! & (1 << (slot & 31))) !== 0;
}

/** Told of an instruction's new sets before they are stored. */
type Watch = (idx: number, what: 'live' | 'written', low: number, high: number) => void;

/** `-8,-16`: offsets from the frame pointer. */
function slotNames(low: number, high: number): string {
  const names: string[] = [];
  for (let slot = 0; slot < 64; slot++) {
    if (((slot < 32 ? low : high) & (1 << (slot & 31))) !== 0) names.push(`${-(slot + 1) * 8}`);
  }
  return names.join(',');
}

/** One round of the data-flow equations. @returns whether anything changed */
function pass(
  { start, postorder }: SubprogFlow,
  successors: Int32Array,
  masks: FrameMasks,
  watch: Watch | undefined,
): boolean {
  let changed = false;
  const { liveBefore: live, mustWrite, writes, mayRead: reads } = masks;
  for (let at = 0; at < postorder.length; at++) {
    const i = postorder[at]!;
    const next = successors[2 * (start + i)]! - start;
    const target = successors[2 * (start + i) + 1]! - start;
    let afterLow = 0;
    let afterHigh = 0;
    let mustLow = next < 0 && target < 0 ? 0 : -1;
    let mustHigh = mustLow;
    if (next >= 0) {
      afterLow = live[2 * next]!;
      afterHigh = live[2 * next + 1]!;
      mustLow = mustWrite[2 * next]!;
      mustHigh = mustWrite[2 * next + 1]!;
    }
    if (target >= 0) {
      afterLow |= live[2 * target]!;
      afterHigh |= live[2 * target + 1]!;
      mustLow &= mustWrite[2 * target]!;
      mustHigh &= mustWrite[2 * target + 1]!;
    }
    mustLow |= writes[2 * i]!;
    mustHigh |= writes[2 * i + 1]!;
    const low = (afterLow & ~writes[2 * i]!) | reads[2 * i]!;
    const high = (afterHigh & ~writes[2 * i + 1]!) | reads[2 * i + 1]!;
    if (
      low !== live[2 * i] ||
      high !== live[2 * i + 1] ||
      mustLow !== mustWrite[2 * i] ||
      mustHigh !== mustWrite[2 * i + 1]
    ) {
      watch?.(i, 'live', low, high);
      watch?.(i, 'written', mustLow, mustHigh);
      live[2 * i] = low;
      live[2 * i + 1] = high;
      mustWrite[2 * i] = mustLow;
      mustWrite[2 * i + 1] = mustHigh;
      changed = true;
    }
  }
  return changed;
}
