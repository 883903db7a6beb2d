/**
 * Arithmetic of programs without CAP_PERFMON. A processor may run ahead with an offset that a bounds check is about to
 * refuse, so offsets are masked to the object's bounds when the program is rewritten; here the limits of the mask are
 * found, and what the mask makes of a wrong offset is explored as a path of its own.
 *
 * @see Documentation/admin-guide/hw-vuln/spectre.rst
 */
import type { Insn } from '../../../isa/insn.ts';
import { formatBits } from '../value/print.ts';
import type { Scalar } from '../value/scalar.ts';
import { checkMapBounds } from './access-map.ts';
import type { Explorer } from './explorer.ts';
import { MAX_STACK } from './frame.ts';
import type { RegState } from './reg.ts';
import { PTR_TO_MAP_VALUE, PTR_TO_STACK } from './reg-type.ts';

type Binary = Extract<Insn, { kind: 'alu' }>;

/** What the mask is applied to. @see include/linux/bpf_verifier.h, BPF_ALU_* */
const SANITIZE_SRC = 1;
const SANITIZE_DST = 2;
const NEG_VALUE = 4;
const NON_POINTER = 8;
const IMMEDIATE = 16;

/** The mask of one pointer addition before it is known how far the pointer moved. */
export interface MaskLimit {
  readonly state: number;
  readonly limit: number;
  readonly toLeft: boolean;
}

function canSkip(ex: Explorer, insn: Binary): boolean {
  return ex.caps.bypassSpecV1 || insn.src.kind === 'imm' || ex.aux[ex.insnIdx]!.nospec;
}

/** An addition of scalars must be one on every path: elsewhere it could be of a pointer, which wants a mask. */
export function sanitizeScalarAlu(ex: Explorer, insn: Binary): void {
  if (canSkip(ex, insn)) return;
  keep(ex, insn, NON_POINTER, 0);
}

/** Remembers how the instruction is masked; every path must agree. */
function keep(ex: Explorer, insn: Binary, state: number, limit: number): void {
  const aux = ex.aux[ex.insnIdx]!;
  if (aux.aluState !== 0 && (aux.aluState !== state || aux.aluLimit !== limit)) {
    const verb = insn.op === 'add' ? 'add' : 'sub';
    prohibited(ex, `R${insn.dst} tried to ${verb} from different maps, paths or scalars`);
  }
  aux.aluState = state;
  aux.aluLimit = limit;
}

function prohibited(ex: Explorer, problem: string): never {
  ex.refuse('speculative-access', `${problem}, pointer arithmetic with it prohibited for !root`, {
    reason: 'the processor may run ahead with a wrong offset, and no mask would keep it inside the object',
    hint: 'load the program with CAP_PERFMON, or make the offset a constant',
  });
}

/**
 * Before the addition: finds the mask, and puts the path aside on which the mask made the offset zero.
 *
 * @returns what {@link sanitizedLimit} completes, or `undefined` when there is nothing to mask
 */
export function sanitizePointerAlu(
  ex: Explorer,
  insn: Binary,
  ptr: RegState,
  off: Scalar,
  pointerIsDst: boolean,
): MaskLimit | undefined {
  if (canSkip(ex, insn)) return undefined;
  let mask: MaskLimit | undefined;
  if (!ex.state.speculative) {
    const negative = off.sminHi < 0;
    if (!off.isConst && negative !== off.smaxHi < 0) {
      const regno = pointerIsDst && insn.src.kind === 'reg' ? insn.src.reg : insn.dst;
      prohibited(ex, `R${regno} has unknown scalar with mixed signed bounds`);
    }
    const toLeft = (insn.op === 'add') === negative;
    const limit = pointerLimit(ex, insn, ptr, toLeft, pointerIsDst);
    let state = pointerIsDst ? SANITIZE_SRC : SANITIZE_DST;
    if (negative) state |= NEG_VALUE;
    if (off.isConst) state |= IMMEDIATE;
    else ex.exactScalars = true;
    mask = { state, limit, toLeft };
  }
  if (!off.isConst) {
    const frame = ex.fork(ex.insnIdx + 1, ex.insnIdx, true).frame();
    // The addition has begun: 32-bit ranges of the pointer are forgotten already.
    if (pointerIsDst) frame.own(insn.dst).scalar = without32(ptr.scalar);
  }
  return mask;
}

/** Pointers keep no 32-bit ranges. */
export function without32(scalar: Scalar): Scalar {
  const copy = scalar.copy();
  copy.unbound32();
  return copy;
}

/** After the addition: the mask is as wide as the pointer moved. */
export function sanitizedLimit(ex: Explorer, insn: Binary, result: RegState, mask: MaskLimit): void {
  const limit = pointerLimit(ex, insn, result, mask.toLeft, true);
  keep(ex, insn, mask.state, Math.abs(mask.limit - limit));
}

/** Bytes that the pointer may be moved by to the left or to the right. */
function pointerLimit(
  ex: Explorer,
  insn: Binary,
  ptr: RegState,
  toLeft: boolean,
  pointerIsDst: boolean,
): number {
  let max: number;
  let limit: number;
  const { scalar } = ptr;
  switch (ptr.type) {
    case PTR_TO_STACK:
      max = MAX_STACK + (toLeft ? 1 : 0);
      limit = -(scalar.valueLo + ptr.off) >>> 0;
      break;
    case PTR_TO_MAP_VALUE:
      max = ptr.map!.valueSize;
      limit = ((toLeft ? scalar.sminLo : scalar.umaxLo) + ptr.off) >>> 0;
      break;
    default: {
      const regno = !pointerIsDst && insn.src.kind === 'reg' ? insn.src.reg : insn.dst;
      prohibited(ex, `R${regno} has pointer with unsupported alu operation`);
    }
  }
  if (limit >= max) {
    prohibited(ex, `R${insn.dst} tried to ${insn.op === 'add' ? 'add' : 'sub'} beyond pointer bounds`);
  }
  return limit;
}

/** Where the pointer may be after the addition must be inside its object, else no mask could keep it there. */
export function checkSanitizedBounds(ex: Explorer, regno: number, result: RegState): void {
  const { scalar } = result;
  if (result.type === PTR_TO_STACK) {
    const off = result.off + scalar.valueLo;
    if (!scalar.isConst) {
      ex.refuse(
        'speculative-access',
        `R${regno} variable stack access prohibited for !root, var_off=${formatBits(scalar)} off=${off}`,
        { reason: 'stack offsets of unprivileged programs must be constants' },
      );
    }
    if (off >= 0 || off < -MAX_STACK) {
      const problem = `R${regno} stack pointer arithmetic goes out of range, prohibited for !root; off=${off}`;
      ex.refuse('speculative-access', problem, { reason: 'the pointer would leave the stack' });
    }
  } else if (result.type === PTR_TO_MAP_VALUE) {
    checkMapBounds(
      ex,
      regno,
      result,
      result.off,
      1,
      `R${regno} pointer arithmetic of map value goes out of range, prohibited for !root`,
    );
  }
}
