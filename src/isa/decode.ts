/**
 * Bytes to instructions. What Linux's verifier takes as an instruction decodes, and `callx`, which compilers emit and
 * Linux does not take; everything else is a {@link Problem} that names the field that is wrong.
 *
 * Linux looks neither at the offset of `exit` nor at the second immediate of a `func` load; so neither does this, and
 * `encode` writes zero there. Every other instruction comes out of `encode` as it went into `decode`.
 *
 * Checked: opcode, reserved fields, register numbers, the pairing of 64-bit immediate loads. Not checked, since it
 * depends on more than the instruction: jump targets, division by a zero immediate, shift amounts, writes to r10.
 */
import { InputError } from '../base/error.ts';
import type { AtomicOp, Imm64, Insn, InsnIdx, Operand, Reg } from './insn.ts';
import {
  ADDR_SPACE_CAST_OFF,
  ATOMIC,
  ATOMIC_OPS,
  CALL_SRC,
  CLASS,
  CLASS_MASK,
  ENDIAN_BITS,
  FETCH,
  FORMS,
  type Form,
  IMM64,
  IMM64_KINDS,
  LOAD_ACQUIRE,
  MAX_REG,
  MODE,
  MOVSX_BITS,
  STORE_RELEASE,
} from './opcodes.ts';
import { readSlot, SLOT_SIZE, type Slot, slotCount } from './slot.ts';

export type ProblemCode =
  /** The opcode byte is no instruction. */
  | 'unknown-opcode'
  /** A field that the instruction does not use is not zero, or holds a value without a meaning. */
  | 'reserved-field'
  /** A register above r10. */
  | 'bad-register'
  /** The immediate of an atomic instruction is no operation, or not one of that size. */
  | 'bad-atomic'
  /** A 64-bit immediate load whose second slot is missing or is no second slot. */
  | 'bad-ldimm64'
  /** The last slot is cut short. */
  | 'truncated';

/** Why a slot is not an instruction. */
export interface Problem {
  readonly code: ProblemCode;
  readonly idx: InsnIdx;
  /** The field that is wrong: of the slot `idx`, or `second.*` of the slot behind it. */
  readonly field: string;
  readonly value: number;
  /** One sentence without the place: `opcode 0x8d is no instruction`. */
  readonly problem: string;
  /** What Linux's verifier writes to its log about it. */
  readonly linux: string;
}

export interface Decoded {
  /** By slot. A hole (`undefined`) is the second slot of a 64-bit immediate load or a slot with a problem. */
  readonly insns: readonly (Insn | undefined)[];
  /** In the order of the slots; empty when all of them are instructions. */
  readonly problems: readonly Problem[];
}

/** Decodes a program. Never throws: what is wrong is in `problems`. */
export function decode(bytes: Uint8Array, littleEndian = true): Decoded {
  const count = slotCount(bytes);
  const insns: (Insn | undefined)[] = new Array(count).fill(undefined);
  const problems: Problem[] = [];
  for (let idx = 0; idx < count; idx++) {
    const slot = readSlot(bytes, idx, littleEndian);
    const next = idx + 1 < count ? readSlot(bytes, idx + 1, littleEndian) : undefined;
    const result = decodeSlot(slot, next);
    if ('kind' in result) {
      insns[idx] = result;
      if (result.kind === 'ldimm64') idx++;
    } else {
      problems.push({ ...result, idx: idx as InsnIdx });
      // A pair with a wrong field is still a pair: its second slot is not reported again.
      if (FORMS[slot.code]?.form === 'ldimm64' && next?.code === 0) idx++;
    }
  }
  const rest = bytes.length % SLOT_SIZE;
  if (rest !== 0) {
    problems.push({
      code: 'truncated',
      idx: count as InsnIdx,
      field: 'size',
      value: rest,
      problem: `the last instruction is cut short: ${rest} of ${SLOT_SIZE} bytes`,
      linux: `invalid insn_cnt`,
    });
  }
  return { insns, problems };
}

/** A {@link Problem} before its place is known. */
export type SlotProblem = Omit<Problem, 'idx'>;

/** Decodes one slot. @param next the slot behind it, which a 64-bit immediate load takes too */
export function decodeSlot(slot: Slot, next: Slot | undefined): Insn | SlotProblem {
  const form = FORMS[slot.code];
  if (form === undefined) {
    return {
      code: 'unknown-opcode',
      field: 'code',
      value: slot.code,
      problem: `opcode ${hex(slot.code)} is no instruction`,
      linux: hasReservedLoadMode(slot)
        ? 'BPF_LDX uses reserved fields'
        : `unknown opcode ${slot.code.toString(16).padStart(2, '0')}`,
    };
  }
  return interpret(form, slot, next);
}

