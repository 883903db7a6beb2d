/**
 * The assembler of LLVM's notation: what llvm-objdump prints and what C inline assembly is written in, and the
 * kernel's spellings where LLVM's are ambiguous (`goto pc+3`, `call pc+3`, `r1 = map[id:5]`). Labels, `;` between instructions,
 * comments of `#`, `//` and one-line C style. There are no directives and no sections.
 */
import type { AluOp, AtomicOp, Insn, JmpOp, Operand, Reg, Size, Width } from './insn.ts';
import { exchangeName } from './llvm-disasm.ts';
import { parseKfunc, parsePseudo } from './notation.ts';
import {
  ALU,
  ALU_OPS,
  ATOMIC,
  ATOMIC_OPS,
  ENDIAN_BITS,
  ENDIAN_ORDERS,
  IMM64,
  IMM64_KINDS,
  JMP,
  JMP_OPS,
  MOVSX_BITS,
  SIZE,
  SIZES,
} from './opcodes.ts';
import {
  type AsmOptions,
  type Assembly,
  assembleText,
  type Cursor,
  type Parsed,
  type RegToken,
  registerOf,
} from './parser.ts';

/** Assembles LLVM's notation. @throws InputError `isa-asm` naming line, column, token and what was expected */
export function assembleLlvm(text: string, options: AsmOptions = {}): Assembly {
  return assembleText(text, options, instruction);
}

const ALU_SYMBOLS: ReadonlyMap<string, AluOp> = new Map(ALU_OPS.map((op) => [ALU[op].symbol, op]));
const JMP_SYMBOLS: ReadonlyMap<string, JmpOp> = new Map(JMP_OPS.map((op) => [JMP[op].symbol, op]));
const SWAPS: ReadonlyMap<string, { readonly order: 'le' | 'be' | 'bswap'; readonly bits: 16 | 32 | 64 }> =
  new Map(
    ENDIAN_ORDERS.flatMap((order) =>
      ENDIAN_BITS.map((bits) => [`${order}${bits}`, { order, bits }] as const),
    ),
  );
const ACCESSES = new Map(
  SIZES.flatMap((size) =>
    [false, true].map((signed) => [`${signed ? 's' : 'u'}${SIZE[size].bits}`, { size, signed }] as const),
  ),
);
const LOCK_SYMBOLS: ReadonlyMap<string, AtomicOp> = new Map(
  ATOMIC_OPS.flatMap((op) => {
    const fact = ATOMIC[op];
    return 'symbol' in fact ? [[fact.symbol, op] as const] : [];
  }),
);
const FETCHES: ReadonlyMap<string, AtomicOp> = new Map(
  ATOMIC_OPS.filter((op) => !ATOMIC[op].fetches).map((op) => [`atomic_fetch_${op}`, op]),
);
const EXCHANGES = new Map(
  (['xchg', 'cmpxchg'] as const).flatMap((op) =>
    ([4, 8] as const).flatMap((size) =>
      [exchangeName(op, size), `${op}_${size * 8}`].map((name) => [name, { op, size }] as const),
    ),
  ),
);

function instruction(cursor: Cursor): Parsed {
  const dst = registerOf(cursor.peek(), '');
  if (dst !== undefined) {
    cursor.next();
    return assignment(cursor, dst);
  }
  if (cursor.take('if')) return conditional(cursor);
  if (cursor.take('goto')) return jump(cursor, (off) => ({ kind: 'ja', wide: false, off }));
  if (cursor.take('gotol')) return jump(cursor, (off) => ({ kind: 'ja', wide: true, off }), 32);
  if (cursor.take('may_goto')) return jump(cursor, (off) => ({ kind: 'may_goto', off }));
  if (cursor.take('callx')) return { kind: 'call', target: { kind: 'reg', reg: wide(cursor) } };
  if (cursor.take('call')) return call(cursor);
  if (cursor.take('exit')) return { kind: 'exit' };
  if (cursor.take('lock')) return lock(cursor);
  if (cursor.take('store_release')) return storeRelease(cursor);
  if (cursor.take('ld_pseudo')) return ldPseudo(cursor);
  if (cursor.take('*')) return store(cursor);
  return cursor.fail('expected an instruction');
}

function jump(cursor: Cursor, make: (off: number) => Insn, bits: 16 | 32 = 16): Parsed {
  return { target: cursor.target(), bits, make };
}

function register(cursor: Cursor, expected = 'a register'): RegToken {
  const found = registerOf(cursor.peek(), '');
  if (found === undefined) return cursor.fail(`expected ${expected} (r0 to r10, w0 to w10)`);
  cursor.next();
  return found;
}

/** A 64-bit register. */
function wide(cursor: Cursor): Reg {
  return ofWidth(cursor, 64);
}

