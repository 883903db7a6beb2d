/** Conditional jumps: which ways are possible, and what each way teaches about the registers. */
import type { Insn, JmpOp } from '../../../isa/insn.ts';
import { type Contradiction, decide, refineBoth, refineSame } from '../value/branch.ts';
import { Scalar } from '../value/scalar.ts';
import { markRegPrecise } from './backtrack.ts';
import { changeRegs } from './each-reg.ts';
import type { Explorer } from './explorer.ts';
import type { LinkedReg } from './history.ts';
import { reportContradiction } from './invariants.ts';
import { collectLinked, syncLinked } from './linked.ts';
import { markNullRegs, notNull, pointerIsNotNull } from './nullness.ts';
import { MAX_PACKET_OFF, type RegState, scalarReg } from './reg.ts';
import {
  baseType,
  mayBeNull,
  PTR_TO_BTF_ID,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
  PTR_TO_STACK,
  SCALAR,
} from './reg-type.ts';
import { isPointer, readReg } from './regs.ts';
import type { VerifierState } from './state.ts';

/** A packet pointer that was found to be at the packet's end, or behind it. */
const AT_PKT_END = -1;
const BEYOND_PKT_END = -2;

type Jmp = Insn & { readonly kind: 'jmp' };

/** The same comparison with its operands exchanged. */
const FLIPPED: Readonly<Record<JmpOp, JmpOp>> = {
  jeq: 'jeq',
  jne: 'jne',
  jset: 'jset',
  jgt: 'jlt',
  jlt: 'jgt',
  jge: 'jle',
  jle: 'jge',
  jsgt: 'jslt',
  jslt: 'jsgt',
  jsge: 'jsle',
  jsle: 'jsge',
};

export function checkJmp(ex: Explorer, insn: Jmp): void {
  const frame = ex.state.frame();
  readReg(ex, insn.dst);
  const dst = frame.reg(insn.dst);
  let src: RegState;
  if (insn.src.kind === 'reg') {
    const { reg } = insn.src;
    readReg(ex, reg);
    src = frame.reg(reg);
    const packets = isPacketPointer(dst) && isPacketPointer(src);
    if (!packets && isPointer(ex.caps.allowPtrLeaks, src)) prohibited(ex, reg);
  } else {
    src = scalarReg(Scalar.knownImm(insn.src.imm));
  }
  const dstIsStack = dst.type === PTR_TO_STACK;
  const srcIsStack = src.type === PTR_TO_STACK;
  if (dstIsStack || srcIsStack) ex.pushHistory({ dstIsStack, srcIsStack });

  const aux = ex.aux[ex.insnIdx]!;
  const target = ex.insnIdx + insn.off + 1;
  const next = ex.insnIdx + 1;
  const taken = branchTaken(insn, dst, src);
  if (taken !== undefined) {
    if (!isPointer(false, dst)) markRegPrecise(ex, insn.dst);
    if (insn.src.kind === 'reg' && !isPointer(false, src)) markRegPrecise(ex, insn.src.reg);
    if (!ex.caps.bypassSpecV1) mispredict(ex, insn, taken ? next : target);
    ex.log.insnState(ex);
    if (taken) aux.taken = true;
    else aux.fellThrough = true;
    ex.insnIdx = taken ? target : next;
    return;
  }
  aux.taken = true;
  aux.fellThrough = true;

  const linked: LinkedReg[] = [];
  if (insn.src.kind === 'reg' && src.type === SCALAR && src.id !== 0) collectLinked(ex, src.id, linked);
  if (dst.type === SCALAR && dst.id !== 0) collectLinked(ex, dst.id, linked);
  if (linked.length > 1) ex.pushHistory({ linked });

  const other = ex.fork(target, ex.insnIdx);
  learn(ex, insn, other, linked);
  ex.log.insnState(ex);
  ex.insnIdx = next;
}

