/**
 * Raw access to the 8-byte slots that a program is made of, in either byte order.
 *
 * The byte order of an object file decides the order of `off` and `imm` and also which half of the register byte is
 * the destination: the low half in a little-endian slot, the high half in a big-endian one. @see RFC 9669 §3.1
 */
import { Bug } from '../base/error.ts';

/** Bytes of a slot. */
export const SLOT_SIZE = 8;

/** A slot's fields as they stand, whether or not they make an instruction. */
export interface Slot {
  /** 0 to 255. */
  readonly code: number;
  /** 0 to 15. */
  readonly dst: number;
  /** 0 to 15. */
  readonly src: number;
  /** Signed, 16 bits. */
  readonly off: number;
  /** Signed, 32 bits. */
  readonly imm: number;
}

/** Whole slots in a run of bytes. */
export function slotCount(bytes: Uint8Array): number {
  return Math.floor(bytes.length / SLOT_SIZE);
}

function place(bytes: Uint8Array, idx: number): number {
  const at = idx * SLOT_SIZE;
  if (idx < 0 || at + SLOT_SIZE > bytes.length) {
    throw new Bug(`slot ${idx} is outside of a program of ${slotCount(bytes)} slots`);
  }
  return at;
}

function imm(bytes: Uint8Array, at: number, littleEndian: boolean): number {
  return littleEndian
    ? bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    : bytes[at + 3]! | (bytes[at + 2]! << 8) | (bytes[at + 1]! << 16) | (bytes[at]! << 24);
}

export function readSlot(bytes: Uint8Array, idx: number, littleEndian = true): Slot {
  const at = place(bytes, idx);
  const regs = bytes[at + 1]!;
  const off = littleEndian ? bytes[at + 2]! | (bytes[at + 3]! << 8) : bytes[at + 3]! | (bytes[at + 2]! << 8);
  return {
    code: bytes[at]!,
    dst: littleEndian ? regs & 15 : regs >> 4,
    src: littleEndian ? regs >> 4 : regs & 15,
    off: (off << 16) >> 16,
    imm: imm(bytes, at + 4, littleEndian),
  };
}

/** Writes the fields that are given and leaves the others as they are; values are cut to the field's width. */
export function writeSlot(bytes: Uint8Array, idx: number, slot: Partial<Slot>, littleEndian = true): void {
  const at = place(bytes, idx);
  const was = bytes[at + 1]!;
  const dst = slot.dst ?? (littleEndian ? was & 15 : was >> 4);
  const src = slot.src ?? (littleEndian ? was >> 4 : was & 15);
  bytes[at + 1] = littleEndian ? ((src & 15) << 4) | (dst & 15) : ((dst & 15) << 4) | (src & 15);
  if (slot.code !== undefined) bytes[at] = slot.code;
  if (slot.off !== undefined) {
    bytes[at + (littleEndian ? 2 : 3)] = slot.off;
    bytes[at + (littleEndian ? 3 : 2)] = slot.off >> 8;
  }
  if (slot.imm !== undefined) {
    for (let i = 0; i < 4; i++) bytes[at + 4 + (littleEndian ? i : 3 - i)] = slot.imm >> (8 * i);
  }
}
