/** Scalars that are known to be equal, or to differ by a constant: what one of them learns, the others learn. */
import { alu } from '../value/alu.ts';
import { Scalar } from '../value/scalar.ts';
import type { Explorer } from './explorer.ts';
import { FP } from './frame.ts';
import type { LinkedReg } from './history.ts';
import type { RegState } from './reg.ts';
import { SCALAR } from './reg-type.ts';
import type { VerifierState } from './state.ts';

/** How a scalar is linked to others of its id: by a 64-bit or a 32-bit addition of a constant (`linkedAdd`). */
export const ADD_CONST64 = 1;
export const ADD_CONST32 = 2;

/** As many as a history entry has room for; registers beyond that lose their link. */
const MAX_LINKED = 6;

/** Adds the registers that may still be read, and the stack slots, that share the id. */
export function collectLinked(ex: Explorer, id: number, linked: LinkedReg[]): void {
  const { state } = ex;
  for (let frameno = state.curframe; frameno >= 0; frameno--) {
    const frame = state.frames[frameno]!;
    const live = ex.liveRegs(
      frameno === state.curframe ? state.insnIdx : state.frames[frameno + 1]!.callsite,
    );
    for (let index = 0; index < FP; index++) {
      if ((live & (1 << index)) === 0) continue;
      const reg = frame.reg(index);
      if (reg.type !== SCALAR || reg.id !== id) continue;
      if (linked.length < MAX_LINKED) linked.push({ frameno, index, slot: false });
      else frame.own(index).id = 0;
    }
    for (let index = 0; index < frame.slots; index++) {
      if (!frame.isSpill(index)) continue;
      const reg = frame.spilled[index]!;
      if (reg.type !== SCALAR || reg.id !== id) continue;
      if (linked.length < MAX_LINKED) {
        linked.push({ frameno, index, slot: true });
      } else {
        const copy = reg.clone();
        copy.id = 0;
        frame.setSpilled(index, copy);
      }
    }
  }
}

/** Tells the linked registers what is known of one of them. */
export function syncLinked(state: VerifierState, known: RegState, linked: readonly LinkedReg[]): void {
  for (const { frameno, index, slot } of linked) {
    const frame = state.frames[frameno]!;
    const reg = slot ? frame.spilled[index]! : frame.reg(index);
    if (reg.type !== SCALAR || reg === known || reg.id !== known.id) continue;
    // A 64-bit and a 32-bit sum of the same number differ by no constant.
    if ((reg.linkedAdd ^ known.linkedAdd) === (ADD_CONST64 | ADD_CONST32)) continue;
    const same = (reg.linkedAdd === 0 && known.linkedAdd === 0) || reg.off === known.off;
    const copy = same ? known.clone() : reg.clone();
    if (!same) {
      const by = reg.off - known.off;
      const width = ((reg.linkedAdd | known.linkedAdd) & ADD_CONST32) !== 0 ? 32 : 64;
      copy.scalar = alu('add', width, known.scalar, Scalar.known(Math.floor(by / 0x100000000), by | 0));
    }
    if (slot) frame.setSpilled(index, copy);
    else frame.regs[index] = copy;
  }
}
