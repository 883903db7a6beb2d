/**
 * A section's instructions as llvm-objdump lists them: LLVM's notation, each jump with the symbol that it goes to
 * (`goto +0x4 <LBB0_3>`, `goto +0x4 <prog+0x28>`). What is no instruction is listed as `<unknown>`.
 */
import { decode, type Problem } from './decode.ts';
import type { Insn, InsnIdx } from './insn.ts';
import { slots } from './insn.ts';
import { jumpTarget, type LlvmStyle, toLlvm } from './llvm-disasm.ts';
import { SLOT_SIZE, slotCount } from './slot.ts';

/** A symbol of the section that is listed. */
export interface ListingSymbol {
  readonly name: string;
  /** Bytes from the section's start. */
  readonly offset: number;
  /** `STT_*` of its ELF symbol; of symbols at one place the highest names it. Section and file symbols don't belong here. */
  readonly type: number;
}

export interface ListingOptions {
  readonly littleEndian?: boolean;
  /** The section's name, which stands for its start where no symbol does. */
  readonly section?: string;
  readonly symbols?: readonly ListingSymbol[];
  readonly style?: Partial<LlvmStyle>;
}

export interface ListingLine {
  readonly idx: InsnIdx;
  /** 8 bytes, 16 of a 64-bit immediate load. */
  readonly bytes: Uint8Array;
  readonly insn: Insn | undefined;
  /** What is wrong where `insn` is `undefined`. */
  readonly problem: Problem | undefined;
  readonly text: string;
  /** Where a jump goes. */
  readonly target: InsnIdx | undefined;
}

/** Lists every instruction of a section. Bytes behind the last whole slot are left out. */
export function listing(bytes: Uint8Array, options: ListingOptions = {}): readonly ListingLine[] {
  const { insns, problems } = decode(bytes, options.littleEndian ?? true);
  const byIdx = new Map(problems.map((problem) => [problem.idx, problem]));
  const name = symbolizer(options.section ?? '.text', options.symbols ?? []);
  const lines: ListingLine[] = [];
  const count = slotCount(bytes);
  for (let at = 0; at < count; ) {
    const idx = at as InsnIdx;
    const insn = insns[idx];
    const taken = insn === undefined ? 1 : slots(insn);
    const target = insn === undefined ? undefined : jumpTarget(insn, idx);
    const text = insn === undefined ? '<unknown>' : toLlvm(insn, { pseudo: 'llvm', ...options.style });
    lines.push({
      idx,
      bytes: bytes.subarray(at * SLOT_SIZE, (at + taken) * SLOT_SIZE),
      insn,
      problem: insn === undefined ? byIdx.get(idx) : undefined,
      text: target === undefined ? text : `${text}${name(target)}`,
      target,
    });
    at += taken;
  }
  return lines;
}

/** Names slots by the last symbol at or before them: ` <prog+0x28>`, or nothing for a slot before the section. */
function symbolizer(section: string, symbols: readonly ListingSymbol[]): (target: InsnIdx) => string {
  const sorted = symbols
    .filter((symbol) => symbol.name !== '')
    .toSorted((a, b) => a.offset - b.offset || a.type - b.type || (a.name < b.name ? -1 : 1));
  if (sorted[0]?.offset !== 0) sorted.unshift({ name: section, offset: 0, type: 0 });
  return (target) => {
    const at = target * SLOT_SIZE;
    const symbol = sorted.findLast((symbol) => symbol.offset <= at);
    if (symbol === undefined) return '';
    const past = at - symbol.offset;
    return ` <${symbol.name}${past === 0 ? '' : `+0x${past.toString(16)}`}>`;
  };
}
