/** Interrupt flags that are saved on the stack while interrupts are off, and restored last first. */
import { checkMemAccess } from './access.ts';
import { BAD_SLOT, stackObjectSlot, UNUSED_SLOT } from './dynptr.ts';
import type { Explorer } from './explorer.ts';
import { SLOT_BYTES, STACK_INVALID, STACK_IRQ_FLAG } from './frame.ts';
import { acquireIrq, releaseIrq } from './references.ts';
import { type IrqState, pointerReg, type RegState, UNINIT } from './reg.ts';
import { PTR_TO_STACK } from './reg-type.ts';

type IrqClass = IrqState['kfuncClass'];

/** Functions with an interrupt flag argument. */
const FUNCTIONS: Readonly<Record<string, { readonly saves: boolean; readonly by: IrqClass }>> = {
  bpf_local_irq_save: { saves: true, by: 'native' },
  bpf_local_irq_restore: { saves: false, by: 'native' },
  bpf_res_spin_lock_irqsave: { saves: true, by: 'lock' },
  bpf_res_spin_unlock_irqrestore: { saves: false, by: 'lock' },
};

/** @param name the kernel function that is called */
export function processIrqFlag(ex: Explorer, regno: number, name: string): void {
  const reg = ex.state.frame().reg(regno);
  const arg = regno - 1;
  if (reg.type !== PTR_TO_STACK) {
    refuse(ex, `arg#${arg} doesn't point to an irq flag on stack`, `r${regno} does not point to the stack`);
  }
  const { saves, by } = FUNCTIONS[name]!;
  const slot = stackObjectSlot(ex, reg, 'irq_flag', 1);
  if (saves) {
    if (slot === BAD_SLOT || (slot !== UNUSED_SLOT && holdsFlag(ex, reg, slot, 'any'))) {
      refuse(
        ex,
        `expected uninitialized irq flag as arg#${arg}`,
        'flags are saved in 8 aligned bytes of stack that hold no saved flags',
      );
    }
    checkMemAccess(ex, regno, 0, SLOT_BYTES, 'write', -1);
    save(ex, reg, by);
    return;
  }
  if (
    slot < 0 ||
    ex.state.frames[reg.frameno]!.spilled[slot]!.refObjId === 0 ||
    !holdsFlag(ex, reg, slot, 'all')
  ) {
    refuse(
      ex,
      `expected an initialized irq flag as arg#${arg}`,
      'no flags were saved there, or they were restored or overwritten',
    );
  }
  ex.stackLiveness.read(reg.frameno, ex.insnIdx, slot);
  restore(ex, reg, slot, by);
}

function refuse(ex: Explorer, problem: string, reason: string): never {
  ex.refuse('bad-irq-flag', problem, { reason });
}

function holdsFlag(ex: Explorer, reg: RegState, slot: number, which: 'any' | 'all'): boolean {
  const frame = ex.state.frames[reg.frameno]!;
  for (let b = 0; b < SLOT_BYTES; b++) {
    const flag = frame.byteType(slot, b) === STACK_IRQ_FLAG;
    if (flag !== (which === 'all')) return which === 'any';
  }
  return which === 'all';
}

function save(ex: Explorer, reg: RegState, kfuncClass: IrqClass): void {
  const slot = stackObjectSlot(ex, reg, 'irq_flag', 1);
  const frame = ex.state.frames[reg.frameno]!;
  const st = pointerReg(PTR_TO_STACK);
  st.refObjId = acquireIrq(ex);
  st.irq = { kfuncClass };
  frame.setSlot(slot, STACK_IRQ_FLAG);
  frame.setSpilled(slot, st);
  ex.stackLiveness.write(frame.frameno, slot);
  ex.log.touchSlot(slot);
}

function restore(ex: Explorer, reg: RegState, slot: number, by: IrqClass): void {
  const frame = ex.state.frames[reg.frameno]!;
  const { irq, refObjId } = frame.spilled[slot]!;
  if (irq?.kfuncClass !== by) {
    refuse(
      ex,
      `irq flag acquired by ${irq?.kfuncClass} kfuncs cannot be restored with ${by} kfuncs`,
      'flags are restored by the counterpart of what saved them',
    );
  }
  const { activeIrqId } = ex.state;
  const inTheWay = releaseIrq(ex.state, refObjId);
  if (inTheWay !== undefined) {
    ex.refuse(
      'bad-irq-flag',
      `cannot restore irq state out of order, expected id=${activeIrqId} acquired at insn_idx=${inTheWay.insnIdx}`,
      { reason: 'the flags saved last are restored first', errno: 'EACCES' },
    );
  }
  frame.setSpilled(slot, UNINIT);
  frame.setSlot(slot, STACK_INVALID);
  ex.stackLiveness.write(frame.frameno, slot);
  ex.log.touchSlot(slot);
}