/** What both ways teach; `ex.state` falls through and `other` jumps. */
function learn(ex: Explorer, insn: Jmp, other: VerifierState, linked: readonly LinkedReg[]): void {
  const { op, width } = insn;
  const here = ex.state;
  const frame = here.frame();
  const otherFrame = other.frame();
  const dst = frame.reg(insn.dst);
  const srcNo = insn.src.kind === 'reg' ? insn.src.reg : undefined;
  const src =
    srcNo === undefined ? scalarReg(Scalar.knownImm((insn.src as { imm: number }).imm)) : frame.reg(srcNo);

  if (dst.type === SCALAR && srcNo === insn.dst) {
    const ways = refineSame(op, width, dst.scalar, contradictions);
    frame.own(insn.dst).scalar = ways.fallthrough;
    otherFrame.own(insn.dst).scalar = ways.taken;
  } else if (dst.type === SCALAR && src.type === SCALAR) {
    const ways = refineBoth(op, width, dst.scalar, src.scalar, contradictions);
    frame.own(insn.dst).scalar = ways.fallthrough[0];
    otherFrame.own(insn.dst).scalar = ways.taken[0];
    if (srcNo !== undefined) {
      frame.own(srcNo).scalar = ways.fallthrough[1];
      otherFrame.own(srcNo).scalar = ways.taken[1];
      if (src.id !== 0) {
        syncLinked(here, frame.reg(srcNo), linked);
        syncLinked(other, otherFrame.reg(srcNo), linked);
      }
    }
  }
  if (contradictions.length > 0) reportAll(ex);
  if (dst.type === SCALAR && dst.id !== 0) {
    syncLinked(here, frame.reg(insn.dst), linked);
    syncLinked(other, otherFrame.reg(insn.dst), linked);
  }
  if (srcNo !== undefined && width === 64) learnNullness(op, here, other, insn.dst, srcNo, dst, src);

  const againstZero = src.type === SCALAR && src.scalar.isConstValue(0, 0);
  if (width === 64 && (op === 'jeq' || op === 'jne') && mayBeNull(dst.type) && againstZero) {
    markNullRegs(here, insn.dst, op === 'jne');
    markNullRegs(other, insn.dst, op === 'jeq');
    return;
  }
  const matched =
    srcNo !== undefined && width === 64 && matchPackets(op, here, other, insn.dst, srcNo, dst, src);
  if (!matched && isPointer(ex.caps.allowPtrLeaks, frame.reg(insn.dst))) prohibited(ex, insn.dst);
}

/** Filled and emptied by each comparison. */
const contradictions: Contradiction[] = [];

function reportAll(ex: Explorer): void {
  for (const { way, operand, scalar } of contradictions.splice(0)) {
    reportContradiction(ex, scalar, `${way === 'taken' ? 'true' : 'false'}_reg${operand}`);
  }
}

/** Equal to a pointer that is not null is not null; BTF pointers may be null without being marked so. */
function learnNullness(
  op: JmpOp,
  here: VerifierState,
  other: VerifierState,
  dstNo: number,
  srcNo: number,
  dst: RegState,
  src: RegState,
): void {
  if (!isPointer(false, dst) || !isPointer(false, src)) return;
  if (mayBeNull(dst.type) === mayBeNull(src.type)) return;
  if (baseType(dst.type) === PTR_TO_BTF_ID || baseType(src.type) === PTR_TO_BTF_ID) return;
  const equal = op === 'jeq' ? other : op === 'jne' ? here : undefined;
  if (equal === undefined) return;
  const regno = mayBeNull(src.type) ? srcNo : dstNo;
  const frame = equal.frame();
  frame.regs[regno] = notNull(frame.reg(regno));
}

function prohibited(ex: Explorer, regno: number): never {
  ex.refuse('pointer-comparison', `R${regno} pointer comparison prohibited`, {
    reason: 'an unprivileged program must not learn where things are in the kernel',
    errno: 'EACCES',
  });
}

/** Explores what the processor may do before it knows which way the jump goes. */
function mispredict(ex: Explorer, insn: Jmp, idx: number): void {
  const frame = ex.fork(idx, ex.insnIdx, true).frame();
  frame.regs[insn.dst] = scalarReg();
  if (insn.src.kind === 'reg') frame.regs[insn.src.reg] = scalarReg();
}

function isPacketPointer(reg: RegState): boolean {
  return reg.type === PTR_TO_PACKET || reg.type === PTR_TO_PACKET_META || reg.type === PTR_TO_PACKET_END;
}

function isConst(reg: RegState, width: 32 | 64): boolean {
  return reg.type === SCALAR && (width === 64 ? reg.scalar.isConst : reg.scalar.isConst32);
}

