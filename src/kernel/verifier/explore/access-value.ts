/** What a load leaves in its register. */
import { Scalar } from '../value/scalar.ts';
import type { Explorer } from './explorer.ts';
import { type RegState, scalarReg } from './reg.ts';

/** By bytes loaded: an unknown value, zero-extended and sign-extended. Records are immutable, so all loads share them. */
const UNSIGNED: readonly RegState[] = Array.from({ length: 9 }, (_, size) =>
  scalarReg(size === 1 || size === 2 || size === 4 ? Scalar.UNKNOWN.truncate(size) : Scalar.UNKNOWN),
);
const SIGNED: readonly RegState[] = Array.from({ length: 9 }, (_, size) =>
  scalarReg(
    size === 1 || size === 2 || size === 4
      ? Scalar.UNKNOWN.signExtend64((size * 8) as 8 | 16 | 32)
      : Scalar.UNKNOWN,
  ),
);

/** A value from memory of which nothing is tracked. @param regno -1 for none */
export function loadUnknown(ex: Explorer, regno: number, size: number, signed: boolean): void {
  if (regno >= 0) ex.state.frame().regs[regno] = (signed ? SIGNED : UNSIGNED)[size]!;
}

/** A tracked value, read with fewer bytes than a register has. */
export function narrowed(reg: RegState, size: number, signed: boolean): RegState {
  const { scalar } = reg;
  const narrow = signed ? scalar.signExtend64((size * 8) as 8 | 16 | 32) : scalar.truncate(size);
  const copy = reg.clone();
  copy.scalar = narrow;
  return copy;
}
