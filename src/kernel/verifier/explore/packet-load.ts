/** `LD_ABS` and `LD_IND`: loads from a socket buffer as classic BPF had them. A load behind the packet ends the program with r0 = 0. */
import type { Insn } from '../../../isa/insn.ts';
import { PROGRAMS, type ProgramFacts } from '../../programs/index.ts';
import { Scalar } from '../value/scalar.ts';
import { checkContextPointer, programType } from './access-context.ts';

import { returnToCaller } from './exit.ts';
import type { Explorer } from './explorer.ts';
import { checkResourceLeak } from './leaks.ts';
import { scalarReg } from './reg.ts';
import { PTR_TO_CTX } from './reg-type.ts';
import { checkWritable, destroyArguments, readReg } from './regs.ts';

type PacketLoad = Extract<Insn, { kind: 'ld_abs' | 'ld_ind' }>;

/** Where the instruction expects the context. */
const CTX_REG = 6;
const UNKNOWN = scalarReg();
const ZERO = scalarReg(Scalar.ZERO);

/** Refuses programs without a socket buffer. */
export function checkLoadsPackets(ex: Explorer): void {
  const type = programType(ex.draft);
  const facts: ProgramFacts = PROGRAMS[type];
  if (facts.legacyPacketLoads !== true) {
    const problem = 'BPF_LD_[ABS|IND] instructions not allowed for this program type';
    ex.refuse('ld-abs-not-allowed', problem, {
      reason: `a program of type ${type} has no socket buffer to load from`,
      hint: 'read the packet through data and data_end, or with bpf_skb_load_bytes',
    });
  }
}

export function checkPacketLoad(ex: Explorer, insn: PacketLoad): void {
  const { state } = ex;
  checkLoadsPackets(ex);
  readReg(ex, CTX_REG);
  checkResourceLeak(ex, false, true, 'BPF_LD_[ABS|IND]');
  const ctx = state.frame().reg(CTX_REG);
  if (ctx.type !== PTR_TO_CTX) {
    ex.refuse('packet-load-context', 'at the time of BPF_LD_ABS|IND R6 != pointer to skb', {
      reason: 'the instruction takes the context from r6',
      hint: 'copy the context to r6 when the program starts',
    });
  }
  if (insn.kind === 'ld_ind') readReg(ex, insn.src);
  checkContextPointer(ex, CTX_REG, ctx);
  destroyArguments(ex);
  checkWritable(ex, 0);
  state.frame().regs[0] = UNKNOWN;
  if (state.curframe === 0) return;
  // Behind the packet's end a load returns 0 from the subprogram that it is in.
  ex.fork(ex.insnIdx + 1, ex.insnIdx);
  state.frame().regs[0] = ZERO;
  returnToCaller(ex);
  ex.insnIdx--;
}
