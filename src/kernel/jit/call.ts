/** Calls: of subprograms, of helpers (inlined where they are a few instructions), tail calls and loops of callbacks. */
import { unreachable } from '../../base/error.ts';
import type { Insn, Reg } from '../../isa/index.ts';
import { errnoId } from '../../sys/errno.ts';
import { LIMITS } from '../../sys/limits.ts';
import { CODE_BASE } from '../interpreter/executable.ts';
import { writes } from '../interpreter/registers.ts';
import type { FunctionWriter } from './function.ts';
import { writeHostCall, writeNativeCall } from './host-call.ts';
import { AREA, FRAME, type Lowering } from './unit.ts';
import { OP, TYPE } from './wasm/opcodes.ts';

/** Most rounds of `bpf_loop`. @see include/linux/bpf.h, BPF_MAX_LOOPS */
const MAX_ROUNDS = 8 * 1024 * 1024;

export function writeCall(f: FunctionWriter, { target }: Extract<Insn, { kind: 'call' }>, slot: number) {
  switch (target.kind) {
    case 'local':
      return writeLocalCall(f, slot, slot + 1 + target.off);
    case 'helper':
      return writeLowering(f, f.unit.helper(slot, target.id), slot);
    case 'reg':
      if (!f.unit.register) return f.abort(slot);
      f.getLow(target.reg);
      writeHostCall(f, f.unit.register, false);
      return f.set(0);
    case 'kfunc': {
      const lowering = f.unit.kfunc?.(slot, target.btfId);
      return lowering ? writeLowering(f, lowering, slot) : f.abort(slot);
    }
    default:
      return unreachable(target);
  }
}

/** Leaves the frame pointer of what is called. */
function calleeFrame(f: FunctionWriter) {
  f.framePointer();
  f.i32(FRAME);
  f.op(OP.i32_sub);
}

function writeLocalCall(f: FunctionWriter, slot: number, start: number) {
  const callee = f.scope.func(start);
  if (!callee) return f.abort(slot);
  calleeFrame(f);
  for (let reg = 1; reg <= callee.params; reg++) {
    if (callee.narrow) f.getLow(reg as Reg);
    else f.get(reg as Reg);
  }
  f.call(callee.index);
  f.set(0);
}

function writeLowering(f: FunctionWriter, lowering: Lowering, slot: number) {
  switch (lowering.kind) {
    case 'host':
      writeHostCall(f, lowering);
      return f.set(0);
    case 'native':
      writeNativeCall(f, lowering);
      return f.set(0);
    case 'element':
      writeElement(f, lowering);
      return f.set(0);
    case 'cpu':
      if (f.unit.cpus === 1) f.i64(0);
      else writeCpu(f);
      return f.set(0);
    case 'constant':
      f.i64Big(lowering.value);
      return f.set(0);
    case 'tail_call':
      f.getLow(3);
      f.i32(lowering.count);
      f.op(OP.i32_lt_u);
      f.if();
      f.getLow(3);
      f.i32(2);
      f.op(OP.i32_shl);
      f.op(OP.i32_load);
      f.memarg(lowering.slots);
      writeTailCall(f);
      f.op(OP.end);
      f.i64(-errnoId('ENOENT'));
      return f.set(0);
    case 'tail_call_any':
      writeHostCall(f, lowering.find);
      f.op(OP.i32_wrap_i64);
      writeTailCall(f);
      f.i64(-errnoId('ENOENT'));
      return f.set(0);
    case 'loop':
      writeLoop(f, slot);
      return f.set(0);
    case 'unsupported':
      return f.abort(slot);
    default:
      return unreachable(lowering);
  }
}

/** Leaves the current CPU's number, as an i64. */
function writeCpu(f: FunctionWriter) {
  f.globalGet(f.scope.area);
  f.op(OP.i64_load32_u);
  f.memarg(AREA.cpu);
}

function writeElement(f: FunctionWriter, element: Extract<Lowering, { kind: 'element' }>) {
  const { base, stride, count, cpuStride, index: constant } = element;
  const perCpu = cpuStride !== 0 && f.unit.cpus > 1;
  if (constant !== undefined && !perCpu) {
    f.i64Big(constant < count ? BigInt(base + constant * stride) : 0n);
    return;
  }
  const index = f.named('index', 'i64');
  f.getLow(2);
  f.op(OP.i64_load32_u);
  f.memarg(0);
  f.localTee(index);
  f.i64Big(BigInt(count));
  f.op(OP.i64_lt_u);
  f.if(TYPE.i64);
  f.localGet(index);
  f.i64Big(BigInt(stride));
  f.op(OP.i64_mul);
  f.i64Big(BigInt(base));
  f.op(OP.i64_add);
  if (perCpu) {
    writeCpu(f);
    f.i64Big(BigInt(cpuStride));
    f.op(OP.i64_mul);
    f.op(OP.i64_add);
  }
  f.op(OP.else);
  f.i64(0);
  f.op(OP.end);
}