function ofWidth(cursor: Cursor, width: Width): Reg {
  const token = cursor.peek();
  const found = register(cursor);
  if (found.width !== width) {
    cursor.fail(`expected a ${width}-bit register (${width === 32 ? 'w' : 'r'}${found.reg})`, token);
  }
  return found.reg;
}

/** A register that must be the given one, since the instruction has one field for both. */
function same(cursor: Cursor, reg: RegToken, why: string): void {
  const token = cursor.peek();
  const found = register(cursor);
  if (found.reg !== reg.reg || found.width !== reg.width) {
    cursor.fail(`expected ${reg.width === 32 ? 'w' : 'r'}${reg.reg}, ${why}`, token);
  }
}

function operand(cursor: Cursor, width: Width): Operand {
  return registerOf(cursor.peek(), '') !== undefined
    ? { kind: 'reg', reg: ofWidth(cursor, width) }
    : { kind: 'imm', imm: cursor.imm32() };
}

function assignment(cursor: Cursor, dst: RegToken): Parsed {
  if (!cursor.is('=')) {
    const op = cursor.choose(ALU_SYMBOLS, 'an assignment operator');
    return { kind: 'alu', op, width: dst.width, dst: dst.reg, src: operand(cursor, dst.width) };
  }
  const equals = cursor.next();
  const token = cursor.peek();
  if (cursor.is('-') && registerOf(cursor.peek(1), '') !== undefined) {
    cursor.next();
    same(cursor, dst, 'the register that is negated');
    return { kind: 'neg', width: dst.width, dst: dst.reg };
  }
  if (cursor.is('(')) return signExtend(cursor, dst);
  if (cursor.is('*')) {
    cursor.next();
    return load(cursor, dst);
  }
  if (token.kind === 'name') {
    const swap = SWAPS.get(token.text);
    if (swap !== undefined) {
      cursor.next();
      if (dst.width === 32) cursor.fail('expected a 64-bit register on the left', token);
      same(cursor, dst, 'the register that is swapped');
      return { kind: 'endian', ...swap, dst: dst.reg };
    }
    const fetch = FETCHES.get(token.text);
    if (fetch !== undefined) return atomicFetch(cursor, dst, fetch);
    const exchange = EXCHANGES.get(token.text);
    if (exchange !== undefined) return atomicExchange(cursor, dst, exchange.op, exchange.size);
    if (token.text === 'load_acquire') return loadAcquire(cursor, dst);
    if (token.text === 'addr_space_cast') return addrSpaceCast(cursor, dst);
    const pseudo = parsePseudo(cursor);
    if (pseudo !== undefined) {
      if (dst.width === 32) cursor.fail('expected a 64-bit register on the left', equals);
      cursor.take('ll');
      return { kind: 'ldimm64', dst: dst.reg, imm: pseudo };
    }
  }
  if (registerOf(token, '') !== undefined) {
    return { kind: 'alu', op: 'mov', width: dst.width, dst: dst.reg, src: operand(cursor, dst.width) };
  }
  const value = cursor.number(-(2n ** 63n), 2n ** 64n - 1n, 'a register, a number or a memory access');
  if (cursor.take('ll')) {
    if (dst.width === 32) cursor.fail('expected a 64-bit register on the left', equals);
    return { kind: 'ldimm64', dst: dst.reg, imm: { kind: 'value', value: BigInt.asUintN(64, value) } };
  }
  if (value < -(2n ** 31n) || value >= 2n ** 32n) {
    cursor.fail(`expected a 32-bit number (write "ll" behind a 64-bit one), not ${value}`, token);
  }
  const imm = Number(BigInt.asIntN(32, value));
  return { kind: 'alu', op: 'mov', width: dst.width, dst: dst.reg, src: { kind: 'imm', imm } };
}

function signExtend(cursor: Cursor, dst: RegToken): Insn {
  cursor.expect('(');
  const names = new Map(MOVSX_BITS[dst.width].map((bits) => [`s${bits}`, bits] as const));
  const bits = cursor.choose(names, [...names.keys()].join(', '));
  cursor.expect(')');
  return { kind: 'movsx', width: dst.width, bits, dst: dst.reg, src: ofWidth(cursor, dst.width) };
}

/** `(u32 *)`: the access, behind which the address stands. */
function access(cursor: Cursor): { readonly size: Size; readonly signed: boolean } {
  cursor.expect('(');
  const found = cursor.choose(ACCESSES, 'u8, u16, u32, u64, s8, s16 or s32');
  cursor.expect('*', ')');
  return found;
}

/** `r1 + 4`, `r1 - 4`, `r1`. */
function address(cursor: Cursor): { readonly reg: Reg; readonly off: number } {
  const reg = wide(cursor);
  const off = cursor.is('+') || cursor.is('-') ? cursor.off16('an offset') : 0;
  return { reg, off };
}