/** The bits of a load's opcode that say its mode. */
const MODE_MASK = 0xe0;

/** Linux looks at the mode and the immediate of loads before it looks the opcode up. */
function hasReservedLoadMode({ code, imm }: Slot): boolean {
  if ((code & CLASS_MASK) !== CLASS.ldx) return false;
  const mode = code & MODE_MASK;
  return (mode !== MODE.mem && mode !== MODE.memsx) || imm !== 0;
}

/** Decodes a program that must be valid. @throws InputError `isa-decode` naming the first problem and its place */
export function decodeValid(
  bytes: Uint8Array,
  what: string,
  littleEndian = true,
): readonly (Insn | undefined)[] {
  const { insns, problems } = decode(bytes, littleEndian);
  const [first] = problems;
  if (first === undefined) return insns;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  throw new InputError('isa-decode', `decoding ${what}: instruction ${first.idx}: ${first.problem}${more}`);
}

function hex(value: number): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

type Field = 'dst' | 'src' | 'off' | 'imm';
const FIELD_NAMES: Record<Field, string> = {
  dst: 'destination register',
  src: 'source register',
  off: 'offset',
  imm: 'immediate',
};

/** @param name how Linux's log calls the instruction */
function reserved(slot: Slot, field: Field, name: string, allowed = '0'): SlotProblem {
  return {
    code: 'reserved-field',
    field,
    value: slot[field],
    problem: `${name} (opcode ${hex(slot.code)}) must have ${FIELD_NAMES[field]} ${allowed}, not ${slot[field]}`,
    linux: `${name} uses reserved fields`,
  };
}

function nonzero(slot: Slot, name: string, ...unused: readonly Field[]): SlotProblem | undefined {
  const field = unused.find((unused) => slot[unused] !== 0);
  return field === undefined ? undefined : reserved(slot, field, name);
}

function registers(slot: Slot, ...used: readonly ('dst' | 'src')[]): SlotProblem | undefined {
  const field = used.find((used) => slot[used] > MAX_REG);
  if (field === undefined) return undefined;
  return {
    code: 'bad-register',
    field,
    value: slot[field],
    problem: `${FIELD_NAMES[field]} r${slot[field]} does not exist: the highest is r${MAX_REG}`,
    linux: `R${slot[field]} is invalid`,
  };
}

function operandProblem(slot: Slot, source: 'reg' | 'imm', name: string): SlotProblem | undefined {
  return source === 'reg'
    ? (nonzero(slot, name, 'imm') ?? registers(slot, 'src', 'dst'))
    : (nonzero(slot, name, 'src') ?? registers(slot, 'dst'));
}

function operand(slot: Slot, source: 'reg' | 'imm'): Operand {
  return source === 'reg' ? { kind: 'reg', reg: slot.src as Reg } : { kind: 'imm', imm: slot.imm };
}

