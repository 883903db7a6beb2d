/**
 * Finds the subprograms from the calls and function addresses in the program, and checks that each stands by itself:
 * no jump leaves it and nothing falls off its end.
 */
import { CALL_CODE, CLASS, CLASS_MASK, EXIT_CODE, FORMS } from '../../../isa/opcodes.ts';
import { helperId } from '../../../sys/helper-ids.ts';
import { LIMITS } from '../../../sys/limits.ts';
import { declTags } from '../explore/decl-tags.ts';
import type { Refusal, Verdict } from '../rejection.ts';
import { type Draft, type DraftSubprogram, subprogramStarting } from './draft.ts';
import { checkKfunc } from './kfuncs.ts';

const TAIL_CALL = helperId('tail_call');
/** The bits of a jump's opcode that say what it does. */
const OPERATION_MASK = 0xf0;
const PSEUDO_CALL = 1;
const PSEUDO_KFUNC_CALL = 2;
const PSEUDO_FUNC = 4;

function subprogram(start: number): DraftSubprogram {
  return {
    start,
    end: start,
    hasTailCall: false,
    hasLdAbs: false,
    tailCallReachable: false,
    stackDepth: 0,
  };
}

/**
 * The slot that a local call or function address at `idx` names, or `undefined` when it is neither. Fields that must be zero
 * are not asked: Linux looks at them only when a path comes there.
 */
export function calleeSlot({ slots }: Draft, idx: number): number | undefined {
  const { code, src, imm } = slots[idx]!;
  const form = FORMS[code]?.form;
  if (form === 'call' && src === PSEUDO_CALL) return idx + imm + 1;
  if (form === 'ldimm64' && src === PSEUDO_FUNC) return idx + imm + 1;
  return undefined;
}

export function findSubprograms(draft: Draft): Verdict {
  const { slots, count, environment } = draft;
  const starts = new Set([0]);
  for (let idx = 0; idx < count; idx++) {
    const target = calleeSlot(draft, idx);
    const kfunc = FORMS[slots[idx]!.code]?.form === 'call' && slots[idx]!.src === PSEUDO_KFUNC_CALL;
    if (target === undefined && !kfunc) continue;
    if (!environment.capabilities.bpf) {
      return {
        code: 'not-permitted',
        insn: idx,
        problem: 'loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN',
        reason: 'the caller has neither capability',
      };
    }
    if (target === undefined) {
      const refusal = checkKfunc(draft, idx);
      if (refusal) return refusal;
      continue;
    }
    if (target < 0 || target >= count) {
      return {
        code: 'bad-call-target',
        insn: idx,
        problem: 'call to invalid destination',
        reason: `the call names instruction ${target}, and the program has instructions 0 to ${count - 1}`,
      };
    }
    starts.add(target);
    if (starts.size > LIMITS.BPF_MAX_SUBPROGS) {
      return {
        code: 'too-many-subprograms',
        insn: idx,
        problem: 'too many subprograms',
        reason: `a program may have ${LIMITS.BPF_MAX_SUBPROGS}`,
        hint: 'let the compiler inline some functions (static inline, __always_inline)',
      };
    }
  }
  const handler = exceptionCallback(draft);
  if (typeof handler === 'object') return handler;
  if (handler !== undefined) starts.add(handler);
  draft.subprograms = [...starts].sort((a, b) => a - b).map(subprogram);
  for (const [i, sub] of draft.subprograms.entries()) sub.end = draft.subprograms[i + 1]?.start ?? count;
  if (handler !== undefined) draft.exceptionCallback = subprogramStarting(draft, handler);
  return undefined;
}

const HANDLER_TAG = 'exception_callback:';

/** Where the function starts that the entry function's BTF tags as the one to end exceptions in. */
function exceptionCallback({ input: { btf }, funcRecords, count }: Draft): number | Refusal | undefined {
  const main = funcRecords[0];
  if (btf === undefined || main === undefined) return undefined;
  const [tag, second] = declTags(btf, main.type).filter(
    ({ component, name }) => component === -1 && name.startsWith(HANDLER_TAG),
  );
  if (tag === undefined) return undefined;
  const refuse = (
    problem: string,
    reason: string,
    errno: 'EINVAL' | 'EEXIST' | 'ENOENT' = 'EINVAL',
  ): Refusal => ({
    code: 'bad-func-info',
    insn: 0,
    problem,
    reason,
    errno,
  });
  if (second !== undefined) {
    return refuse(
      'multiple exception callback tags for main subprog',
      'exceptions end in one function',
      'EEXIST',
    );
  }
  const name = tag.name.slice(HANDLER_TAG.length);
  const func = btf.find(name, 'func');
  if (func === undefined) {
    return refuse(
      `exception callback '${name}' could not be found in BTF`,
      'the tag names a function that is not there',
      'ENOENT',
    );
  }
  if (btf.typeOf(func, 'func').linkage !== 'global') {
    return refuse(
      `exception callback '${name}' must have global linkage`,
      'it is verified on its own, whatever it is called with',
    );
  }
  const record = funcRecords.find(({ type }) => type === func);
  if (record === undefined) {
    return refuse(
      `exception callback '${name}' could not be found in func_info`,
      'the function is not part of the program',
      'ENOENT',
    );
  }
  if (record.insn === 0) {
    return refuse('invalid exception callback insn_off in func_info: 0', 'the entry function cannot be it');
  }
  if (record.insn >= count) {
    return refuse(
      'call to invalid destination',
      `function info names instruction ${record.insn}, behind the end`,
    );
  }
  return record.insn;
}

export function checkSubprograms(draft: Draft): Verdict {
  for (const sub of draft.subprograms) {
    const refusal = checkSubprogram(draft, sub);
    if (refusal) return refusal;
  }
  return undefined;
}

function checkSubprogram({ slots }: Draft, sub: DraftSubprogram): Refusal | undefined {
  for (let idx = sub.start; idx < sub.end; idx++) {
    const { code, src, off, imm } = slots[idx]!;
    const form = FORMS[code]?.form;
    if (form === 'call' && src === 0 && imm === TAIL_CALL) sub.hasTailCall = true;
    if (form === 'ld_abs' || form === 'ld_ind') sub.hasLdAbs = true;
    const cls = code & CLASS_MASK;
    const operation = code & OPERATION_MASK;
    // By the operation alone: what is no instruction at all is found later.
    const jumps =
      (cls === CLASS.jmp || cls === CLASS.jmp32) && operation !== EXIT_CODE && operation !== CALL_CODE;
    if (jumps) {
      const target = idx + 1 + (form === 'ja' && cls === CLASS.jmp32 ? imm : off);
      if (target < sub.start || target >= sub.end) {
        return {
          code: 'jump-out-of-range',
          insn: idx,
          problem: `jump out of range from insn ${idx} to ${target}`,
          reason: `the function is instructions ${sub.start} to ${sub.end - 1}, and a jump must stay inside it`,
        };
      }
    }
    if (idx === sub.end - 1 && form !== 'exit' && form !== 'ja') {
      return {
        code: 'falls-off-the-end',
        insn: idx,
        problem: 'last insn is not an exit or jmp',
        reason: `after instruction ${idx} the function's end is reached without an exit`,
      };
    }
  }
  return undefined;
}
