/**
 * The verifier's log, as the kernel writes it: at level 1 the path that fails, at level 2 every path with the states
 * and the steps of precision tracking, at level 4 the closing counts alone.
 *
 * After an instruction only what it touched is shown, so the engine says what is touched.
 */

import type { CallTarget, Imm64, Insn } from '../../../isa/insn.ts';
import { kernelInsn } from '../../../isa/kernel-notation.ts';
import { helperName } from '../../../sys/helper-ids.ts';
import type { Draft } from '../structure/draft.ts';
import { textAsWritten } from './as-written.ts';
import type { Explorer } from './explorer.ts';
import { FP, type Frame, SLOT_BYTES, STACK_DYNPTR, STACK_ITER, STACK_SPILL } from './frame.ts';
import type { Plan } from './plan.ts';
import { DYNPTR_NAMES, iterName, regText } from './reg-text.ts';
import { NOT_INIT } from './reg-type.ts';
import type { VerifierState } from './state.ts';

const PATH = 1;
const STATES = 2;
const COUNTS = 4;

/** Where Linux has maps and their values, about. */
const MAPS_ADDRESS = 0xffff888100000000n;
const VALUES_ADDRESS = 0xffffc90000000000n;
const ADDRESS_STEP = 0x100000n;

/** Columns that an instruction takes before the state behind it. */
const ALIGNMENT = 40;
const MIN_ALIGNMENT = 8;

/** How a stack byte of each type is shown, by number of the type. */
const BYTE_CHARS = '?rm0dif';

export interface Counts {
  readonly processed: number;
  readonly maxStatesPerInsn: number;
  readonly totalStates: number;
  readonly peakStates: number;
}

export class Log {
  readonly level: number;
  /** Instructions and states of paths are written. */
  readonly wantsPath: boolean;
  /** States are written for every path, with the steps of precision tracking. */
  readonly wantsStates: boolean;
  private readonly draft: Draft;
  private readonly chunks: string[] = [];
  private length = 0;
  /** The last thing written was an instruction: its state goes on the same line. */
  private lineEnd = -1;
  private lineWidth = 0;
  private touchedRegs = -1;
  private touchedSlotsLow = -1;
  private touchedSlotsHigh = -1;
  private lastLine: { readonly file: string; readonly line: number } | undefined;

  constructor(draft: Draft) {
    this.draft = draft;
    this.level = draft.environment.logLevel;
    this.wantsPath = (this.level & (PATH | STATES)) !== 0;
    this.wantsStates = (this.level & STATES) !== 0;
  }

  /** Bytes written so far. */
  get position(): number {
    return this.length;
  }

  /** Messages are written at every level but 0; what only shows a path is for its writer to leave out below level 1. */
  write(text: string): void {
    if (this.level === 0) return;
    this.chunks.push(text);
    this.length += text.length;
  }

  /** Takes back what was written after a position; at level 2 everything is kept. */
  rewind(position: number): void {
    if (!this.wantsStates) this.truncate(position);
  }

  private truncate(position: number): void {
    while (this.length > position) {
      const last = this.chunks.pop()!;
      this.length -= last.length;
      if (this.length < position) {
        this.chunks.push(last.slice(0, position - this.length));
        this.length = position;
      }
    }
  }

  touchReg(regno: number): void {
    this.touchedRegs |= 1 << regno;
  }
  touchSlot(slot: number): void {
    if (slot < 32) this.touchedSlotsLow |= 1 << slot;
    else this.touchedSlotsHigh |= 1 << (slot & 31);
  }
  /** The next state is shown whole. */
  markAll(): void {
    this.touchedRegs = this.touchedSlotsLow = this.touchedSlotsHigh = -1;
  }
  private touchNothing(): void {
    this.touchedRegs = this.touchedSlotsLow = this.touchedSlotsHigh = 0;
  }
  private get touched(): boolean {
    return (this.touchedRegs | this.touchedSlotsLow | this.touchedSlotsHigh) !== 0;
  }

  /** A function is verified from its start: its first source line is shown, and its first state whole. */
  restart(): void {
    this.lastLine = undefined;
    this.markAll();
  }