function interpret(form: Form, slot: Slot, next: Slot | undefined): Insn | SlotProblem {
  const dst = slot.dst as Reg;
  const src = slot.src as Reg;
  const { off, imm } = slot;
  switch (form.form) {
    case 'alu':
      return form.op === 'mov' ? mov(form, slot) : alu(form, slot);
    case 'neg':
      return (
        nonzero(slot, 'BPF_NEG', 'src', 'off', 'imm') ??
        registers(slot, 'dst') ?? { kind: 'neg', width: form.width, dst }
      );
    case 'endian': {
      const bits = ENDIAN_BITS.find((bits) => bits === imm);
      return (
        nonzero(slot, 'BPF_END', 'src', 'off') ??
        registers(slot, 'dst') ??
        (bits === undefined
          ? reserved(slot, 'imm', 'BPF_END', ENDIAN_BITS.join(', '))
          : { kind: 'endian', order: form.order, bits, dst })
      );
    }
    case 'jmp':
      return (
        operandProblem(slot, form.source, 'BPF_JMP/JMP32') ?? {
          kind: 'jmp',
          op: form.op,
          width: form.width,
          dst,
          src: operand(slot, form.source),
          off,
        }
      );
    case 'ja':
      return (
        nonzero(slot, 'BPF_JA', 'src', 'dst', form.wide ? 'off' : 'imm') ?? {
          kind: 'ja',
          wide: form.wide,
          off: form.wide ? imm : off,
        }
      );
    case 'may_goto': {
      const problem = nonzero(slot, 'may_goto', 'src', 'dst', 'imm');
      return problem ? { ...problem, linux: `invalid may_goto imm ${imm}` } : { kind: 'may_goto', off };
    }
    case 'call':
      return call(slot);
    case 'callx': {
      const problem = nonzero(slot, 'callx', 'src', 'off', 'imm') ?? registers(slot, 'dst');
      return problem ?? { kind: 'call', target: { kind: 'reg', reg: dst } };
    }
    case 'exit':
      return nonzero(slot, 'BPF_EXIT', 'imm', 'src', 'dst') ?? { kind: 'exit' };
    case 'ldimm64':
      return ldimm64(slot, next);
    case 'ld_abs':
      return (
        nonzero(slot, 'BPF_LD_[ABS|IND]', 'dst', 'off', 'src') ?? { kind: 'ld_abs', size: form.size, imm }
      );
    case 'ld_ind':
      return (
        nonzero(slot, 'BPF_LD_[ABS|IND]', 'dst', 'off') ??
        registers(slot, 'src') ?? { kind: 'ld_ind', size: form.size, src, imm }
      );
    case 'ldx': {
      const { size, signed } = form;
      const problem = nonzero(slot, 'BPF_LDX', 'imm') ?? registers(slot, 'src', 'dst');
      return problem ?? { kind: 'ldx', size, signed, dst, src, off };
    }
    case 'st':
      return (
        nonzero(slot, 'BPF_ST', 'src') ??
        registers(slot, 'dst') ?? { kind: 'st', size: form.size, dst, off, imm }
      );
    case 'stx':
      return (
        nonzero(slot, 'BPF_STX', 'imm') ??
        registers(slot, 'src', 'dst') ?? { kind: 'stx', size: form.size, dst, off, src }
      );
    case 'atomic':
      return atomic(form.size, slot);
  }
}

type AluForm = Extract<Form, { form: 'alu' }>;

function alu(form: AluForm, slot: Slot): Insn | SlotProblem {
  if (slot.off !== 0 && (slot.off !== 1 || form.signed === undefined)) {
    return reserved(slot, 'off', 'BPF_ALU', form.signed === undefined ? '0' : '0 or 1');
  }
  const op = slot.off === 1 && form.signed !== undefined ? form.signed : form.op;
  return (
    operandProblem(slot, form.source, 'BPF_ALU') ?? {
      kind: 'alu',
      op,
      width: form.width,
      dst: slot.dst as Reg,
      src: operand(slot, form.source),
    }
  );
}

function mov(form: AluForm, slot: Slot): Insn | SlotProblem {
  const dst = slot.dst as Reg;
  const src = slot.src as Reg;
  const { width } = form;
  if (slot.off !== 0 && form.source === 'reg') {
    if (slot.off === ADDR_SPACE_CAST_OFF && width === 64) return addrSpaceCast(slot);
    const bits = MOVSX_BITS[width].find((bits) => bits === slot.off);
    if (bits === undefined) {
      return reserved(slot, 'off', 'BPF_MOV', `0 or, to sign-extend, ${MOVSX_BITS[width].join(', ')}`);
    }
    const problem = nonzero(slot, 'BPF_MOV', 'imm') ?? registers(slot, 'src', 'dst');
    return problem ?? { kind: 'movsx', width, bits, dst, src };
  }
  return (
    nonzero(slot, 'BPF_MOV', 'off') ??
    operandProblem(slot, form.source, 'BPF_MOV') ?? {
      kind: 'alu',
      op: 'mov',
      width,
      dst,
      src: operand(slot, form.source),
    }
  );
}

function addrSpaceCast(slot: Slot): Insn | SlotProblem {
  const dstAs = slot.imm >>> 16;
  const srcAs = slot.imm & 0xffff;
  if (!(dstAs === 0 && srcAs === 1) && !(dstAs === 1 && srcAs === 0)) {
    return {
      code: 'reserved-field',
      field: 'imm',
      value: slot.imm,
      problem: `addr_space_cast converts between the address spaces 0 and 1, not from ${srcAs} to ${dstAs}`,
      linux: 'addr_space_cast insn can only convert between address space 1 and 0',
    };
  }
  const problem = registers(slot, 'src', 'dst');
  return problem ?? { kind: 'addr_space_cast', dst: slot.dst as Reg, src: slot.src as Reg, dstAs, srcAs };
}

