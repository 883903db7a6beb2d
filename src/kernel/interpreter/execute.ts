/** What each kind of instruction does to the machine: one entry per kind. The program counter is already behind it. */
import type { AtomicOp, Insn, InsnKind } from '../../isa/index.ts';
import { ALU32, ALU64, byteSwap, TEST32, TEST64 } from './alu.ts';
import type { Interpreter } from './interpreter.ts';

/** Runs an instruction of one kind; `idx` is its slot. */
type Behaviour<K extends InsnKind> = (m: Interpreter, insn: Extract<Insn, { kind: K }>, idx: number) => void;
/** Runs an instruction that it was made for. */
export type Execute = (m: Interpreter, insn: Insn, idx: number) => void;

/** The instruction's behaviour. */
export function executor(insn: Insn): Execute {
  return BEHAVIOUR[insn.kind] as unknown as Execute;
}

/** Jumps are counted from the next slot, where the program counter is. */
function jump(m: Interpreter, taken: boolean, off: number): void {
  if (taken) m.pc += off;
}

const BEHAVIOUR: { readonly [K in InsnKind]: Behaviour<K> } = {
  alu: (m, { op, width, dst, src }) => {
    if (width === 32) {
      const operand = src.kind === 'reg' ? m.low(src.reg) : src.imm;
      m.setLow(dst, ALU32[op](m.low(dst), operand));
    } else if (op === 'mov' && src.kind === 'reg') {
      m.copy(dst, src.reg);
    } else {
      const operand = src.kind === 'reg' ? m.regs[src.reg]! : BigInt.asUintN(64, BigInt(src.imm));
      m.regs[dst] = ALU64[op](m.regs[dst]!, operand);
    }
  },
  neg: (m, { width, dst }) => {
    if (width === 32) m.setLow(dst, -m.low(dst));
    else m.regs[dst] = -m.regs[dst]!;
  },
  movsx: (m, { width, bits, dst, src }) => {
    const value = BigInt.asIntN(bits, m.regs[src]!);
    m.regs[dst] = width === 32 ? BigInt.asUintN(32, value) : value;
  },
  // Programs use the low half of an arena's address; user space's has an upper half.
  addr_space_cast: (m, { dst, src, dstAs }) => {
    const low = BigInt.asUintN(32, m.regs[src]!);
    const high = (m.program.arena?.userAddress ?? 0n) >> 32n;
    m.regs[dst] = dstAs === 0 || low === 0n ? low : low | (high << 32n);
  },
  endian: (m, { order, bits, dst }) => {
    const value = m.regs[dst]!;
    m.regs[dst] = order === 'le' ? BigInt.asUintN(bits, value) : byteSwap(value, bits);
  },
  ja: (m, { off }) => jump(m, true, off),
  jmp: (m, { op, width, dst, src, off }) => {
    if (width === 32) {
      const operand = src.kind === 'reg' ? m.low(src.reg) : src.imm;
      jump(m, TEST32[op](m.low(dst), operand), off);
    } else {
      const operand = src.kind === 'reg' ? m.regs[src.reg]! : BigInt.asUintN(64, BigInt(src.imm));
      jump(m, TEST64[op](m.regs[dst]!, operand), off);
    }
  },
  may_goto: (m, { off }) => jump(m, !m.mayLoopOn(), off),
  call: (m, { target }, idx) => {
    switch (target.kind) {
      case 'helper':
        return m.callHelper(target.id);
      case 'local':
        return m.callSubprogram(idx + 1 + target.off);
      case 'reg':
        return m.callHelper(Number(BigInt.asUintN(32, m.regs[target.reg]!)));
      case 'kfunc':
        return m.callKfunc(idx);
    }
  },
  exit: (m) => m.exit(),
  ldx: (m, { size, signed, dst, src, off }) => {
    if (signed) {
      const value = m.load(src, off, size);
      if (value !== undefined) m.regs[dst] = BigInt.asIntN(size * 8, value);
    } else m.loadInto(dst, src, off, size);
  },
  st: (m, { size, dst, off, imm }) => m.store(dst, off, size, BigInt(imm)),
  stx: (m, { size, dst, off, src }) => m.storeFrom(dst, off, size, src),
  atomic: (m, { op, fetch, size, dst, off, src }) => {
    const old = m.load(dst, off, size);
    if (old === undefined) return;
    const operand = BigInt.asUintN(size * 8, m.regs[src]!);
    const expected = BigInt.asUintN(size * 8, m.regs[0]!);
    if (op !== 'cmpxchg' || old === expected) m.store(dst, off, size, UPDATED[op](old, operand));
    if (op === 'cmpxchg') m.regs[0] = old;
    else if (fetch) m.regs[src] = old;
  },
  load_acquire: (m, { size, dst, src, off }) => m.loadInto(dst, src, off, size),
  store_release: (m, { size, dst, off, src }) => m.storeFrom(dst, off, size, src),
  ldimm64: (m, { dst }, idx) => {
    m.pc += 1;
    const value = m.program.constants.get(idx);
    if (value === undefined) m.fault('unsupported', "the 64-bit load's object is not known here");
    else m.regs[dst] = value;
  },
  ld_abs: (m, { size, imm }) => m.loadPacket(imm, size),
  ld_ind: (m, { size, src, imm }) => m.loadPacket((m.low(src) + imm) | 0, size),
};

/** What an atomic operation writes. @see RFC 9669 §5.3 */
export const UPDATED: Readonly<Record<AtomicOp, (old: bigint, operand: bigint) => bigint>> = {
  add: (old, operand) => old + operand,
  or: (old, operand) => old | operand,
  and: (old, operand) => old & operand,
  xor: (old, operand) => old ^ operand,
  xchg: (_, operand) => operand,
  cmpxchg: (_, operand) => operand,
};