/** Goes on in the function that the table index on the stack names, if it names one and the limit is not reached. */
function writeTailCall(f: FunctionWriter) {
  const target = f.named('target', 'i32');
  const count = f.named('tail calls', 'i32');
  f.localTee(target);
  f.if();
  f.globalGet(f.scope.area);
  f.op(OP.i32_load);
  f.memarg(AREA.tailCalls);
  f.localTee(count);
  f.i32(LIMITS.MAX_TAIL_CALL_CNT);
  f.op(OP.i32_lt_u);
  f.if();
  f.globalGet(f.scope.area);
  f.localGet(count);
  f.i32(1);
  f.op(OP.i32_add);
  f.op(OP.i32_store);
  f.memarg(AREA.tailCalls);
  f.framePointer();
  f.getLow(1);
  f.localGet(target);
  f.op(OP.return_call_indirect);
  f.out.u32(f.scope.entryType);
  f.out.u32(0);
  f.op(OP.end);
  f.op(OP.end);
}

/** Leaves the number of rounds, or a negative errno. */
function writeLoop(f: FunctionWriter, slot: number) {
  const round = f.named('round', 'i64');
  const most = f.named('rounds', 'i64');
  f.get(4);
  f.op(OP.i64_eqz);
  f.if(TYPE.i64);
  f.getLow(1);
  f.op(OP.i64_extend_i32_u);
  f.localTee(most);
  f.i64(MAX_ROUNDS);
  f.op(OP.i64_le_u);
  f.if(TYPE.i64);
  f.i64(0);
  f.localSet(round);
  f.op(OP.block);
  f.op(TYPE.none);
  f.op(OP.loop);
  f.op(TYPE.none);
  f.localGet(round);
  f.localGet(most);
  f.op(OP.i64_ge_u);
  f.op(OP.br_if);
  f.out.u32(1);
  writeRound(f, slot, round);
  f.localGet(round);
  f.i64(1);
  f.op(OP.i64_add);
  f.localSet(round);
  f.op(OP.i64_eqz);
  f.op(OP.br_if);
  f.out.u32(0);
  f.op(OP.end);
  f.op(OP.end);
  f.localGet(round);
  f.op(OP.else);
  // As Linux writes it into the program: with 32 bits.
  f.i64Big(BigInt.asUintN(32, BigInt(-errnoId('E2BIG'))));
  f.op(OP.end);
  f.op(OP.else);
  f.i64(-errnoId('EINVAL'));
  f.op(OP.end);
}

/** Leaves what the callback returns. */
function writeRound(f: FunctionWriter, slot: number, round: number) {
  calleeFrame(f);
  const known = callbackSlot(f, slot);
  const callee = known === undefined ? undefined : f.scope.func(known);
  if (callee && !callee.narrow) {
    const args = [() => f.localGet(round), () => f.get(3)];
    for (let i = 0; i < callee.params; i++) (args[i] ?? (() => f.i64(0)))();
    f.call(callee.index);
    return;
  }
  f.localGet(round);
  f.get(3);
  for (let i = 0; i < 3; i++) f.i64(0);
  f.get(2);
  f.i64Big(BigInt.asIntN(64, CODE_BASE));
  f.op(OP.i64_sub);
  f.i64(3);
  f.op(OP.i64_shr_u);
  f.op(OP.i32_wrap_i64);
  f.op(OP.call_indirect);
  f.out.u32(f.scope.callbackType);
  f.out.u32(f.scope.functions);
}

/** The function whose address r2 was given before the call, in the same block. */
function callbackSlot(f: FunctionWriter, slot: number): number | undefined {
  for (let at = slot - 1; at >= f.blockFirst; at--) {
    const insn = f.unit.insns[at];
    if (insn === undefined) continue;
    if (insn.kind === 'ldimm64' && insn.dst === 2) {
      return insn.imm.kind === 'func' ? at + 1 + insn.imm.off : undefined;
    }
    if (insn.kind === 'call' || (writes(insn) & (1 << 2)) !== 0) return undefined;
  }
  return undefined;
}
