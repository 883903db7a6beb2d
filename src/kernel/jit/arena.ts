/**
 * Accesses that the host makes for the program: to arenas, whose pages come and go, and to the kernel's own fields of maps.
 */
import type { Insn, Reg, Size } from '../../isa/index.ts';
import type { FunctionWriter } from './function.ts';
import { writeHostCall } from './host-call.ts';
import { OP, TYPE } from './wasm/opcodes.ts';

interface Load {
  readonly size: Size;
  readonly dst: Reg;
  readonly src: Reg;
  readonly off: number;
  readonly signed: boolean;
}

/** Leaves the address. In an arena it has 32 bits, before the offset is added. */
function address(f: FunctionWriter, reg: Reg, off: number, arena: boolean): void {
  if (arena) {
    f.getLow(reg);
    f.op(OP.i64_extend_i32_u);
  } else f.get(reg);
  f.i64(off);
  f.op(OP.i64_add);
}

export function writeIndirectLoad(
  f: FunctionWriter,
  through: 'map' | 'arena',
  { size, dst, src, off, signed }: Load,
  slot: number,
): void {
  const { indirect } = f.unit;
  if (!indirect) {
    f.abort(slot);
    return;
  }
  address(f, src, off, through === 'arena');
  f.i32(through === 'arena' ? size : off * 16 + size);
  writeHostCall(f, through === 'arena' ? indirect.arenaLoad : indirect.mapLoad, false);
  if (signed && size < 8) {
    f.op(size === 4 ? OP.i64_extend32_s : size === 2 ? OP.i64_extend16_s : OP.i64_extend8_s);
  }
  f.set(dst);
}

export function writeArenaStore(
  f: FunctionWriter,
  dst: Reg,
  off: number,
  size: Size,
  value: () => void,
  slot: number,
): void {
  const { indirect } = f.unit;
  if (!indirect) {
    f.abort(slot);
    return;
  }
  address(f, dst, off, true);
  value();
  f.i32(size);
  writeHostCall(f, indirect.arenaStore, false);
  f.op(OP.drop);
}

export function writeArenaAtomic(
  f: FunctionWriter,
  { op, fetch, dst, off, src }: Extract<Insn, { kind: 'atomic' }>,
  slot: number,
): void {
  const { indirect } = f.unit;
  if (!indirect) {
    f.abort(slot);
    return;
  }
  address(f, dst, off, true);
  f.get(src);
  f.get(0);
  f.i32(slot);
  writeHostCall(f, indirect.arenaAtomic, false);
  if (op === 'cmpxchg') f.set(0);
  else if (fetch) f.set(src);
  else f.op(OP.drop);
}

/** Leaves the address as the other space has it: the kernel's has 32 bits, user space's the arena's upper half. */
export function writeAddressSpaceCast(
  f: FunctionWriter,
  { src, dstAs }: Extract<Insn, { kind: 'addr_space_cast' }>,
): void {
  const high = f.unit.indirect?.userHigh ?? 0n;
  f.getLow(src);
  if (dstAs === 0 || high === 0n) {
    f.op(OP.i64_extend_i32_u);
    return;
  }
  f.if(TYPE.i64);
  f.getLow(src);
  f.op(OP.i64_extend_i32_u);
  f.i64Big(BigInt.asIntN(64, high << 32n));
  f.op(OP.i64_or);
  f.op(OP.else);
  f.i64(0);
  f.op(OP.end);
}
