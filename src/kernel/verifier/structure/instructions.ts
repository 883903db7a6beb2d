/**
 * What can be said about instructions one by one, in the order in which Linux comes to them: fields, registers,
 * constant operands, calls of helpers, and accesses to the stack at constant offsets.
 */
import type { Insn, Reg } from '../../../isa/index.ts';
import { FORMS } from '../../../isa/opcodes.ts';
import { PROGRAMS, type ProgramFacts } from '../../programs/index.ts';
import type { Refusal, Verdict } from '../rejection.ts';
import { checkHelperCall } from './calls.ts';
import { successors } from './cfg.ts';
import { reachableWithConstants } from './constants.ts';
import type { Draft } from './draft.ts';
import { noteStackAccess } from './stack.ts';

const FP = 10;

export function checkInstructions(draft: Draft): Verdict {
  const seen = new Uint8Array(draft.count);
  const live = reachableWithConstants(draft);
  const pending = [0];
  for (let idx = pending.pop(); idx !== undefined; idx = pending.pop()) {
    for (let at: number | undefined = idx; at !== undefined && seen[at] === 0 && live[at] === 1; ) {
      seen[at] = 1;
      draft.processed++;
      const refusal = checkInstruction(draft, at);
      if (refusal) return refusal;
      const next: readonly number[] = successors(draft, at);
      const call: boolean = next.length === 2 && draft.insns[at]?.kind === 'call';
      // A call is entered at once, and its return explored after; of a branch, the fall-through comes first.
      const [first, later]: readonly (number | undefined)[] = call ? [next[1], next[0]] : next;
      if (later !== undefined) pending.push(later);
      at = first;
    }
  }
  return undefined;
}

function checkInstruction(draft: Draft, idx: number): Verdict {
  const form = FORMS[draft.slots[idx]!.code]?.form;
  if (form === 'ld_abs' || form === 'ld_ind') {
    const refusal = checkLegacyLoad(draft, idx);
    if (refusal) return refusal;
  }
  const problem = draft.problems.get(idx);
  if (problem) {
    return {
      code: problem.code as Refusal['code'],
      insn: idx,
      problem: problem.linux,
      reason: problem.problem,
    };
  }
  const insn = draft.insns[idx]!;
  const written = destination(insn);
  if (written === FP) {
    return {
      code: 'frame-pointer-write',
      insn: idx,
      problem: 'frame pointer is read only',
      reason: 'r10 is the frame pointer, which a program may read but not change',
      errno: 'EACCES',
    };
  }
  switch (insn.kind) {
    case 'alu':
      return checkOperand(insn, idx);
    case 'ldx':
    case 'load_acquire':
      return insn.src === FP ? noteStackAccess(draft, idx, insn.off, insn.size, false) : undefined;
    case 'st':
    case 'stx':
    case 'store_release':
    case 'atomic':
      return insn.dst === FP
        ? noteStackAccess(draft, idx, insn.off, insn.size, insn.kind !== 'atomic')
        : undefined;
    case 'call':
      return insn.target.kind === 'helper'
        ? checkHelperCall(draft, idx, insn.target.id)
        : insn.target.kind === 'kfunc'
          ? unsupported(idx, `kernel function of BTF id ${insn.target.btfId}`)
          : undefined;
    case 'addr_space_cast':
    case 'neg':
    case 'movsx':
    case 'endian':
    case 'ja':
    case 'jmp':
    case 'may_goto':
    case 'exit':
    case 'ld_abs':
    case 'ld_ind':
      return undefined;
    case 'ldimm64':
      return insn.imm.kind === 'func' ? checkFunctionAddress(draft, idx) : undefined;
  }
}

/** The verifier has to know what a callback takes and returns. */
function checkFunctionAddress({ input }: Draft, idx: number): Verdict {
  if (input.btf && input.funcInfo?.bytes.length) return undefined;
  return {
    code: 'bad-func-info',
    insn: idx,
    problem: 'missing btf func_info',
    reason: 'a program that takes the address of a function needs BTF with a record for each function',
    hint: 'compile with -g',
  };
}

/** The register that an instruction names as its destination and writes. */
function destination(insn: Insn): Reg | undefined {
  switch (insn.kind) {
    case 'alu':
    case 'neg':
    case 'movsx':
    case 'addr_space_cast':
    case 'endian':
    case 'ldx':
    case 'load_acquire':
    case 'ldimm64':
      return insn.dst;
    case 'atomic':
      return insn.fetch && insn.op !== 'cmpxchg' ? insn.src : undefined;
    default:
      return undefined;
  }
}

function checkOperand(insn: Extract<Insn, { kind: 'alu' }>, idx: number): Verdict {
  if (insn.src.kind !== 'imm') return undefined;
  const { imm } = insn.src;
  switch (insn.op) {
    case 'div':
    case 'mod':
    case 'sdiv':
    case 'smod':
      if (imm !== 0) return undefined;
      return {
        code: 'division-by-zero',
        insn: idx,
        problem: 'div by zero',
        reason: 'the divisor is the constant 0',
      };
    case 'lsh':
    case 'rsh':
    case 'arsh':
      if (imm >= 0 && imm < insn.width) return undefined;
      return {
        code: 'bad-shift',
        insn: idx,
        problem: `invalid shift ${imm}`,
        reason: `a ${insn.width}-bit value can be shifted by 0 to ${insn.width - 1} bits`,
      };
    default:
      return undefined;
  }
}

function checkLegacyLoad({ input }: Draft, idx: number): Verdict {
  const facts: ProgramFacts = PROGRAMS[input.type];
  if (facts.legacyPacketLoads) return undefined;
  return {
    code: 'ld-abs-not-allowed',
    insn: idx,
    problem: 'BPF_LD_[ABS|IND] instructions not allowed for this program type',
    reason: `a program of type ${input.type} has no socket buffer to load from`,
    hint: 'read the packet through data and data_end, or with bpf_skb_load_bytes',
  };
}

function unsupported(idx: number, what: string): Refusal {
  return {
    code: 'unsupported-insn',
    insn: idx,
    problem: `the embedded kernel does not have the ${what}`,
    reason: 'kernel functions are not part of it yet',
    hint: 'run the program on Linux (--kernel linux)',
  };
}