function call(slot: Slot): Insn | SlotProblem {
  const { src, off, imm } = slot;
  if (src === CALL_SRC.kfunc) {
    return (
      nonzero(slot, 'BPF_CALL', 'dst') ?? {
        kind: 'call',
        target: { kind: 'kfunc', btfId: imm >>> 0, fdIdx: off },
      }
    );
  }
  const problem = nonzero(slot, 'BPF_CALL', 'dst', 'off');
  if (problem) return problem;
  if (src === CALL_SRC.helper) return { kind: 'call', target: { kind: 'helper', id: imm } };
  if (src === CALL_SRC.local) return { kind: 'call', target: { kind: 'local', off: imm } };
  return reserved(slot, 'src', 'BPF_CALL', '0 (helper), 1 (subprogram) or 2 (kernel function)');
}

function badPair(field: string, value: number, problem: string, linux: string): SlotProblem {
  return { code: 'bad-ldimm64', field, value, problem, linux };
}

function ldimm64(slot: Slot, next: Slot | undefined): Insn | SlotProblem {
  if (next === undefined) {
    return badPair(
      'second',
      0,
      '64-bit immediate load at the end of the program has no second slot',
      'invalid bpf_ld_imm64 insn',
    );
  }
  for (const field of ['code', 'dst', 'src', 'off'] as const) {
    if (next[field] === 0) continue;
    const name = field === 'code' ? 'opcode' : FIELD_NAMES[field];
    return badPair(
      `second.${field}`,
      next[field],
      `the second slot of a 64-bit immediate load must have ${name} 0, not ${next[field]}`,
      'invalid bpf_ld_imm64 insn',
    );
  }
  const kind = IMM64_KINDS.find((kind) => IMM64[kind].src === slot.src);
  if (kind === undefined) {
    return {
      ...reserved(slot, 'src', 'BPF_LD_IMM64', `0 to ${IMM64_KINDS.length - 1}`),
      linux: 'unrecognized bpf_ld_imm64 insn',
    };
  }
  if (IMM64[kind].second === undefined && !IMM64[kind].ignoresSecond && next.imm !== 0) {
    return badPair(
      'second.imm',
      next.imm,
      `a 64-bit immediate load of ${kind} must have 0 in its second immediate, not ${next.imm}`,
      'unrecognized bpf_ld_imm64 insn',
    );
  }
  const problem = nonzero(slot, 'BPF_LD_IMM64', 'off') ?? registers(slot, 'dst');
  return problem ?? { kind: 'ldimm64', dst: slot.dst as Reg, imm: imm64(kind, slot.imm, next.imm) };
}

function imm64(kind: Imm64['kind'], low: number, high: number): Imm64 {
  switch (kind) {
    case 'value':
      return { kind, value: (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0) };
    case 'map_fd':
      return { kind, fd: low };
    case 'map_value':
      return { kind, fd: low, off: high >>> 0 };
    case 'btf_id':
      return { kind, id: low >>> 0, btfFd: high };
    case 'func':
      return { kind, off: low };
    case 'map_idx':
      return { kind, idx: low };
    case 'map_idx_value':
      return { kind, idx: low, off: high >>> 0 };
  }
}

function badAtomic(slot: Slot, field: 'imm' | 'code', problem: string, linux: string): SlotProblem {
  return { code: 'bad-atomic', field, value: slot[field], problem, linux };
}

function atomic(size: 1 | 2 | 4 | 8, slot: Slot): Insn | SlotProblem {
  const { off, imm } = slot;
  const dst = slot.dst as Reg;
  const src = slot.src as Reg;
  if (imm === LOAD_ACQUIRE || imm === STORE_RELEASE) {
    const problem = registers(slot, 'src', 'dst');
    if (problem) return problem;
    return imm === LOAD_ACQUIRE
      ? { kind: 'load_acquire', size, dst, src, off }
      : { kind: 'store_release', size, dst, off, src };
  }
  const op = atomicOp(imm);
  if (op === undefined) {
    return badAtomic(
      slot,
      'imm',
      `immediate ${hex(imm)} is no atomic operation`,
      `BPF_ATOMIC uses invalid atomic opcode ${(imm >>> 0).toString(16).padStart(2, '0')}`,
    );
  }
  if (size !== 4 && size !== 8) {
    return badAtomic(
      slot,
      'code',
      `atomic ${op} works on 4 or 8 bytes, not on ${size}`,
      'invalid atomic operand size',
    );
  }
  const problem = registers(slot, 'src', 'dst');
  return problem ?? { kind: 'atomic', op, fetch: (imm & FETCH) !== 0, size, dst, off, src };
}

function atomicOp(imm: number): AtomicOp | undefined {
  return ATOMIC_OPS.find(
    (op) => ATOMIC[op].imm === imm || (!ATOMIC[op].fetches && (ATOMIC[op].imm | FETCH) === imm),
  );
}
