/** Helper arguments as the C types that Linux takes them as, and errnos as r0 gets them. */
import { type Errno, errnoId } from '../../../sys/errno.ts';
import type { Addr } from '../../memory/index.ts';

export const u32 = (value: bigint): number => Number(BigInt.asUintN(32, value));
export const s32 = (value: bigint): number => Number(BigInt.asIntN(32, value));
export const u16 = (value: bigint): number => Number(BigInt.asUintN(16, value));
export const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);
/** A pointer that was checked. */
export const addr = (value: bigint): Addr => Number(BigInt.asUintN(32, value)) as Addr;
/** A size that was checked. */
export const size = (value: bigint): number => Number(value);
export const err = (name: Errno): number => -errnoId(name);
