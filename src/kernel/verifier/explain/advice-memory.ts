/** Accesses to values, records and the stack, sizes that are passed, and arithmetic on pointers. */
import { baseType, PTR_TO_MAP_VALUE, PTR_TO_STACK, SCALAR } from '../explore/reg-type.ts';
import type { Refusal, RejectCode } from '../rejection.ts';
import { formatSigned, formatUnsigned } from '../value/print.ts';
import type { Scalar } from '../value/scalar.ts';
import { describeTarget, plural } from './describe.ts';
import { HINTS } from './hints.ts';
import { calleeName } from './insn-text.ts';
import { argumentText, assigned, isName, subscript } from './names.ts';
import { type Advice, type BlamedReg, place, type Trouble } from './trouble.ts';

/** Refusals that the size of an argument can be behind. */
const SIZED: ReadonlySet<RejectCode> = new Set<RejectCode>(['memory-bounds', 'memory-size', 'stack-bounds']);

/** A number that was added to a pointer, and what it was made from. */
interface Index {
  /** Bytes that 1 stands for. */
  readonly scale: number;
  readonly scalar: Scalar;
  readonly name: string;
  /** A comparison that the number passed. */
  readonly check: number | undefined;
}

export function memoryAdvice(trouble: Trouble): Advice | undefined {
  return (
    region(trouble) ??
    added(trouble) ??
    passedSize(trouble) ??
    stackIndex(trouble) ??
    aboveStack(trouble) ??
    unwritten(trouble) ??
    readOnly(trouble)
  );
}

function region(trouble: Trouble): Advice | undefined {
  const { refusal, regs } = trouble;
  const { access } = refusal;
  if (refusal.code !== 'memory-bounds' || access === undefined) return undefined;
  const pointer = regs.find(({ value }) => value.type !== SCALAR);
  if (pointer === undefined) return undefined;
  const size = passedSize(trouble);
  if (size !== undefined) return size;
  const { scalar } = pointer.value;
  const what = describeTarget(pointer.value);
  if (scalar.isConst) {
    const first = access.off + scalar.constNumber();
    const bytes = access.size === 1 ? `byte ${first}` : `bytes ${first} to ${first + access.size - 1}`;
    return {
      reason: `${bytes} of ${what} ${access.size === 1 ? 'is' : 'are'} accessed, and it has ${plural(access.of, 'byte')}`,
      suggestion: `stay inside its ${plural(access.of, 'byte')}, or ${enlarge(trouble, pointer, first + access.size)}`,
    };
  }
  const index = indexOf(trouble, pointer.number, trouble.steps.length - 1);
  const most = Math.max(0, Math.floor((access.of - access.size - access.off) / index.scale));
  return {
    reason: `${range(index, `${index.name} may be`)}, which reaches outside of ${what} (${plural(access.of, 'byte')})`,
    suggestion: limit(trouble, index, most),
  };
}

/** How what is too small becomes larger. */
function enlarge({ chain, ...rest }: Trouble, { value }: BlamedReg, need: number): string {
  if (baseType(value.type) === PTR_TO_MAP_VALUE)
    return `declare map ${value.map?.name ?? ''} with a larger value`;
  const origin = chain.findLast(({ kind }) => kind === 'call');
  return origin === undefined
    ? 'use something larger'
    : `ask for at least ${need} in ${place(rest, origin.insn)}`;
}

/** A pointer and a number without a bound are added. */
function added(trouble: Trouble): Advice | undefined {
  const { refusal, regs, insn } = trouble;
  if (refusal.code !== 'pointer-offset' || insn?.kind !== 'alu' || insn.src.kind !== 'reg') return undefined;
  const pointer = regs.find(({ value }) => value.type !== SCALAR);
  const number = regs.find(({ value }) => value.type === SCALAR && !value.scalar.isConst);
  if (pointer === undefined || number === undefined) return undefined;
  const index = scaled(trouble, number.number, trouble.steps.length - 1);
  const size =
    baseType(pointer.value.type) === PTR_TO_MAP_VALUE ? pointer.value.map?.valueSize : pointer.value.memSize;
  const used = accessAfter(trouble, insn.dst);
  const most = size ? Math.floor((size - used) / index.scale) : 0;
  return {
    reason: `${range(index, `${index.name}, which is added to a pointer, may be`)}`,
    suggestion:
      most > 0
        ? limit(trouble, index, most)
        : `limit it before it is added: if (${index.name} < 0 || ${index.name} > LIMIT) return …`,
  };
}

/** Bytes that the next access through a register reaches, as far as the code behind tells. */
function accessAfter({ draft, refusal }: Trouble, regno: number): number {
  for (let idx = refusal.insn + 1; idx < refusal.insn + 4; idx++) {
    const insn = draft.insns[idx];
    if (insn?.kind === 'ldx' && insn.src === regno) return insn.off + insn.size;
    if ((insn?.kind === 'st' || insn?.kind === 'stx') && insn.dst === regno) return insn.off + insn.size;
  }
  return 1;
}

