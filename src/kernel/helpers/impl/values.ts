/** Helper arguments as the C types that Linux takes them as, and errnos as r0 gets them. */
import { type Errno, errnoId } from '../../../sys/errno.ts';
import type { Addr } from '../../memory/index.ts';

export const u32 = (value: bigint): number => Number(BigInt.asUintN(32, value));
export const s32 = (value: bigint): number => Number(BigInt.asIntN(32, value));
export const u16 = (value: bigint): number => Number(BigInt.asUintN(16, value));
export const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);
/** Flags as a number of 32 bits. Those with higher bits become one that no helper knows. */
export const flags32 = (value: bigint): number => (value >> 31n === 0n ? Number(value) : 0x8000_0000);
/** A pointer that was checked. */
export const addr = (value: bigint): Addr => Number(BigInt.asUintN(32, value)) as Addr;
/** A size that was checked. */
export const size = (value: bigint): number => Number(value);
export const err = (name: Errno): number => -errnoId(name);
