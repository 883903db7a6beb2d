/**
 * The assembler of the mnemonic notation of ubpf and of the bpf_conformance cases. A jump goes to a label or over a
 * signed number of instructions; `exit`, where no label has that name, is the first `exit` instruction, as those
 * cases expect.
 */
import type { Insn, Operand, Reg, Size, Width } from './insn.ts';
import { callNamed } from './llvm-asm.ts';
import { parsePseudo } from './notation.ts';
import {
  ALU_OPS,
  ATOMIC,
  ATOMIC_OPS,
  ENDIAN,
  ENDIAN_BITS,
  ENDIAN_ORDERS,
  JMP_OPS,
  MOVSX_BITS,
  SIZE,
  SIZES,
  WIDTHS,
} from './opcodes.ts';
import {
  type AsmOptions,
  type Assembly,
  assembleText,
  type Cursor,
  type Parsed,
  registerOf,
} from './parser.ts';

type Parse = (cursor: Cursor) => Parsed;

/** Assembles the mnemonic notation. @throws InputError `isa-asm` naming line, column, token and what was expected */
export function assembleMnemonic(text: string, options: AsmOptions = {}): Assembly {
  return assembleText(text, options, (cursor) => cursor.choose(MNEMONICS, 'a mnemonic')(cursor), true);
}

function register(cursor: Cursor): Reg {
  const found = registerOf(cursor.peek(), '%');
  if (found === undefined || found.width === 32) return cursor.fail('expected a register (%r0 to %r10)');
  cursor.next();
  return found.reg;
}

function isRegister(cursor: Cursor): boolean {
  return registerOf(cursor.peek(), '%') !== undefined;
}

function operand(cursor: Cursor): Operand {
  return isRegister(cursor) ? { kind: 'reg', reg: register(cursor) } : { kind: 'imm', imm: cursor.imm32() };
}

function address(cursor: Cursor): { readonly reg: Reg; readonly off: number } {
  cursor.expect('[');
  const reg = register(cursor);
  const off = cursor.is(']') ? 0 : cursor.off16('an offset');
  cursor.expect(']');
  return { reg, off };
}

/** The operands `%rD, [%rS+off]`. */
function loading(cursor: Cursor): { readonly dst: Reg; readonly src: Reg; readonly off: number } {
  const dst = register(cursor);
  cursor.expect(',');
  const { reg: src, off } = address(cursor);
  return { dst, src, off };
}

/** The operands `[%rD+off], %rS`. */
function storing(cursor: Cursor): { readonly dst: Reg; readonly src: Reg; readonly off: number } {
  const { reg: dst, off } = address(cursor);
  cursor.expect(',');
  return { dst, src: register(cursor), off };
}

function widthSuffixes(width: Width): readonly string[] {
  return width === 32 ? ['32'] : ['', '64'];
}

function jump(cursor: Cursor, make: (off: number) => Insn, bits: 16 | 32 = 16): Parsed {
  return { target: cursor.target(), bits, make };
}

const ATOMIC_NAMES = new Map(
  ATOMIC_OPS.flatMap((op) =>
    ([4, 8] as const).flatMap((size) =>
      widthSuffixes(size === 4 ? 32 : 64).map((suffix) => [`${op}${suffix}`, { op, size }] as const),
    ),
  ),
) as ReadonlyMap<string, { readonly op: (typeof ATOMIC_OPS)[number]; readonly size: 4 | 8 }>;

function atomic(cursor: Cursor): Insn {
  const asked = cursor.take('fetch');
  const { op, size } = cursor.choose(ATOMIC_NAMES, 'an atomic operation');
  const fetch = asked || ATOMIC[op].fetches;
  return { kind: 'atomic', op, fetch, size, ...storing(cursor) };
}

function call(cursor: Cursor): Parsed {
  if (isRegister(cursor)) return { kind: 'call', target: { kind: 'reg', reg: register(cursor) } };
  if (cursor.take('local')) {
    return jump(cursor, (off) => ({ kind: 'call', target: { kind: 'local', off } }), 32);
  }
  if (cursor.take('runtime')) {
    const btfId = cursor.u32('a BTF id');
    const fdIdx = cursor.take(',') ? cursor.off16('an index into fd_array') : 0;
    return { kind: 'call', target: { kind: 'kfunc', btfId, fdIdx } };
  }
  cursor.take('helper');
  if (cursor.peek().kind === 'name') return callNamed(cursor);
  return { kind: 'call', target: { kind: 'helper', id: cursor.imm32() } };
}