  /** The source line of an instruction, unless it is the one shown last. */
  line(insnIdx: number): void {
    if (this.level === 0) return;
    const { lines } = this.draft;
    if (lines.size === 0) return;
    let idx = insnIdx;
    while (idx > 0 && !lines.has(idx)) idx--;
    const line = lines.get(idx);
    if (line === undefined || line === this.lastLine) return;
    if (this.lastLine?.file === line.file && this.lastLine.line === line.line) return;
    this.lastLine = line;
    const file = line.file.slice(line.file.lastIndexOf('/') + 1);
    this.write(`; ${line.text.trimStart()} @ ${file}:${line.line}\n`);
  }

  /** An instruction that is about to be checked. @param announce the path was just taken up: shown at level 2 */
  insn(ex: Explorer, announce: boolean): void {
    if (announce && this.wantsStates) {
      const speculative = ex.state.speculative ? ' (speculative execution)' : '';
      this.write(`\nfrom ${ex.prevInsnIdx} to ${ex.insnIdx}${speculative}:`);
      this.frame(ex.state, ex.state.curframe, true);
    }
    if (this.touched) this.insnState(ex);
    this.line(ex.insnIdx);
    const text = `${ex.insnIdx}: ${this.insnText(ex.insnIdx)}\n`;
    this.write(text);
    this.lineEnd = this.length;
    this.lineWidth = text.length;
  }

  /** What the instruction touched, behind it where nothing was written since. */
  insnState(ex: Explorer): void {
    if (!this.wantsPath) return;
    if (this.lineEnd > 0 && this.lineEnd === this.length) {
      this.truncate(this.length - 1);
      const width = Math.max(this.lineWidth + MIN_ALIGNMENT / 2, ALIGNMENT);
      const aligned = Math.ceil(width / MIN_ALIGNMENT) * MIN_ALIGNMENT;
      this.write(`${' '.repeat(aligned - this.lineWidth - 1)};`);
    } else {
      this.write(`${ex.insnIdx}:`);
    }
    this.frame(ex.state, ex.state.curframe, false);
  }

  /** The path ends because an equal state was explored before. @param from where the path was taken up, if just now */
  safe(insnIdx: number, from: number | undefined, speculative: boolean): void {
    if (!this.wantsPath) return;
    if (from === undefined) this.write(`${insnIdx}: safe\n`);
    else this.write(`\nfrom ${from} to ${insnIdx}${speculative ? ' (speculative execution)' : ''}: safe\n`);
  }

  insnText(idx: number): string {
    const print = (insn: Insn): string =>
      kernelInsn(insn, {
        call: (target) => this.callName(target),
        imm64: (imm) => this.address(idx, imm),
      });
    const insn = this.draft.insns[idx];
    return insn === undefined ? textAsWritten(this.draft, idx, print) : print(insn);
  }

  /**
   * What Linux shows of a load of a map is the map's address, or that of its values. There is no such address here:
   * one like it stands in its place, the same one for the same program. Who may not see addresses gets zero.
   */
  private address(idx: number, imm: Imm64): string | undefined {
    const map = this.draft.mapRefs.get(idx);
    if (map === undefined) return undefined;
    if (!this.draft.environment.capabilities.perfmon) return '0x0';
    if (imm.kind === 'map_value' || imm.kind === 'map_idx_value') {
      return `0x${(VALUES_ADDRESS + BigInt(map) * ADDRESS_STEP + BigInt(imm.off)).toString(16)}`;
    }
    return `0x${(MAPS_ADDRESS + BigInt(map) * ADDRESS_STEP).toString(16)}`;
  }

  private callName(target: CallTarget): string | undefined {
    if (target.kind === 'helper') {
      const name = helperName(target.id);
      return name === undefined ? undefined : `bpf_${name}#${target.id}`;
    }
    if (target.kind !== 'kfunc' || target.fdIdx !== 0) return undefined;
    if (target.btfId === 0) return '#0';
    const type = this.draft.environment.kernelBtf?.type(target.btfId as never);
    return type?.kind === 'func' ? `${type.name}#${target.btfId}` : undefined;
  }