function range({ scalar }: Index, words: string): string {
  const { sminHi, sminLo, smaxHi, smaxLo, umaxHi, umaxLo } = scalar;
  if (sminHi < 0) {
    const all = sminHi === -0x80000000 && sminLo === 0 && smaxHi === 0x7fffffff && smaxLo === -1;
    return `${words} ${all ? 'anything' : `negative (${formatSigned(sminHi, sminLo)} to ${formatSigned(smaxHi, smaxLo)})`}`;
  }
  return `${words} up to ${formatUnsigned(umaxHi, umaxLo)}`;
}

/** How the number is tested before it is used. */
function limit(trouble: Trouble, index: Index, most: number): string {
  const { scalar, check } = index;
  // What is read twice from memory may be another number the second time.
  const copied = index.name.includes('>') || index.name.includes('.');
  const name = copied ? 'i' : index.name;
  const before = copied ? `copy ${index.name} into a variable i and test that` : 'test it';
  const negative = scalar.sminHi < 0 ? `${name} < 0 || ` : '';
  const now =
    check === undefined
      ? 'nothing bounds it now'
      : `${place(trouble, check)} ${negative === '' ? `lets it be up to ${formatUnsigned(scalar.umaxHi, scalar.umaxLo)}` : 'lets it be negative'}`;
  const unsigned = negative === '' ? '' : ', or make it unsigned';
  return `${before} before it is used: if (${negative}${name} > ${most}) return …${unsigned} (${now})`;
}

/** What was last added to the pointer in a register. */
function indexOf(trouble: Trouble, regno: number, before: number): Index {
  const { steps, draft } = trouble;
  let reg = regno;
  for (let at = before - 1; at >= 0; at--) {
    const insn = draft.insns[steps[at]!.insnIdx];
    if (insn?.kind !== 'alu' || insn.dst !== reg) continue;
    if (insn.op === 'mov' && insn.src.kind === 'reg') reg = insn.src.reg;
    else if (insn.op === 'add' && insn.src.kind === 'reg') {
      const other = steps[at]!.regs[reg]!.type === SCALAR ? reg : insn.src.reg;
      return scaled(trouble, other, at);
    }
  }
  return { scale: 1, scalar: steps[before]!.regs[regno]!.scalar, name: 'i', check: undefined };
}

/** The number in a register before a step, without the multiplication that makes bytes of an index. */
function scaled(trouble: Trouble, regno: number, before: number): Index {
  const { steps, draft, line } = trouble;
  let scale = 1;
  let reg = regno;
  let scalar = steps[before]!.regs[regno]!.scalar;
  let check: number | undefined;
  let origin = steps[before]!.insnIdx;
  for (let at = before - 1; at >= 0; at--) {
    const { insnIdx, regs } = steps[at]!;
    const insn = draft.insns[insnIdx];
    if (insn?.kind === 'jmp' && check === undefined) {
      const here = insn.dst === reg || (insn.src.kind === 'reg' && insn.src.reg === reg);
      if (here && !regs[reg]!.sameValue(steps[at + 1]!.regs[reg]!)) check = insnIdx;
    }
    if (insn === undefined || !('dst' in insn) || insn.dst !== reg || insn.kind === 'jmp') {
      if (insn?.kind === 'call' && reg === 0) {
        origin = insnIdx;
        break;
      }
      continue;
    }
    if (insn.kind === 'alu' && insn.op === 'mov' && insn.src.kind === 'reg') {
      reg = insn.src.reg;
      continue;
    }
    const factor =
      insn.kind === 'alu' && insn.src.kind === 'imm' ? factorOf(insn.op, insn.src.imm) : undefined;
    if (factor !== undefined && scale === 1) {
      scale = factor;
      scalar = regs[reg]!.scalar;
      continue;
    }
    origin = insnIdx;
    break;
  }
  const text = line(steps[before]!.insnIdx)?.text ?? '';
  const written = subscript(text) ?? assigned(line(origin)?.text ?? '');
  return { scale, scalar, name: written !== undefined && isName(written) ? written : 'i', check };
}

/** What an instruction multiplies by. */
function factorOf(op: string, imm: number): number | undefined {
  if (op === 'lsh' && imm < 16) return 2 ** imm;
  return op === 'mul' && imm > 0 ? imm : undefined;
}