function mnemonics(): ReadonlyMap<string, Parse> {
  const table = new Map<string, Parse>();
  for (const width of WIDTHS) {
    for (const suffix of widthSuffixes(width)) {
      for (const op of ALU_OPS) {
        table.set(`${op}${suffix}`, (cursor) => {
          const dst = register(cursor);
          cursor.expect(',');
          return { kind: 'alu', op, width, dst, src: operand(cursor) };
        });
      }
      table.set(`neg${suffix}`, (cursor) => ({ kind: 'neg', width, dst: register(cursor) }));
      for (const op of JMP_OPS) {
        table.set(`${op}${suffix}`, (cursor) => {
          const dst = register(cursor);
          cursor.expect(',');
          const src = operand(cursor);
          cursor.expect(',');
          return jump(cursor, (off) => ({ kind: 'jmp', op, width, dst, src, off }));
        });
      }
    }
    for (const bits of MOVSX_BITS[width]) {
      table.set(`movsx${bits}${width}`, (cursor) => {
        const dst = register(cursor);
        cursor.expect(',');
        return { kind: 'movsx', width, bits, dst, src: register(cursor) };
      });
    }
  }
  for (const order of ENDIAN_ORDERS) {
    for (const bits of ENDIAN_BITS) {
      for (const name of ENDIAN[order].mnemonics) {
        table.set(`${name}${bits}`, (cursor) => ({ kind: 'endian', order, bits, dst: register(cursor) }));
      }
    }
  }
  for (const size of SIZES) memory(table, size);
  table.set('lddw', (cursor) => {
    const dst = register(cursor);
    cursor.expect(',');
    const imm = parsePseudo(cursor) ?? { kind: 'value' as const, value: cursor.imm64() };
    return { kind: 'ldimm64', dst, imm };
  });
  table.set('ja', (cursor) => jump(cursor, (off) => ({ kind: 'ja', wide: false, off })));
  table.set('ja32', (cursor) => jump(cursor, (off) => ({ kind: 'ja', wide: true, off }), 32));
  table.set('may_goto', (cursor) => jump(cursor, (off) => ({ kind: 'may_goto', off })));
  table.set('call', call);
  table.set('callx', (cursor) => ({ kind: 'call', target: { kind: 'reg', reg: register(cursor) } }));
  table.set('exit', () => ({ kind: 'exit' }));
  table.set('lock', atomic);
  table.set('addr_space_cast', (cursor) => {
    const dst = register(cursor);
    cursor.expect(',');
    const src = register(cursor);
    cursor.expect(',');
    const dstAs = Number(cursor.number(0n, 0xffffn, 'an address space'));
    cursor.expect(',');
    const srcAs = Number(cursor.number(0n, 0xffffn, 'an address space'));
    return { kind: 'addr_space_cast', dst, src, dstAs, srcAs };
  });
  return table;
}

function memory(table: Map<string, Parse>, size: Size): void {
  const { suffix } = SIZE[size];
  table.set(`ldx${suffix}`, (cursor) => ({ kind: 'ldx', size, signed: false, ...loading(cursor) }));
  table.set(`stx${suffix}`, (cursor) => ({ kind: 'stx', size, ...storing(cursor) }));
  table.set(`st${suffix}`, (cursor) => {
    const { reg: dst, off } = address(cursor);
    cursor.expect(',');
    return { kind: 'st', size, dst, off, imm: cursor.imm32() };
  });
  table.set(`load_acquire_${suffix}`, (cursor) => ({ kind: 'load_acquire', size, ...loading(cursor) }));
  table.set(`store_release_${suffix}`, (cursor) => ({ kind: 'store_release', size, ...storing(cursor) }));
  if (size === 8) return;
  table.set(`ldxs${suffix}`, (cursor) => ({ kind: 'ldx', size, signed: true, ...loading(cursor) }));
  table.set(`ldabs${suffix}`, (cursor) => ({ kind: 'ld_abs', size, imm: cursor.imm32() }));
  table.set(`ldind${suffix}`, (cursor) => {
    const src = register(cursor);
    cursor.expect(',');
    return { kind: 'ld_ind', size, src, imm: cursor.imm32() };
  });
}

const MNEMONICS = mnemonics();
