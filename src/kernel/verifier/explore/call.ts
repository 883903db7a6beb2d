/** Calls: of helpers, of kernel functions, and of the program's own functions. */
import type { Insn } from '../../../isa/insn.ts';
import { helperId } from '../../../sys/helper-ids.ts';
import { checkHelperCall } from './call-helper.ts';
import { checkKfuncCall, kfuncAllowedUnderLock } from './call-kfunc.ts';
import { checkFuncCall } from './call-subprog.ts';
import type { Explorer } from './explorer.ts';

const SPIN_UNLOCK = helperId('spin_unlock');

/** @returns whether the path ended; if not, `ex.insnIdx` is the next instruction */
export function checkCall(ex: Explorer, insn: Insn & { readonly kind: 'call' }): boolean {
  const { target } = insn;
  if (ex.state.activeLocks > 0 && !allowedUnderLock(ex, insn)) {
    ex.refuse('call-under-lock', 'function calls are not allowed while holding a lock', {
      reason: 'what is called could take long or sleep, and others wait for the lock',
      hint: 'release the lock before the call',
    });
  }
  switch (target.kind) {
    case 'local':
      return checkFuncCall(ex, insn);
    case 'kfunc':
      return checkKfuncCall(ex, insn);
    case 'helper':
      checkHelperCall(ex, target.id);
      ex.insnIdx++;
      return false;
    case 'reg':
      ex.refuse('reserved-field', 'BPF_CALL uses reserved fields', {
        reason: 'a call through a register is not possible',
      });
  }
}

function allowedUnderLock(ex: Explorer, insn: Insn & { readonly kind: 'call' }): boolean {
  switch (insn.target.kind) {
    case 'helper':
      return insn.target.id === SPIN_UNLOCK;
    case 'kfunc':
      return insn.target.fdIdx === 0 && kfuncAllowedUnderLock(ex.draft, insn.target.btfId);
    default:
      return true;
  }
}
