/** Pointers that may be null, that are null, that were taken away, and what is no pointer at all. */
import {
  baseType,
  mayBeNull,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
  SCALAR,
} from '../explore/reg-type.ts';
import { subprogramAt } from '../structure/draft.ts';
import { callee, type Link } from './chain.ts';
import { isTracing } from './kinds.ts';
import { argumentText, assigned, isName } from './names.ts';
import { type Advice, type BlamedReg, place, sourceText, type Trouble } from './trouble.ts';

/** Not tested for null. */
export function nullableAdvice(trouble: Trouble): Advice | undefined {
  const { regs, chain, refusal, steps } = trouble;
  if (refusal.code === 'unreleased-reference') return undefined;
  const pointer = regs.find(({ value }) => mayBeNull(value.type));
  if (pointer === undefined) return undefined;
  const origin = chain.findLast(({ kind }) => kind === 'call' || kind === 'load' || kind === 'enter');
  if (origin?.kind === 'enter' && steps[0] !== undefined) {
    const given = argumentName(trouble, origin);
    const who = given === undefined ? `r${pointer.number}` : `${given} (r${pointer.number})`;
    return {
      reason: `${who} may be null here: a global function is judged for every caller`,
      suggestion: `test the pointer for null at the beginning of the function: if (!${given ?? 'p'}) return …, or declare that it never is: add __arg_nonnull to the argument`,
    };
  }
  const name = origin && nameAt(trouble, origin.insn);
  const who = name === undefined ? `r${pointer.number}` : `${name} (r${pointer.number})`;
  const where = origin === undefined ? '' : ` after ${place(trouble, origin.insn)}`;
  return {
    reason: `${who} may be null here: no path to this place tested it`,
    suggestion: `test the pointer for null${where}, before it is used: if (!${name ?? 'p'}) return …`,
  };
}

/** The name of the argument that a function begins with. */
function argumentName({ draft }: Trouble, { insn, place: at }: Link): string | undefined {
  const { btf } = draft.input;
  const func = draft.subprograms[subprogramAt(draft, insn)]?.btfFunc;
  const type = func === undefined ? undefined : btf?.type(func);
  const proto = type?.kind === 'func' ? btf?.type(type.type) : undefined;
  const name = proto?.kind === 'func_proto' ? proto.params[Number(at.slice(1)) - 1]?.name : undefined;
  return name === '' ? undefined : name;
}

/** What a statement gives its value to, where that can stand in a condition. */
function nameAt(trouble: Trouble, insn: number): string | undefined {
  const name = assigned(sourceText(trouble, insn));
  return name !== undefined && isName(name) ? name : undefined;
}

/** A number where a pointer is meant: null, taken away by a call, or an address that only the kernel knows. */
export function numberAdvice(trouble: Trouble): Advice | undefined {
  const { regs, refusal } = trouble;
  if (!/invalid mem access '|type=scalar expected=|arg#\d+ pointer type/.test(refusal.problem))
    return undefined;
  const number = regs.find(({ value }) => value.type === SCALAR);
  if (number === undefined) return undefined;
  return takenAway(trouble, number) ?? isNull(trouble, number) ?? address(trouble, number);
}

function takenAway(trouble: Trouble, { number }: BlamedReg): Advice | undefined {
  const { chain, draft, ex } = trouble;
  const lost = chain.findLast(({ kind, before }) => kind === 'lose' && before !== undefined);
  const call = lost && draft.insns[lost.insn];
  if (lost?.before === undefined || call === undefined || ex === undefined) return undefined;
  const by = callee(ex, call);
  const base = baseType(lost.before.type);
  if (base === PTR_TO_PACKET || base === PTR_TO_PACKET_META || base === PTR_TO_PACKET_END) {
    return {
      reason: `r${number} pointed into the packet until ${place(trouble, lost.insn)}: ${by} may move the packet, which ends all pointers into it`,
      suggestion: `after ${place(trouble, lost.insn)}, load data and data_end from the context again and compare again before the packet is used`,
    };
  }
  const name = argumentText(sourceText(trouble, lost.insn), by.slice(0, -2), 0);
  const what = name !== undefined && isName(name) ? name : 'the object';
  return {
    reason: `${by} in ${place(trouble, lost.insn)} took the object back: r${number} is no pointer to it any more`,
    suggestion: `don't use ${what} after ${place(trouble, lost.insn)}: move the use before it`,
  };
}

/** The path is the one on which a pointer was found to be null. */
function isNull(trouble: Trouble, { number, value }: BlamedReg): Advice | undefined {
  const { steps, draft, chain } = trouble;
  if (!value.scalar.isConstValue(0, 0)) return undefined;
  for (let at = steps.length - 2; at >= 0; at--) {
    const { insnIdx, regs, frameno } = steps[at]!;
    const insn = draft.insns[insnIdx];
    if (insn?.kind !== 'jmp' || !mayBeNull(regs[insn.dst]!.type)) continue;
    const after = steps[at + 1]!.regs[insn.dst]!;
    if (after.type !== SCALAR) continue;
    const known = chain.some((link) => link.insn === insnIdx);
    const link: Link = {
      insn: insnIdx,
      step: at,
      frame: frameno,
      kind: 'branch',
      place: `r${insn.dst}`,
      before: regs[insn.dst]!,
      after,
      says: 'this is the way where the pointer is null',
    };
    return {
      reason: `r${number} is null here: ${place(trouble, insnIdx)} came this way because the pointer is null`,
      suggestion: `use the pointer on the other way only: turn the test in ${place(trouble, insnIdx)} around, or leave there when it is null`,
      ...(!known && { causes: [link] }),
    };
  }
  return {
    reason: `r${number} is null here`,
    suggestion: 'give the pointer a value on every path that leads here',
  };
}

function address(trouble: Trouble, { number }: BlamedReg): Advice | undefined {
  const { chain, draft, refusal } = trouble;
  if (!refusal.problem.includes('invalid mem access')) return undefined;
  const origin = chain.findLast(({ kind }) => kind === 'load' || kind === 'call' || kind === 'enter');
  const name = origin && nameAt(trouble, origin.insn);
  const what = name === undefined ? `r${number}` : `${name} (r${number})`;
  const reason = `${what} is a number here: the verifier does not know it as the address of anything`;
  if (!isTracing(draft.input.type)) {
    return {
      reason,
      suggestion: 'use the pointer that a helper or the context gave, and change it only by adding to it',
    };
  }
  return {
    reason,
    suggestion: `copy what is there to the stack first: bpf_probe_read_kernel(&value, sizeof(value), ${name ?? 'address'}), bpf_probe_read_user() for the memory of a process, or BPF_CORE_READ() for a member of a kernel struct`,
  };
}