  /** One frame's registers and stack. @param all or only what was touched */
  frame(state: VerifierState, frameno: number, all: boolean): void {
    if (this.level === 0) return;
    const frame = state.frames[frameno]!;
    let text = frameno > 0 ? ` frame${frameno}:` : '';
    for (let i = 0; i < frame.regs.length; i++) {
      const reg = frame.regs[i]!;
      if (reg.type === NOT_INIT || !(all || (this.touchedRegs & (1 << i)) !== 0)) continue;
      text += ` R${i}=${regText(frame, reg, (frame.preciseRegs & (1 << i)) !== 0)}`;
    }
    text += this.stackText(frame, all);
    const ids = state.refs.map((ref) => ref.id).filter((id) => id !== 0);
    // Linux takes a first reference without an id, such as a lock in a global variable, for the list's end.
    if (ids.length > 0 && state.refs[0]!.id !== 0) text += ` refs=${ids.join(',')}`;
    if (frame.kind === 'callback') text += ' cb';
    if (frame.kind === 'async_callback') text += ' async_cb';
    this.write(`${text}\n`);
    if (!all) this.touchNothing();
  }

  private stackText(frame: Frame, all: boolean): string {
    let text = '';
    for (let slot = 0; slot < frame.slots; slot++) {
      const mask = slot < 32 ? this.touchedSlotsLow : this.touchedSlotsHigh;
      if (!all && (mask & (1 << (slot & 31))) === 0) continue;
      const base = slot * SLOT_BYTES;
      let types = '';
      for (let b = 0; b < SLOT_BYTES; b++) types += BYTE_CHARS[frame.bytes[base + b]!];
      if (types === '????????') continue;
      const place = ` fp${-(slot + 1) * SLOT_BYTES}=`;
      const reg = frame.spilled[slot]!;
      switch (frame.bytes[base + SLOT_BYTES - 1]) {
        case STACK_SPILL:
          text += place + types.slice(0, types.indexOf('r')) + regText(frame, reg, frame.isPreciseSlot(slot));
          break;
        case STACK_DYNPTR: {
          slot++;
          const main = frame.spilled[slot]!;
          // Linux shows the mark of the first slot as one more id.
          const ids = [main.id && `id=${main.id}`, main.refObjId && `ref_id=${main.refObjId}`, 'dynptr_id=1'];
          const name = DYNPTR_NAMES[main.dynptr?.type ?? 0];
          text += ` fp${-(slot + 1) * SLOT_BYTES}=dynptr_${name}(${ids.filter(Boolean).join(',')})`;
          break;
        }
        case STACK_ITER:
          if (reg.iter !== null && reg.refObjId !== 0) {
            const { state, depth } = reg.iter;
            text += `${place}iter_${iterName(reg)}(ref_id=${reg.refObjId},state=${state},depth=${depth})`;
          }
          break;
        default:
          text += place + types;
      }
    }
    return text;
  }

  /** Level 2, before anything else: where each subprogram starts. */
  subprograms(): void {
    if (!this.wantsStates) return;
    for (const [i, { start }] of this.draft.subprograms.entries()) this.write(`func#${i} @${start}\n`);
  }

  /** Level 2: the loop that each instruction is in, and the registers that may be read before they are written again. */
  liveRegs({ liveRegs, scc }: Plan): void {
    if (!this.wantsStates) return;
    this.write('Live regs before insn:\n');
    for (const [idx, insn] of this.draft.insns.entries()) {
      if (insn === undefined && !this.draft.problems.has(idx)) continue;
      const loop = scc[idx] === 0 ? '' : String(scc[idx]);
      let regs = '';
      for (let i = 0; i < FP; i++) regs += (liveRegs[idx]! & (1 << i)) === 0 ? '.' : i;
      this.write(`${loop.padStart(3)} ${String(idx).padStart(3)}: ${regs} ${this.insnText(idx)}\n`);
    }
  }

  /**
   * The whole log, closed with the counts.
   *
   * @param hidden Linux adds a function of its own to the program, without a stack
   */
  finish(counts: Counts, hidden = false): string {
    if (this.level === 0) return '';
    const { processed, maxStatesPerInsn, totalStates, peakStates } = counts;
    const kept = this.draft.subprograms.filter(({ removed }) => removed !== true);
    const depths = kept.map(({ stackDepth, rewrittenStack = 0 }) => stackDepth + rewrittenStack).join('+');
    const all = hidden ? `${depths}+0` : depths;
    // How long it took depends on the machine: the embedded kernel says the same for the same input.
    const stats = (this.level & COUNTS) === 0 ? '' : `verification time 0 usec\nstack depth ${all}\n`;
    return (
      `${this.chunks.join('')}${stats}` +
      `processed ${processed} insns (limit 1000000) max_states_per_insn ${maxStatesPerInsn} ` +
      `total_states ${totalStates} peak_states ${peakStates} mark_read 0\n`
    );
  }
}
