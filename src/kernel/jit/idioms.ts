/**
 * Groups of instructions that stand for one operation which the instruction set lacks: rotations, and extensions of 32
 * bits in code for processors without 32-bit operations. They are found within a block, by value: registers in between
 * may be copied.
 */
import type { Insn, Reg, Width } from '../../isa/index.ts';
import { writes } from '../interpreter/registers.ts';
import type { FunctionWriter } from './function.ts';
import { OP } from './wasm/opcodes.ts';

/** Writes an instruction in another way, or something in front of it. @returns false to have it written as it is, too */
export type Idiom = (f: FunctionWriter) => boolean;

type Alu = Extract<Insn, { kind: 'alu' }>;

/** A shift by a constant, and the number of the value that it shifts. */
interface Shift {
  readonly op: 'lsh' | 'rsh';
  readonly by: number;
  readonly width: Width;
  readonly of: number;
  readonly slot: number;
}

/** A register's content: numbers of its 64-bit value and of its low half's, and the shift that made it. */
interface Content {
  readonly wide: number;
  readonly low: number;
  readonly shift?: Shift;
}

const NONE: ReadonlyMap<number, Idiom> = new Map();
/** r0 to r5: a call changes them. */
const CALL_WRITES = 0b111111;

/** @param first slot of the block's first instruction @param last of its last */
export function findIdioms(
  insns: readonly (Insn | undefined)[],
  first: number,
  last: number,
): ReadonlyMap<number, Idiom> {
  return hasShift(insns, first, last) ? new Search(insns, first, last).found : NONE;
}

function hasShift(insns: readonly (Insn | undefined)[], first: number, last: number): boolean {
  for (let slot = first; slot <= last; slot++) {
    const insn = insns[slot];
    if (insn?.kind === 'alu' && insn.op === 'lsh' && insn.src.kind === 'imm') return true;
  }
  return false;
}

class Search {
  readonly found = new Map<number, Idiom>();
  readonly #contents: Content[] = [];
  #values = 0;

  constructor(insns: readonly (Insn | undefined)[], first: number, last: number) {
    for (let reg = 0; reg <= 10; reg++) this.#contents.push(this.#fresh());
    for (let slot = first; slot <= last; slot++) {
      const insn = insns[slot];
      if (insn?.kind === 'alu') this.#contents[insn.dst] = this.#result(insn, slot);
      else if (insn !== undefined) this.#forget(insn.kind === 'call' ? CALL_WRITES : writes(insn));
    }
  }

  #fresh(): Content {
    const value = this.#values++;
    return { wide: value, low: value };
  }

  #forget(registers: number): void {
    for (let reg = 0; reg < 10; reg++) if ((registers >> reg) & 1) this.#contents[reg] = this.#fresh();
  }

  #result(insn: Alu, slot: number): Content {
    const { op, width, dst, src } = insn;
    const before = this.#contents[dst]!;
    if (src.kind === 'reg') {
      const from = this.#contents[src.reg]!;
      if (op === 'mov') return this.#copy(from, width);
      if (op === 'or') this.#findRotation(insn, slot, before, from);
      return this.#fresh();
    }
    if (width === 64 && src.imm === 32 && (op === 'rsh' || op === 'arsh')) {
      const up = before.shift;
      if (up?.op === 'lsh' && up.by === 32 && up.width === 64) {
        this.#keep(up);
        this.found.set(slot, extension(dst, up, op === 'arsh'));
        return this.#fresh();
      }
    }
    if ((op !== 'lsh' && op !== 'rsh') || src.imm <= 0 || src.imm >= width) return this.#fresh();
    const of = width === 64 ? before.wide : before.low;
    return { ...this.#fresh(), shift: { op, by: src.imm, width, of, slot } };
  }

  #copy(from: Content, width: Width): Content {
    if (width === 64) return from;
    // What a 32-bit shift made has no upper half that the copy could cut off.
    const shift = from.shift?.width === 32 ? from.shift : undefined;
    return { wide: this.#values++, low: from.low, ...(shift && { shift }) };
  }

  #findRotation({ dst, width }: Alu, slot: number, a: Content, b: Content): void {
    const up = a.shift?.op === 'lsh' ? a.shift : b.shift;
    const down = a.shift?.op === 'lsh' ? b.shift : a.shift;
    if (up?.op !== 'lsh' || down?.op !== 'rsh') return;
    if (up.width !== width || down.width !== width || up.of !== down.of || up.by + down.by !== width) return;
    this.#keep(up);
    this.found.set(slot, rotation(dst, up));
  }

  /** Keeps what a shift shifts. */
  #keep(shift: Shift): void {
    const { slot, width } = shift;
    if (this.found.has(slot)) return;
    this.found.set(slot, (f) => {
      const { dst } = f.unit.insns[slot] as Alu;
      if (width === 64) f.get(dst);
      else f.getLow(dst);
      f.localSet(kept(f, shift));
      return false;
    });
  }
}

function kept(f: FunctionWriter, { slot, width }: Shift): number {
  return f.named(`kept ${slot}`, width === 64 ? 'i64' : 'i32');
}

function rotation(dst: Reg, up: Shift): Idiom {
  return (f) => {
    f.localGet(kept(f, up));
    if (up.width === 64) {
      f.i64(up.by);
      f.op(OP.i64_rotl);
      f.set(dst);
    } else {
      f.i32(up.by);
      f.op(OP.i32_rotl);
      f.setLow(dst);
    }
    return true;
  };
}

function extension(dst: Reg, up: Shift, signed: boolean): Idiom {
  return (f) => {
    f.localGet(kept(f, up));
    if (signed) {
      f.op(OP.i64_extend32_s);
      f.set(dst);
    } else {
      f.op(OP.i32_wrap_i64);
      f.setLow(dst);
    }
    return true;
  };
}
