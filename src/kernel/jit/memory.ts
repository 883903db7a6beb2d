/** Loads, stores and atomic operations. No access is checked: the verifier proved them. */
import type { Insn, Reg, Size } from '../../isa/index.ts';
import { swap16, swap32 } from './alu.ts';
import { writeArenaAtomic, writeArenaStore, writeIndirectLoad } from './arena.ts';
import { writeContextLoad, writeContextStore } from './context.ts';
import type { FunctionWriter } from './function.ts';
import { writeHostCall } from './host-call.ts';
import { ATOMIC, ATOMIC_RMW, OP, TYPE } from './wasm/opcodes.ts';

export const LOAD: Readonly<Record<Size, number>> = {
  1: OP.i64_load8_u,
  2: OP.i64_load16_u,
  4: OP.i64_load32_u,
  8: OP.i64_load,
};
const LOAD_SIGNED: Readonly<Record<Size, number>> = {
  1: OP.i64_load8_s,
  2: OP.i64_load16_s,
  4: OP.i64_load32_s,
  8: OP.i64_load,
};
export const STORE: Readonly<Record<Size, number>> = {
  1: OP.i64_store8,
  2: OP.i64_store16,
  4: OP.i64_store32,
  8: OP.i64_store,
};
const LOAD_ATOMIC: Readonly<Record<Size, number>> = {
  1: ATOMIC.i64_load8_u,
  2: ATOMIC.i64_load16_u,
  4: ATOMIC.i64_load32_u,
  8: ATOMIC.i64_load,
};
const STORE_ATOMIC: Readonly<Record<Size, number>> = {
  1: ATOMIC.i64_store8,
  2: ATOMIC.i64_store16,
  4: ATOMIC.i64_store32,
  8: ATOMIC.i64_store,
};
const ALIGN: Readonly<Record<Size, number>> = { 1: 0, 2: 1, 4: 2, 8: 3 };
/** Below it no memory is mapped. */
const FIRST_PAGE = 4096;

export function writeLoad(
  f: FunctionWriter,
  insn: Extract<Insn, { kind: 'ldx' | 'load_acquire' }>,
  slot: number,
) {
  const { size, dst, src, off } = insn;
  const through = f.unit.proofs.get(slot)?.access;
  if (through === 'ctx' && f.unit.context) {
    const place = f.unit.context.read(off, size);
    if (!place) return f.abort(slot);
    writeContextLoad(f, place, src, size, insn.kind === 'ldx' && insn.signed);
    return f.set(dst);
  }
  if (through === 'sock') {
    const place = f.unit.socket?.read(off, size);
    if (!place) return f.abort(slot);
    writeContextLoad(f, place, src, size, insn.kind === 'ldx' && insn.signed);
    return f.set(dst);
  }
  if (through === 'map' || through === 'arena') {
    const signed = insn.kind === 'ldx' && insn.signed;
    return writeIndirectLoad(f, through, { size, dst, src, off, signed }, slot);
  }
  if (through === 'btf_id' || through === 'untrusted') return writeCarefulLoad(f, insn);
  const at = f.address(src, off);
  if (insn.kind === 'load_acquire' && f.unit.memory.shared) {
    f.op(OP.atomic);
    f.op(LOAD_ATOMIC[size]);
    f.memarg(at, ALIGN[size]);
  } else {
    f.op(insn.kind === 'ldx' && insn.signed ? LOAD_SIGNED[size] : LOAD[size]);
    f.memarg(at);
  }
  f.set(dst);
}

/** Through a pointer that may be anything: what can't be read is 0. */
function writeCarefulLoad(f: FunctionWriter, insn: Extract<Insn, { kind: 'ldx' | 'load_acquire' }>) {
  const { size, dst, src, off } = insn;
  const at = f.named('careful', 'i64');
  f.get(src);
  f.i64(off);
  f.op(OP.i64_add);
  f.localTee(at);
  f.i64(FIRST_PAGE);
  f.op(OP.i64_sub);
  f.op(OP.memory_size);
  f.out.u8(0);
  f.op(OP.i64_extend_i32_u);
  f.i64(16);
  f.op(OP.i64_shl);
  f.i64(FIRST_PAGE + size);
  f.op(OP.i64_sub);
  f.op(OP.i64_le_u);
  f.if(TYPE.i64);
  f.localGet(at);
  f.op(OP.i32_wrap_i64);
  f.op(insn.kind === 'ldx' && insn.signed ? LOAD_SIGNED[size] : LOAD[size]);
  f.memarg(0);
  f.op(OP.else);
  f.i64(0);
  f.op(OP.end);
  f.set(dst);
}

