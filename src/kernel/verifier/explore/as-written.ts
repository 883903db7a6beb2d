/** What is no instruction, as far as it looks like one. */
import { decodeSlot } from '../../../isa/decode.ts';
import type { Insn } from '../../../isa/insn.ts';
import { MAX_REG } from '../../../isa/opcodes.ts';
import type { Slot } from '../../../isa/slot.ts';
import type { Draft } from '../structure/draft.ts';

/** Fields of a slot that can be wrong. */
const FIELDS = 4;
/** Registers that stand in for those that there are not; at most one of them is the other operand. */
const STAND_INS = [9, 8, 7] as const;

/** @returns text of the instruction that a slot is but for fields that must be zero, with registers that there are not */
export function textAsWritten({ slots }: Draft, idx: number, print: (insn: Insn) => string): string {
  const given = slots[idx];
  if (given === undefined) return '';
  const free = STAND_INS.filter((reg) => reg !== given.dst && reg !== given.src);
  const dst = given.dst > MAX_REG ? free[0]! : given.dst;
  const src = given.src > MAX_REG ? free[1]! : given.src;
  let slot: Slot = { ...given, dst, src };
  for (let i = 0; i <= FIELDS; i++) {
    const found = decodeSlot(slot, slots[idx + 1]);
    if ('kind' in found) {
      let text = print(found);
      if (dst !== given.dst) text = text.replace(new RegExp(`\\b([rw])${dst}\\b`, 'g'), `$1${given.dst}`);
      if (src !== given.src) text = text.replace(new RegExp(`\\b([rw])${src}\\b`, 'g'), `$1${given.src}`);
      return text;
    }
    if (found.code !== 'reserved-field' || !(found.field in slot)) return '';
    slot = { ...slot, [found.field]: 0 };
  }
  return '';
}
