/** What a loader program and the bytes that it works on are made of. */
import { SLOT_SIZE, type Slot, writeSlot } from '../../../isa/index.ts';

/** Place in the data, in bytes. */
export type Place = number;

const ALIGN = 8;

/** Bytes that the loader program reads and fills in: attributes, names, instructions, initial values. */
export class LoaderData {
  readonly #parts: Uint8Array[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Appends, padded with zeros to the next word. @returns where it begins */
  add(bytes: Uint8Array): Place {
    const place = this.#size;
    const padded = new Uint8Array(Math.ceil(bytes.length / ALIGN) * ALIGN);
    padded.set(bytes);
    this.#parts.push(padded);
    this.#size += padded.length;
    return place;
  }

  reserve(size: number): Place {
    return this.add(new Uint8Array(size));
  }

  /** A text with its terminating zero. */
  text(text: string): Place {
    return this.add(new TextEncoder().encode(`${text}\0`));
  }

  bytes(): Uint8Array {
    const whole = new Uint8Array(this.#size);
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }
}

/** Sizes of accesses as they stand in opcodes. */
const WIDTH = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 } as const;
export type Width = keyof typeof WIDTH;
/** Comparisons with a constant. */
const JUMP = { eq: 0x15, set: 0x45, ne: 0x55, sge: 0x75, slt: 0xc5, sle: 0xd5, always: 0x05 } as const;
const OPCODE = {
  move: 0xbf,
  moveConstant: 0xb7,
  addConstant: 0x07,
  shiftRight: 0x77,
  and32: 0x54,
  call: 0x85,
  exit: 0x95,
  wide: 0x18,
  load: 0x61,
  store: 0x63,
  storeConstant: 0x62,
} as const;
/** The loader program's one map is its data. */
const MAP_IDX_VALUE = 6;

/** Helpers that a loader program calls, by number. */
export const CALL = {
  probe_read_kernel: 113,
  copy_from_user: 148,
  sys_bpf: 166,
  btf_find_by_name_kind: 167,
  sys_close: 168,
  kallsyms_lookup_name: 179,
} as const;

/** Appends instructions, one method for each. Registers are numbers. */
export class LoaderCode {
  readonly #slots: Slot[] = [];

  /** Instructions so far. */
  get length(): number {
    return this.#slots.length;
  }

  #emit(code: number, dst = 0, src = 0, off = 0, imm = 0): void {
    this.#slots.push({ code, dst, src, off, imm });
  }

  move(dst: number, src: number): void {
    this.#emit(OPCODE.move, dst, src);
  }

  set(dst: number, imm: number): void {
    this.#emit(OPCODE.moveConstant, dst, 0, 0, imm);
  }

  add(dst: number, imm: number): void {
    this.#emit(OPCODE.addConstant, dst, 0, 0, imm);
  }

  shiftRight(dst: number, bits: number): void {
    this.#emit(OPCODE.shiftRight, dst, 0, 0, bits);
  }

  and32(dst: number, mask: number): void {
    this.#emit(OPCODE.and32, dst, 0, 0, mask);
  }

  /** The address of a place in the data. */
  address(dst: number, place: Place): void {
    this.#emit(OPCODE.wide, dst, MAP_IDX_VALUE);
    this.#emit(0, 0, 0, 0, place);
  }

  load(size: Width, dst: number, from: number, off: number): void {
    this.#emit(OPCODE.load | WIDTH[size], dst, from, off);
  }

  store(size: Width, to: number, off: number, src: number): void {
    this.#emit(OPCODE.store | WIDTH[size], to, src, off);
  }

  storeConstant(size: Width, to: number, off: number, imm: number): void {
    this.#emit(OPCODE.storeConstant | WIDTH[size], to, 0, off, imm);
  }

  /** @param skip instructions that are left out if the comparison holds */
  jump(when: keyof typeof JUMP, reg: number, imm: number, skip: number): void {
    this.#emit(JUMP[when], reg, 0, skip, imm);
  }

  call(helper: keyof typeof CALL): void {
    this.#emit(OPCODE.call, 0, 0, 0, CALL[helper]);
  }

  exit(): void {
    this.#emit(OPCODE.exit);
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.#slots.length * SLOT_SIZE);
    for (const [i, slot] of this.#slots.entries()) writeSlot(bytes, i, slot);
    return bytes;
  }
}