function parenthesized(cursor: Cursor): { readonly reg: Reg; readonly off: number } {
  cursor.expect('(');
  const found = address(cursor);
  cursor.expect(')');
  return found;
}

function load(cursor: Cursor, dst: RegToken): Insn {
  const start = cursor.peek();
  const { size, signed } = access(cursor);
  if (cursor.is('skb')) return packetLoad(cursor, dst, size, signed);
  const { reg, off } = parenthesized(cursor);
  if (signed && size === 8) cursor.fail('expected u64: nothing extends a load of 8 bytes', start);
  if (dst.width === 32 && (signed || size === 8)) {
    cursor.fail(
      `expected r${dst.reg} on the left: only unsigned loads of up to 4 bytes name w registers`,
      start,
    );
  }
  return { kind: 'ldx', size, signed, dst: dst.reg, src: reg, off };
}

function packetLoad(cursor: Cursor, dst: RegToken, size: Size, signed: boolean): Insn {
  const skb = cursor.peek();
  if (signed || size === 8) return cursor.fail('expected an access of u8, u16 or u32 before', skb);
  if (dst.reg !== 0 || dst.width !== 64)
    cursor.fail('expected r0 on the left: packet loads write r0, before', skb);
  cursor.expect('skb', '[');
  const src = registerOf(cursor.peek(), '') === undefined ? undefined : wide(cursor);
  const imm = src === undefined || cursor.is('+') || cursor.is('-') ? cursor.imm32() : 0;
  cursor.expect(']');
  return src === undefined ? { kind: 'ld_abs', size, imm } : { kind: 'ld_ind', size, src, imm };
}

function store(cursor: Cursor): Insn {
  const start = cursor.peek();
  const { size, signed } = access(cursor);
  if (signed) cursor.fail('expected an unsigned access: stores have no sign', start);
  const { reg, off } = parenthesized(cursor);
  cursor.expect('=');
  const token = cursor.peek();
  const src = registerOf(token, '');
  if (src === undefined) return { kind: 'st', size, dst: reg, off, imm: cursor.imm32() };
  cursor.next();
  if (src.width === 32 && size === 8) cursor.fail(`expected r${src.reg} for a store of 8 bytes`, token);
  return { kind: 'stx', size, dst: reg, off, src: src.reg };
}

function conditional(cursor: Cursor): Parsed {
  const dst = register(cursor);
  const op = cursor.choose(JMP_SYMBOLS, 'a comparison operator');
  const src = operand(cursor, dst.width);
  cursor.expect('goto');
  return jump(cursor, (off) => ({ kind: 'jmp', op, width: dst.width, dst: dst.reg, src, off }));
}

function call(cursor: Cursor): Parsed {
  const kfunc = parseKfunc(cursor);
  if (kfunc !== undefined) return { kind: 'call', target: kfunc };
  const token = cursor.peek();
  if (token.kind !== 'name' || cursor.options.constant?.(token.text) !== undefined) {
    return { kind: 'call', target: { kind: 'helper', id: cursor.imm32() } };
  }
  if (registerOf(token, '') !== undefined) cursor.fail('expected a function; a register is called by callx');
  return callNamed(cursor);
}

/** A called name: a helper, a kernel function, else a label. A number behind `#` is the id that bpftool prints. */
export function callNamed(cursor: Cursor): Parsed {
  const token = cursor.peek();
  const id = cursor.options.helper?.(token.text);
  if (id !== undefined) {
    cursor.next();
    if (cursor.take('#')) cursor.u32('a helper id');
    return { kind: 'call', target: { kind: 'helper', id } };
  }
  const kfunc = cursor.options.kfunc?.(token.text);
  if (kfunc !== undefined) {
    cursor.next();
    if (cursor.take('#')) cursor.u32('a BTF id');
    return { kind: 'call', target: { kind: 'kfunc', ...kfunc } };
  }
  return jump(cursor, (off) => ({ kind: 'call', target: { kind: 'local', off } }), 32);
}

function pointer(cursor: Cursor): { readonly size: Size; readonly reg: Reg; readonly off: number } {
  const start = cursor.peek();
  const { size, signed } = access(cursor);
  if (signed) cursor.fail('expected an unsigned access', start);
  return { size, ...parenthesized(cursor) };
}

function atomicSize(cursor: Cursor, size: Size): 4 | 8 {
  return size === 4 || size === 8
    ? size
    : cursor.fail(`expected u32 or u64 before: atomics have no ${size * 8}-bit form`);
}

