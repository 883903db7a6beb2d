/** One instruction on the current state: finds the check for its kind. */
import { unreachable } from '../../../base/error.ts';
import type { Insn } from '../../../isa/insn.ts';
import { checkAlu } from './alu.ts';
import { checkCall } from './call.ts';
import { checkExit } from './exit.ts';
import type { Explorer } from './explorer.ts';
import { checkImm64 } from './imm64.ts';
import { checkJmp } from './jmp.ts';
import { checkAtomic, checkLoad, checkStore } from './load-store.ts';
import { checkMayGoto } from './may-goto.ts';
import { checkPacketLoad } from './packet-load.ts';

/** @returns whether the path ended; if not, `ex.insnIdx` is the next instruction */
export function checkInsn(ex: Explorer, insn: Insn): boolean {
  // What only a mispredicted branch reaches is dead.
  if (!ex.state.speculative) ex.aux[ex.insnIdx]!.seen = true;
  switch (insn.kind) {
    case 'alu':
    case 'neg':
    case 'movsx':
    case 'addr_space_cast':
    case 'endian':
      checkAlu(ex, insn);
      break;
    case 'ldx':
    case 'load_acquire':
      checkLoad(ex, insn);
      break;
    case 'st':
    case 'stx':
    case 'store_release':
      checkStore(ex, insn);
      break;
    case 'atomic':
      checkAtomic(ex, insn);
      break;
    case 'ldimm64':
      checkImm64(ex, insn);
      ex.insnIdx += 2;
      return false;
    case 'ld_abs':
    case 'ld_ind':
      checkPacketLoad(ex, insn);
      break;
    case 'ja':
      ex.jumps++;
      ex.insnIdx += insn.off + 1;
      return false;
    case 'jmp':
      ex.jumps++;
      checkJmp(ex, insn);
      return false;
    case 'may_goto':
      ex.jumps++;
      checkMayGoto(ex, insn.off);
      return false;
    case 'call':
      ex.jumps++;
      return checkCall(ex, insn);
    case 'exit':
      ex.jumps++;
      return checkExit(ex);
    default:
      return unreachable(insn);
  }
  ex.insnIdx++;
  return false;
}