export function writeStore(
  f: FunctionWriter,
  insn: Extract<Insn, { kind: 'st' | 'stx' | 'store_release' }>,
  slot: number,
) {
  const { size, dst, off } = insn;
  const value = () => (insn.kind === 'st' ? f.i64(insn.imm) : f.get(insn.src));
  if (f.unit.proofs.get(slot)?.access === 'ctx' && f.unit.context) {
    const place = f.unit.context.write(off, size);
    if (!place) return f.abort(slot);
    return writeContextStore(f, place, dst, size, value);
  }
  if (f.unit.proofs.get(slot)?.access === 'arena') return writeArenaStore(f, dst, off, size, value, slot);
  const at = f.address(dst, off);
  value();
  if (insn.kind === 'store_release' && f.unit.memory.shared) {
    f.op(OP.atomic);
    f.op(STORE_ATOMIC[size]);
    f.memarg(at, ALIGN[size]);
  } else {
    f.op(STORE[size]);
    f.memarg(at);
  }
}

type Atomic = Extract<Insn, { kind: 'atomic' }>;

export function writeAtomic(f: FunctionWriter, insn: Atomic, slot: number) {
  if (f.unit.proofs.get(slot)?.access === 'arena') writeArenaAtomic(f, insn, slot);
  else if (f.unit.memory.shared) writeShared(f, insn);
  else writeAlone(f, insn);
}

function writeShared(f: FunctionWriter, { op, fetch, size, dst, off, src }: Atomic) {
  const at = f.address(dst, off);
  if (op === 'cmpxchg') expected(f, size);
  f.get(src);
  f.op(OP.atomic);
  f.op(ATOMIC_RMW[op][size === 8 ? 0 : 1]);
  f.memarg(at, ALIGN[size]);
  if (op === 'cmpxchg') f.set(0);
  else if (fetch) f.set(src);
  else f.op(OP.drop);
}

/** r0 as far as it is compared. */
function expected(f: FunctionWriter, size: 4 | 8) {
  f.get(0);
  if (size === 8) return;
  f.op(OP.i32_wrap_i64);
  f.op(OP.i64_extend_i32_u);
}

const PLAIN = { add: OP.i64_add, or: OP.i64_or, and: OP.i64_and, xor: OP.i64_xor } as const;

/** Where nobody else runs, an atomic operation is a load, an operation and a store. */
function writeAlone(f: FunctionWriter, { op, fetch, size, dst, off, src }: Atomic) {
  const addr = f.named('atomic at', 'i32');
  const old = f.named('atomic old', 'i64');
  const at = f.address(dst, off);
  f.localTee(addr);
  f.op(LOAD[size]);
  f.memarg(at);
  f.localSet(old);
  f.localGet(addr);
  if (op === 'cmpxchg') {
    f.get(src);
    f.localGet(old);
    f.localGet(old);
    expected(f, size);
    f.op(OP.i64_eq);
    f.op(OP.select);
  } else if (op === 'xchg') f.get(src);
  else {
    f.localGet(old);
    f.get(src);
    f.op(PLAIN[op]);
  }
  f.op(STORE[size]);
  f.memarg(at);
  if (op !== 'cmpxchg' && !fetch) return;
  f.localGet(old);
  f.set(op === 'cmpxchg' ? 0 : src);
}

/** Into r0 in host order; outside of the packet the function returns 0. */
export function writePacketLoad(
  f: FunctionWriter,
  insn: Extract<Insn, { kind: 'ld_abs' | 'ld_ind' }>,
  slot: number,
) {
  const { packet } = f.unit;
  if (!packet) return f.abort(slot);
  const { size, imm } = insn;
  const context: Reg = 6;
  const offset = f.named('packet offset', 'i32');
  const result = f.named('packet value', 'i64');
  f.i32(imm);
  if (insn.kind === 'ld_ind') {
    f.getLow(insn.src);
    f.op(OP.i32_add);
  }
  f.localTee(offset);
  // Unsigned, so that negative offsets are not inside either; a length is below 2^31.
  f.op(OP.i64_extend_i32_u);
  f.i64(size);
  f.op(OP.i64_add);
  f.getLow(context);
  f.op(OP.i64_load32_u);
  f.memarg(packet.length);
  f.op(OP.i64_le_u);
  f.if(TYPE.i64);
  f.getLow(context);
  f.op(OP.i32_load);
  f.memarg(packet.data);
  f.localGet(offset);
  f.op(OP.i32_add);
  f.op(size === 1 ? OP.i32_load8_u : size === 2 ? OP.i32_load16_u : OP.i32_load);
  f.memarg(0);
  if (size === 2) swap16(f);
  else if (size === 4) swap32(f);
  f.op(OP.i64_extend_i32_u);
  f.op(OP.else);
  f.localGet(offset);
  f.i32(size);
  writeHostCall(f, packet.slow, false);
  f.op(OP.end);
  f.localTee(result);
  f.i64(0);
  f.op(OP.i64_lt_s);
  f.if();
  f.i64(0);
  f.op(OP.return);
  f.op(OP.end);
  f.localGet(result);
  f.set(0);
}
