/** Loads and stores of context fields, at the place in the kernel's object where the field's value is. */
import type { Reg, Size } from '../../isa/index.ts';
import type { FunctionWriter } from './function.ts';
import { LOAD, STORE } from './memory.ts';
import type { FieldPlace } from './unit.ts';
import { OP, TYPE } from './wasm/opcodes.ts';

/** Leaves the field's value. */
export function writeContextLoad(
  f: FunctionWriter,
  place: FieldPlace,
  base: Reg,
  size: Size,
  signed: boolean,
): void {
  const opened = writePath(f, place, base, true);
  f.op(LOAD[place.size]);
  f.memarg(place.offset);
  const shift = (by: number, op: number) => {
    if (by === 0) return;
    f.i64(by);
    f.op(op);
  };
  if (place.nonzero) {
    f.i64(0);
    f.op(OP.i64_ne);
    f.op(OP.i64_extend_i32_u);
  }
  shift(place.shiftLeft, OP.i64_shl);
  shift(place.shiftRight, OP.i64_shr_u);
  for (let i = 0; i < opened; i++) {
    f.op(OP.else);
    f.i64(0);
    f.op(OP.end);
  }
  if (size === 8) return;
  if (signed) f.op(size === 4 ? OP.i64_extend32_s : size === 2 ? OP.i64_extend16_s : OP.i64_extend8_s);
  else if (place.shiftLeft > 0 || place.size > size) {
    f.i64Big((1n << BigInt(size * 8)) - 1n);
    f.op(OP.i64_and);
  }
}

export function writeContextStore(
  f: FunctionWriter,
  place: FieldPlace,
  base: Reg,
  size: Size,
  value: () => void,
): void {
  if (place.below !== undefined) {
    value();
    if (size < 8) {
      f.i64Big((1n << BigInt(size * 8)) - 1n);
      f.op(OP.i64_and);
    }
    f.i64(place.below);
    f.op(OP.i64_lt_u);
    f.if();
  }
  const opened = writePath(f, place, base, false);
  value();
  f.op(STORE[place.size]);
  f.memarg(place.offset);
  for (let i = 0; i < opened; i++) f.op(OP.end);
  if (place.below !== undefined) f.op(OP.end);
}

/**
 * Leaves the address of the struct that the value is in.
 * @param value the conditions that are opened have a value each
 * @returns how many conditions on pointers are open
 */
function writePath(f: FunctionWriter, { via, hops }: FieldPlace, base: Reg, value: boolean): number {
  f.getLow(base);
  if (via) {
    f.op(OP.i32_load);
    f.memarg(via[0]);
    f.getLow(base);
    f.op(OP.i32_load);
    f.memarg(via[1]);
    f.op(OP.i32_add);
  }
  for (const hop of hops) {
    const pointer = f.named('pointer', 'i32');
    f.op(OP.i32_load);
    f.memarg(hop);
    f.localTee(pointer);
    f.if(value ? TYPE.i64 : TYPE.none);
    f.localGet(pointer);
  }
  return hops.length;
}
