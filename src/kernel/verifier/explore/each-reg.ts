/** Changing all registers of a state that satisfy something, spilled ones and those of callers included. */
import type { RegState } from './reg.ts';
import type { VerifierState } from './state.ts';

/**
 * Replaces each register by what `change` makes of it.
 *
 * @param change gets the shared record: to change it, it returns a changed clone; to keep it, the record itself
 */
export function changeRegs(state: VerifierState, change: (reg: RegState) => RegState): void {
  for (const frame of state.frames) {
    const { regs } = frame;
    for (let i = 0; i < regs.length; i++) {
      const before = regs[i]!;
      const after = change(before);
      if (after !== before) regs[i] = after;
    }
    for (let slot = 0; slot < frame.slots; slot++) {
      if (!frame.isSpill(slot)) continue;
      frame.setSpilled(slot, change(frame.spilled[slot]!));
    }
  }
}
