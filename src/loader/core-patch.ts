/**
 * Patches instructions with CO-RE answers, as libbpf does. An answer that the target lacks turns its instruction into a
 * call of a function that does not exist: the verifier refuses it unless the program never gets there.
 */
import { InputError } from '../base/error.ts';
import type { CoreAnswer, CoreRelocator } from '../btf/index.ts';
import type { LinkedProgram } from './link.ts';
import type { CoreRecord } from './spec.ts';

const SLOT = 8;
const LDIMM64 = 0x18;
const CALL = 0x85;

/** Helper number of a poisoned instruction, which reads as "bad relo" in the verifier's log. */
export const POISON_IMM = 0xbad2310;

/** `BPF_SIZE` bits of a load or store by its width in bytes. */
const SIZE_BITS: Readonly<Record<number, number>> = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 };

/** Low three bits of an opcode. */
const CLASS = { ld: 0, ldx: 1, st: 2, stx: 3, alu: 4, jmp: 5, jmp32: 6, alu64: 7 } as const;

/** A record that the target could not satisfy: where, and what it was. */
export interface PoisonedRelo {
  readonly insn: number;
  readonly problem: string;
}

/**
 * Patches the instructions in place.
 *
 * @param what the program, for messages
 * @returns the records whose instructions were poisoned
 * @throws InputError when a record has no answer, or its instruction is not what the compiler's record says
 */
export function applyCoreRelos(
  program: LinkedProgram,
  relocator: CoreRelocator,
  what: string,
): PoisonedRelo[] {
  const view = new DataView(program.insns.buffer, program.insns.byteOffset, program.insns.length);
  const poisoned: PoisonedRelo[] = [];
  for (const record of program.coreRelos) {
    const answer = relocator.relocate({ ...record, insnOffset: record.insn * SLOT });
    if (!answer.ok)
      throw new InputError('loader-core', `${what}: instruction ${record.insn}: ${answer.problem}`);
    const problem = patch(view, record, answer, what);
    if (problem !== undefined) poisoned.push({ insn: record.insn, problem });
  }
  return poisoned;
}

/** Patches one instruction; says why if it poisoned it. */
function patch(view: DataView, record: CoreRecord, answer: CoreAnswer, what: string): string | undefined {
  const at = record.insn * SLOT;
  const fail = (problem: string): never => {
    throw new InputError(
      'loader-core',
      `${what}: CO-RE relocation ${answer.local} of instruction ${record.insn}: ${problem}`,
    );
  };
  if (at + SLOT > view.byteLength) fail('the program ends before it');
  const opcode = view.getUint8(at);
  if (answer.poison) {
    poison(view, at);
    return `${answer.local} is not in the kernel's types`;
  }
  switch (opcode & 7) {
    case CLASS.alu:
    case CLASS.alu64: {
      if (opcode & 0x08) fail(`the instruction (opcode 0x${opcode.toString(16)}) has no immediate`);
      const imm = BigInt.asUintN(64, BigInt(view.getInt32(at + 4, true)));
      if (answer.validate && imm !== answer.original) {
        fail(`the immediate is ${imm}, but the record says ${answer.original}`);
      }
      view.setInt32(at + 4, Number(BigInt.asIntN(32, answer.value)), true);
      return undefined;
    }
    case CLASS.ldx:
    case CLASS.st:
    case CLASS.stx: {
      const off = BigInt.asUintN(64, BigInt(view.getInt16(at + 2, true)));
      if (answer.validate && off !== answer.original) {
        fail(`the offset is ${off}, but the record says ${answer.original}`);
      }
      if (answer.value > 0x7fffn) fail(`the offset ${answer.value} is too large for a load or store`);
      if (answer.sizeMismatch) {
        poison(view, at);
        return (
          `${answer.local}: the kernel's field has another size and is not an unsigned integer or pointer, ` +
          `so the load can't be widened`
        );
      }
      view.setInt16(at + 2, Number(answer.value), true);
      resize(view, at, answer, fail);
      return undefined;
    }
    case CLASS.ld: {
      const wide =
        opcode === LDIMM64 &&
        view.getUint8(at + 1) >> 4 === 0 &&
        view.getInt16(at + 2, true) === 0 &&
        at + 2 * SLOT <= view.byteLength &&
        view.getUint32(at + SLOT, true) === 0;
      if (!wide) fail('the instruction is no 64-bit load of a number');
      const imm = view.getUint32(at + 4, true);
      const value = BigInt(imm) | (BigInt(view.getUint32(at + SLOT + 4, true)) << 32n);
      if (answer.validate && value !== answer.original) {
        fail(`the immediate is ${value}, but the record says ${answer.original}`);
      }
      view.setUint32(at + 4, Number(answer.value & 0xffff_ffffn), true);
      view.setUint32(at + SLOT + 4, Number((answer.value >> 32n) & 0xffff_ffffn), true);
      return undefined;
    }
    default:
      return fail(`the instruction (opcode 0x${opcode.toString(16)}) takes no relocation`);
  }
}

/** Makes a load or store as wide as the kernel's field. */
function resize(view: DataView, at: number, answer: CoreAnswer, fail: (problem: string) => never): void {
  const from = answer.localAccess?.size ?? 0;
  const to = answer.targetAccess?.size ?? 0;
  if (from === to) return;
  const opcode = view.getUint8(at);
  const bits = SIZE_BITS[to];
  if ((opcode & 0x18) !== SIZE_BITS[from])
    fail(`the instruction is not ${from} bytes wide, as the record's field is`);
  if (bits === undefined) fail(`the kernel's field has ${to} bytes, which no load has`);
  else view.setUint8(at, (opcode & ~0x18) | bits);
}

function poison(view: DataView, at: number): void {
  // The second half of a wide load alone would be refused as an unknown opcode.
  const halves = view.getUint8(at) === LDIMM64 && at + 2 * SLOT <= view.byteLength ? [at + SLOT, at] : [at];
  for (const half of halves) {
    view.setUint32(half, CALL, true);
    view.setInt32(half + 4, POISON_IMM, true);
  }
}
