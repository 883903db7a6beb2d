/** Strings and numbers. @see kernel/bpf/helpers.c, __bpf_strtoull */
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { addr, err, size } from './values.ts';

/** Characters that are looked at: a sign, and 64 binary digits. */
const MAX_LENGTH = 64;
const SPACE = new Set([9, 10, 11, 12, 13, 32, 160]);

interface Parsed {
  readonly value: bigint;
  readonly negative: boolean;
  /** Characters that were read. */
  readonly length: number;
}

function digit(char: number): number {
  if (char >= 0x30 && char <= 0x39) return char - 0x30;
  const lower = char | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : 99;
}

function parse(text: Uint8Array, flags: bigint): Parsed | number {
  const base = Number(flags & 0x1fn);
  if (text.length === 0 || (base !== 0 && base !== 8 && base !== 10 && base !== 16) || flags & ~0x1fn) {
    return err('EINVAL');
  }
  let at = 0;
  while (at < text.length && SPACE.has(text[at]!)) at++;
  const negative = text[at] === 0x2d;
  if (negative) at++;
  const rest = text.subarray(at, at + MAX_LENGTH - 1);
  if (at >= text.length) return err('EINVAL');
  const hex = rest[0] === 0x30 && (rest[1]! | 0x20) === 0x78 && digit(rest[2] ?? 0) < 16;
  const radix = base !== 0 ? base : hex ? 16 : rest[0] === 0x30 ? 8 : 10;
  let i = radix === 16 && rest[0] === 0x30 && (rest[1]! | 0x20) === 0x78 ? 2 : 0;
  const first = i;
  let value = 0n;
  for (; i < rest.length && digit(rest[i]!) < radix; i++)
    value = value * BigInt(radix) + BigInt(digit(rest[i]!));
  if (i === first) return err('EINVAL');
  if (value >= 1n << 64n) return err('ERANGE');
  return { value, negative, length: at + i };
}

function textAt({ machine: { memory } }: HelperRun, buffer: bigint, length: bigint): Uint8Array {
  return memory.window(addr(buffer), size(length));
}

export const strtol: HelperImpl = (run, buffer, length, flags, result) => {
  run.machine.memory.writeU64(addr(result), 0n);
  const parsed = parse(textAt(run, buffer, length), flags);
  if (typeof parsed === 'number') return parsed;
  const value = parsed.negative ? -parsed.value : parsed.value;
  if (BigInt.asIntN(64, value) !== value) return err('ERANGE');
  run.machine.memory.writeU64(addr(result), BigInt.asUintN(64, value));
  return parsed.length;
};

export const strtoul: HelperImpl = (run, buffer, length, flags, result) => {
  run.machine.memory.writeU64(addr(result), 0n);
  const parsed = parse(textAt(run, buffer, length), flags);
  if (typeof parsed === 'number') return parsed;
  if (parsed.negative) return err('EINVAL');
  run.machine.memory.writeU64(addr(result), parsed.value);
  return parsed.length;
};

/** Compares at most `length` bytes with a string of the program's constants. */
export const strncmp: HelperImpl = ({ machine: { memory } }, text, length, other) => {
  const { u8 } = memory;
  for (let i = 0; i < size(length); i++) {
    const a = u8[addr(text) + i]!;
    const b = u8[addr(other) + i]!;
    if (a !== b) return a < b ? -1 : 1;
    if (a === 0) return 0n;
  }
  return 0n;
};
