/** Stack slots that hold a dynptr: what becomes of it when something else is stored there. */
import type { Explorer } from './explorer.ts';
import { type Frame, STACK_DYNPTR, STACK_INVALID } from './frame.ts';
import { invalidateRegs } from './references.ts';
import { UNINIT } from './reg.ts';
import { DYNPTR_TYPE_FILE, DYNPTR_TYPE_RINGBUF, PTR_MAYBE_NULL, PTR_TO_MEM } from './reg-type.ts';

/** Dynptrs that must be given back, so that they must not be lost. */
const REFERENCED = DYNPTR_TYPE_RINGBUF | DYNPTR_TYPE_FILE;

/** A store reaches the slot: a dynptr that takes it is destroyed, with all memory that was got from it. */
export function destroyDynptrAt(ex: Explorer, frame: Frame, slot: number): void {
  if (frame.byteType(slot, 0) !== STACK_DYNPTR) return;
  const first = frame.spilled[slot]!.dynptr?.firstSlot === true ? slot : slot + 1;
  const { dynptr, id } = frame.spilled[first]!;
  if (((dynptr?.type ?? 0) & REFERENCED) !== 0) {
    ex.refuse('referenced-dynptr', 'cannot overwrite referenced dynptr', {
      reason: 'what the dynptr holds could never be given back',
      hint: 'submit or discard it first',
    });
  }
  ex.log.touchSlot(first);
  ex.log.touchSlot(first - 1);
  for (const half of [first, first - 1]) {
    frame.setSlot(half, STACK_INVALID);
    frame.setSpilled(half, UNINIT);
    ex.stackLiveness.write(frame.frameno, half);
  }
  invalidateRegs(
    ex,
    (reg) => (reg.type === PTR_TO_MEM || reg.type === (PTR_TO_MEM | PTR_MAYBE_NULL)) && reg.dynptrId === id,
  );
}