/** The size that a function is told of memory that it works on. */
function passedSize(trouble: Trouble): Advice | undefined {
  const { insn, refusal, steps, draft, line } = trouble;
  const last = steps.at(-1);
  if (insn?.kind !== 'call' || last === undefined || !SIZED.has(refusal.code)) return undefined;
  const named = /^R(\d) (min value is negative|unbounded memory access)/.exec(refusal.problem);
  const memory = trouble.regs.find(({ value }) => value.type !== SCALAR);
  const regno =
    named !== null && last.regs[Number(named[1])]!.type === SCALAR
      ? Number(named[1])
      : (memory?.number ?? 9) + 1;
  const size = last.regs[regno];
  if (regno > 5 || size?.type !== SCALAR || size.scalar.isConst) return undefined;
  const name = calleeName(draft, insn.target);
  const source = line(last.insnIdx)?.text ?? '';
  const written = name === undefined ? undefined : argumentText(source, name, regno - 1);
  const what = written !== undefined && isName(written) ? written : 'size';
  const called = what === 'size' ? 'the size' : `the size ${what}`;
  const buffer = name === undefined ? undefined : argumentText(source, name, regno - 2);
  const room = roomOf(last.regs[regno - 1]);
  const most =
    room === undefined
      ? `sizeof(${buffer !== undefined && isName(buffer) ? buffer : 'buffer'})`
      : String(room);
  const { scalar } = size;
  const { check } = scaled(trouble, regno, steps.length - 1);
  const passed = check === undefined ? '' : ` (${place(trouble, check)} is not enough)`;
  if (scalar.sminHi < 0) {
    return {
      reason: `${called} (r${regno}) may be negative, which would be a very large size`,
      suggestion: `make it unsigned (__u32 ${what}), or test both ends: if (${what} < 0 || ${what} > ${most}) return …${passed}`,
    };
  }
  return {
    reason: `${called} (r${regno}) may be up to ${formatUnsigned(scalar.umaxHi, scalar.umaxLo)}, more than there is room for`,
    suggestion: `limit it before the call: if (${what} > ${most}) return …${passed}`,
  };
}

/** Bytes behind a pointer, where that is known. */
function roomOf(reg: Trouble['regs'][number]['value'] | undefined): number | undefined {
  if (reg === undefined || !reg.scalar.isConst) return undefined;
  const base = baseType(reg.type);
  const off = reg.off + reg.scalar.constNumber();
  if (base === PTR_TO_MAP_VALUE) return reg.map === null ? undefined : reg.map.valueSize - off;
  // Of the stack only that is known: the variable may be smaller.
  return base === PTR_TO_STACK ? -off : undefined;
}

/** An index into a local array. */
function stackIndex(trouble: Trouble): Advice | undefined {
  const { refusal, regs } = trouble;
  const pointer = regs.find(({ value }) => baseType(value.type) === PTR_TO_STACK && !value.scalar.isConst);
  if (pointer === undefined || !refusal.problem.includes('stack')) return undefined;
  const index = indexOf(trouble, pointer.number, trouble.steps.length - 1);
  const negative = index.scalar.sminHi < 0 ? `${index.name} < 0 || ` : '';
  return {
    reason: `${range(index, `${index.name}, an index into a local array, may be`)}`,
    suggestion: `test it before it is used: if (${negative}${index.name} >= SIZE) return …; with the size of the array`,
  };
}

/** Locals are below the frame pointer. */
function aboveStack({ refusal }: Trouble): Advice | undefined {
  const off = / stack R\d+ off=(\d+) /.exec(refusal.problem)?.[1];
  if (refusal.code !== 'stack-bounds' || off === undefined) return undefined;
  return {
    suggestion: 'stay inside the local variable: all of them are below the frame pointer (fp-1 to fp-512)',
  };
}

/** Stack that is read and that no path to the place wrote. */
function unwritten({ refusal, regs, draft }: Trouble): Advice | undefined {
  // Who may read what was not written is refused for what is there: a dynptr, an iterator, interrupt flags.
  if (draft.environment.capabilities.perfmon) return ownedStack(refusal);
  if (
    refusal.code !== 'uninitialised-stack' &&
    !/^invalid (indirect )?read from stack/.test(refusal.problem)
  ) {
    return undefined;
  }
  const [, first, more = '0'] = / off[= ](-\d+)(?:\+(\d+))?/.exec(refusal.problem) ?? [];
  const off = first === undefined ? undefined : Number(first) + Number(more);
  if (regs.length === 0 || (off !== undefined && off < -512)) return undefined;
  return {
    reason: `the stack is read${off === undefined ? '' : ` at fp${off}`}, where nothing was written on this path`,
    suggestion: HINTS['uninitialised-stack']!,
  };
}

function ownedStack({ problem, code }: Refusal): Advice | undefined {
  const found = /^invalid read from stack R\d off (-\d+)\+(\d+) /.exec(problem);
  if (found === null || code === 'stack-bounds') return undefined;
  return {
    reason: `the stack is read at fp${Number(found[1]) + Number(found[2])}, where a dynptr, an iterator or saved interrupt flags are`,
    suggestion:
      'use them only through their own functions: bpf_dynptr_read(), bpf_dynptr_data(), bpf_iter_…_next()',
  };
}

/** A map that programs may only read, or only write. */
function readOnly({ refusal, regs }: Trouble): Advice | undefined {
  if (refusal.code !== 'map-access') return undefined;
  const map = regs.find(({ value }) => value.map !== null)?.value.map;
  if (map?.name.endsWith('.rodata') !== true) {
    return { suggestion: 'create the map without that flag, or leave this to user space' };
  }
  return {
    reason: `a constant of the program is written: ${map.name} holds what is declared const`,
    suggestion:
      'declare the variable without const, then it can be written; a const volatile one is set by user space before loading',
  };
}