/** The way that the jump must go; `undefined` when both are possible. */
function branchTaken(insn: Jmp, dst: RegState, src: RegState): boolean | undefined {
  const { width } = insn;
  if (width === 64 && isPacketPointer(dst) && isPacketPointer(src)) return packetTaken(insn.op, dst, src);
  const swap = !isConst(src, width);
  const [a, b] = swap ? [src, dst] : [dst, src];
  const op = swap ? FLIPPED[insn.op] : insn.op;
  if (isPointer(false, a)) {
    const zero = isConst(b, width) && (width === 64 ? b.scalar.isConstValue(0, 0) : b.scalar.valueLo === 0);
    if (!zero || !pointerIsNotNull(a)) return undefined;
    return op === 'jeq' ? false : op === 'jne' ? true : undefined;
  }
  if (a.type !== SCALAR || b.type !== SCALAR) return undefined;
  return decide(op, width, a.scalar, b.scalar);
}

function packetTaken(op: JmpOp, dst: RegState, src: RegState): boolean | undefined {
  const flip = src.type !== PTR_TO_PACKET_END;
  if (flip && dst.type !== PTR_TO_PACKET_END) return undefined;
  const range = flip ? src.range : dst.range;
  if (range >= 0) return undefined;
  const seen = flip ? FLIPPED[op] : op;
  if (seen === 'jle' || seen === 'jgt') return range === BEYOND_PKT_END ? seen === 'jgt' : undefined;
  if (seen === 'jlt' || seen === 'jge') return seen === 'jge';
  return undefined;
}

/** The start of the packet, as the context gave it. */
function isPacketStart(reg: RegState): boolean {
  return reg.type === PTR_TO_PACKET && reg.id === 0 && reg.off === 0 && reg.scalar.isConstValue(0, 0);
}

/**
 * Comparisons of a pointer into the packet (or into its metadata) with the end (of the metadata: the packet's start):
 * on the way where the pointer is not behind the end, the bytes before it may be accessed.
 *
 * @returns whether it was such a comparison
 */
function matchPackets(
  op: JmpOp,
  here: VerifierState,
  other: VerifierState,
  dstNo: number,
  srcNo: number,
  dst: RegState,
  src: RegState,
): boolean {
  const isEnd = (pointer: RegState, end: RegState) =>
    (pointer.type === PTR_TO_PACKET && end.type === PTR_TO_PACKET_END) ||
    (pointer.type === PTR_TO_PACKET_META && isPacketStart(end));
  const forward = isEnd(dst, src);
  if (!forward && !isEnd(src, dst)) return false;
  const pointer = forward ? dst : src;
  const regno = forward ? dstNo : srcNo;
  // As a comparison of the pointer with the end, whichever stands on the left.
  switch (forward ? op : FLIPPED[op]) {
    case 'jgt':
      growRange(here, pointer, false);
      markEnd(other, regno, BEYOND_PKT_END);
      return true;
    case 'jlt':
      growRange(other, pointer, true);
      markEnd(here, regno, AT_PKT_END);
      return true;
    case 'jge':
      growRange(here, pointer, true);
      markEnd(other, regno, AT_PKT_END);
      return true;
    case 'jle':
      growRange(other, pointer, false);
      markEnd(here, regno, BEYOND_PKT_END);
      return true;
    default:
      return false;
  }
}

/** The bytes before `pointer` are inside the packet; with `open`, the one at it too. */
function growRange(state: VerifierState, pointer: RegState, open: boolean): void {
  if (pointer.off < 0 || (pointer.off === 0 && open)) return;
  const { scalar } = pointer;
  if (scalar.umaxHi !== 0 || scalar.umaxLo >>> 0 > MAX_PACKET_OFF) return;
  if ((scalar.umaxLo >>> 0) + pointer.off > MAX_PACKET_OFF) return;
  const range = pointer.off + (open ? 1 : 0);
  changeRegs(state, (reg) => {
    if (reg.type !== pointer.type || reg.id !== pointer.id || reg.range >= range) return reg;
    const copy = reg.clone();
    copy.range = range;
    return copy;
  });
}

function markEnd(state: VerifierState, regno: number, range: number): void {
  const frame = state.frame();
  if (frame.reg(regno).type === PTR_TO_PACKET) frame.own(regno).range = range;
}