function lock(cursor: Cursor): Insn {
  cursor.expect('*');
  const { size: any, reg, off } = pointer(cursor);
  const size = atomicSize(cursor, any);
  const op = cursor.choose(LOCK_SYMBOLS, 'an atomic operator (+=, |=, &=, ^=)');
  const token = cursor.peek();
  const src = register(cursor);
  if (src.width === 32 && size === 8) cursor.fail(`expected r${src.reg} for an access of 8 bytes`, token);
  return { kind: 'atomic', op, fetch: false, size, dst: reg, off, src: src.reg };
}

function atomicFetch(cursor: Cursor, dst: RegToken, op: AtomicOp): Insn {
  cursor.next();
  cursor.expect('(');
  const { size: any, reg, off } = pointer(cursor);
  const size = atomicSize(cursor, any);
  cursor.expect(',');
  const token = cursor.peek();
  same(cursor, dst, 'the register that the old value goes to');
  if (dst.width === 32 && size === 8)
    cursor.fail('expected a 64-bit register for an access of 8 bytes', token);
  cursor.expect(')');
  return { kind: 'atomic', op, fetch: true, size, dst: reg, off, src: dst.reg };
}

function atomicExchange(cursor: Cursor, dst: RegToken, op: 'xchg' | 'cmpxchg', size: 4 | 8): Insn {
  const name = cursor.next();
  const width = size === 8 ? 64 : 32;
  if (dst.width !== width) cursor.fail(`expected a ${width}-bit register on the left of`, name);
  cursor.expect('(');
  const { reg, off } = address(cursor);
  cursor.expect(',');
  let src = dst.reg;
  if (op === 'cmpxchg') {
    if (dst.reg !== 0) cursor.fail('expected register 0 on the left of', name);
    same(cursor, dst, 'which holds the expected value');
    cursor.expect(',');
    src = ofWidth(cursor, width);
  } else {
    same(cursor, dst, 'the register that the old value goes to');
  }
  cursor.expect(')');
  return { kind: 'atomic', op, fetch: true, size, dst: reg, off, src };
}

function loadAcquire(cursor: Cursor, dst: RegToken): Insn {
  const name = cursor.next();
  cursor.expect('(');
  const { size, reg, off } = pointer(cursor);
  cursor.expect(')');
  if (dst.width === 32 && size === 8) cursor.fail('expected a 64-bit register on the left of', name);
  return { kind: 'load_acquire', size, dst: dst.reg, src: reg, off };
}

function storeRelease(cursor: Cursor): Insn {
  cursor.expect('(');
  const { size, reg, off } = pointer(cursor);
  cursor.expect(',');
  const token = cursor.peek();
  const src = register(cursor);
  if (src.width === 32 && size === 8) cursor.fail(`expected r${src.reg} for a store of 8 bytes`, token);
  cursor.expect(')');
  return { kind: 'store_release', size, dst: reg, off, src: src.reg };
}

function addrSpaceCast(cursor: Cursor, dst: RegToken): Insn {
  const name = cursor.next();
  if (dst.width === 32) cursor.fail('expected a 64-bit register on the left of', name);
  cursor.expect('(');
  const src = wide(cursor);
  cursor.expect(',');
  const dstAs = Number(cursor.number(0n, 0xffffn, 'an address space'));
  cursor.expect(',');
  const srcAs = Number(cursor.number(0n, 0xffffn, 'an address space'));
  cursor.expect(')');
  return { kind: 'addr_space_cast', dst: dst.reg, src, dstAs, srcAs };
}

/** LLVM's form of pseudo sources. It has no second immediate, so offsets and BTF fds are 0. */
function ldPseudo(cursor: Cursor): Insn {
  const dst = wide(cursor);
  cursor.expect(',');
  const token = cursor.peek();
  const src = cursor.number(0n, 15n, 'a pseudo source');
  const kind = IMM64_KINDS.find((kind) => BigInt(IMM64[kind].src) === src);
  cursor.expect(',');
  const low = cursor.imm32();
  switch (kind) {
    case undefined:
      return cursor.fail('expected a pseudo source from 0 to 6', token);
    case 'value':
      return { kind: 'ldimm64', dst, imm: { kind, value: BigInt(low >>> 0) } };
    case 'map_fd':
      return { kind: 'ldimm64', dst, imm: { kind, fd: low } };
    case 'map_value':
      return { kind: 'ldimm64', dst, imm: { kind, fd: low, off: 0 } };
    case 'btf_id':
      return { kind: 'ldimm64', dst, imm: { kind, id: low >>> 0, btfFd: 0 } };
    case 'func':
      return { kind: 'ldimm64', dst, imm: { kind, off: low } };
    case 'map_idx':
      return { kind: 'ldimm64', dst, imm: { kind, idx: low } };
    case 'map_idx_value':
      return { kind: 'ldimm64', dst, imm: { kind, idx: low, off: 0 } };
  }
}
