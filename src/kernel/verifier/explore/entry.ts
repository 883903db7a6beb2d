/**
 * Where verification starts: the entry function with the program type's context, and each global function that some
 * path calls with whatever its BTF allows callers to pass.
 */
import { PROG_LOAD_FLAGS } from '../../../sys/flags.ts';
import { Scalar } from '../value/scalar.ts';
import { initialReferences } from './btf-context.ts';
import type { Explorer } from './explorer.ts';
import { FP, Frame } from './frame.ts';
import { type FuncArg, type FuncArgs, funcArgs } from './func-args.ts';
import { JumpHistory } from './history.ts';
import { dynptrReg, pointerReg, type RegState, scalarReg } from './reg.ts';
import {
  DYNPTR_TYPE_LOCAL,
  MEM_RDONLY,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_CTX,
  PTR_TO_MEM,
  PTR_TO_STACK,
  PTR_TRUSTED,
  PTR_UNTRUSTED,
} from './reg-type.ts';
import { VerifierState } from './state.ts';

/** Callsite of a frame that nothing of the program called. */
const NO_CALLSITE = -1;

/** Explores the entry function, then the global functions that it leads to, until every one is verified. */
export function exploreProgram(ex: Explorer): void {
  exploreFunction(ex, 0);
  const { subprograms, exceptionCallback, input } = ex.draft;
  if (input.funcInfo === undefined) return;
  if (exceptionCallback !== undefined) subprograms[exceptionCallback]!.called = true;
  const verified = new Set<number>();
  for (let found = true; found; ) {
    found = false;
    for (const [subprog, { called, name }] of subprograms.entries()) {
      if (subprog === 0 || !called || !ex.isGlobalSubprog(subprog) || verified.has(subprog)) continue;
      exploreFunction(ex, subprog);
      if (ex.log.wantsPath) {
        ex.log.write(`Func#${subprog} ('${name}') is safe for any args that match its prototype\n`);
      }
      verified.add(subprog);
      found = true;
    }
  }
}

function exploreFunction(ex: Explorer, subprog: number): void {
  const { start } = ex.draft.subprograms[subprog]!;
  const state = new VerifierState(new JumpHistory());
  const frame = new Frame(NO_CALLSITE, 0, subprog);
  const top = pointerReg(PTR_TO_STACK);
  frame.regs[FP] = top;
  state.frames.push(frame);
  state.inSleepable = (ex.draft.input.flags & PROG_LOAD_FLAGS.BPF_F_SLEEPABLE) !== 0;
  state.firstInsnIdx = start;
  state.lastInsnIdx = -1;
  ex.restart(state, start);
  if (subprog === 0 && ex.draft.input.type !== 'ext') setContext(ex, frame);
  else setArguments(ex, frame, subprog);
  if (subprog === 0) state.refs = initialReferences(ex);
  ex.explore();
  // What succeeded is of no interest below level 2.
  ex.log.rewind(0);
}

/** r1 of the entry function points to the context, whatever BTF says of it. */
function setContext(ex: Explorer, frame: Frame): void {
  const sub = ex.draft.subprograms[0]!;
  if (sub.btfFunc !== undefined) {
    const found = funcArgs(ex, 0);
    const plain = 'args' in found && found.args.length === 1 && found.args[0]!.kind === 'ctx';
    if (!plain) sub.unreliable = true;
  }
  frame.regs[1] = pointerReg(PTR_TO_CTX);
}

function setArguments(ex: Explorer, frame: Frame, subprog: number): void {
  const { name = '' } = ex.draft.subprograms[subprog]!;
  if (ex.log.wantsPath) ex.log.write(`Validating ${name}() func#${subprog}...\n`);
  const found = funcArgs(ex, subprog);
  if (!('args' in found)) refuseSignature(ex, name, found);
  if (subprog === ex.draft.exceptionCallback) {
    frame.kind = 'exception_callback';
    if (found.args.length !== 1 || found.args[0]!.kind !== 'scalar') {
      ex.refuse('bad-func-argument', 'exception cb only supports single integer argument', {
        reason: `${name}() is called with the number that bpf_throw() was given`,
        hint: `declare it as int ${name}(u64 cookie)`,
      });
    }
  }
  for (const [i, arg] of found.args.entries()) frame.regs[i + 1] = argument(ex, arg);
}

function refuseSignature(
  ex: Explorer,
  name: string,
  found: Exclude<FuncArgs, { readonly args: unknown }>,
): never {
  ex.refuse('bad-func-argument', `the arguments of ${name}() can't be verified`, {
    reason:
      'a global function is verified for every argument that its BTF allows, so each must have a type that says enough',
    hint: `make ${name}() static, or give it arguments that are numbers, the context, or pointers to types of known size`,
    errno: found.failed === 'bad' ? 'EFAULT' : 'EINVAL',
    logged: true,
  });
}

function argument(ex: Explorer, arg: FuncArg): RegState {
  const maybeNull = arg.nullable ? PTR_MAYBE_NULL : 0;
  switch (arg.kind) {
    case 'ctx':
      return pointerReg(PTR_TO_CTX);
    case 'scalar':
    // A caller may pass an arena pointer or a number.
    case 'arena':
      return scalarReg(Scalar.UNKNOWN);
    case 'dynptr':
      return dynptrReg({ type: DYNPTR_TYPE_LOCAL, firstSlot: true }, ex.newId(), 0);
    case 'mem': {
      const reg = pointerReg(PTR_TO_MEM | maybeNull | (arg.untrusted ? PTR_UNTRUSTED | MEM_RDONLY : 0));
      reg.memSize = arg.memSize;
      if (arg.nullable) reg.id = ex.newId();
      return reg;
    }
    case 'btf_id': {
      const trust = arg.untrusted ? PTR_UNTRUSTED : arg.trusted ? PTR_TRUSTED : 0;
      const reg = pointerReg(PTR_TO_BTF_ID | maybeNull | trust);
      reg.btf = ex.draft.environment.kernelBtf ?? null;
      reg.btfId = arg.btfId;
      reg.id = ex.newId();
      return reg;
    }
  }
}
