/**
 * Holds the verifier's value domain against Linux: random straight-line programs of arithmetic and comparisons over unknown
 * numbers are loaded with log level 2, and every state that the log prints is compared with the one computed here.
 *
 * Usage: tsx scripts/fuzz-scalars.ts [--count N] [--seed N] [--keep-going]
 * Exit code 1 when a state differs; the program and the line are printed.
 */

import { InputError } from '../src/base/error.ts';
import type { AluOp, Insn, JmpOp, Operand, Reg, Width } from '../src/isa/index.ts';
import { encode } from '../src/isa/index.ts';
import { alu, negate, split } from '../src/kernel/verifier/value/alu.ts';
import { decide, refineBoth, refineSame } from '../src/kernel/verifier/value/branch.ts';
import { swapBytes } from '../src/kernel/verifier/value/endian.ts';
import { formatScalar } from '../src/kernel/verifier/value/print.ts';
import { Scalar } from '../src/kernel/verifier/value/scalar.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';

const FIRST_REG = 2;
const LAST_REG = 7;
const ALU_OPS: readonly AluOp[] = [
  'add',
  'sub',
  'mul',
  'and',
  'or',
  'xor',
  'lsh',
  'rsh',
  'arsh',
  'add',
  'sub',
  'and',
  'div',
  'mod',
  'mov',
];
const JMP_OPS: readonly JmpOp[] = [
  'jeq',
  'jne',
  'jgt',
  'jge',
  'jlt',
  'jle',
  'jsgt',
  'jsge',
  'jslt',
  'jsle',
  'jset',
];
const EDGES = [
  0, 1, 2, 3, 7, 8, 31, 32, 63, 64, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7ffffffe,
  0x7fffffff, -1, -2, -3, -8, -128, -129, -256, -0x8000, -0x8001, -0x10000, -0x7fffffff, -0x80000000, 0xff00,
  0x0ff0, 0x55555555,
];

/** xorshift32: the same seed gives the same programs everywhere. */
class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = (seed * 2654435761) | 0 || 1;
  }
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }
  below(n: number): number {
    return this.next() % n;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
}

function register(random: Random): Reg {
  return (FIRST_REG + random.below(LAST_REG - FIRST_REG + 1)) as Reg;
}

function immediate(random: Random): number {
  return random.chance(70) ? random.pick(EDGES) : random.next() | 0;
}

function operand(random: Random, op: AluOp | JmpOp, width: Width): Operand {
  if (random.chance(50)) return { kind: 'reg', reg: register(random) };
  if (op === 'lsh' || op === 'rsh' || op === 'arsh') return { kind: 'imm', imm: random.below(width) };
  const imm = immediate(random);
  return { kind: 'imm', imm: (op === 'div' || op === 'mod') && imm === 0 ? 1 : imm };
}

/** A condition jumps over an exit: the way that falls through ends, the other goes on; or the reverse. */
function generate(random: Random): Insn[] {
  const insns: Insn[] = [];
  for (let reg = FIRST_REG; reg <= LAST_REG; reg++) {
    const size = random.pick([1, 2, 4, 8, 8, 8] as const);
    insns.push({ kind: 'ldx', size, signed: false, dst: reg as Reg, src: 10, off: -8 * reg });
  }
  const length = 4 + random.below(24);
  for (let i = 0; i < length; i++) {
    const dst = register(random);
    const width = random.pick([32, 64] as const);
    const kind = random.below(100);
    if (kind < 60) {
      const op = random.pick(ALU_OPS);
      const src = operand(random, op, width);
      insns.push({ kind: 'alu', op, width, dst, src });
      // A copy is linked to its source by an id, and comparisons of one would narrow the other.
      if (op === 'mov') insns.push({ kind: 'alu', op: 'xor', width: 64, dst, src: { kind: 'imm', imm: 0 } });
    } else if (kind < 64) {
      insns.push({ kind: 'neg', width, dst });
    } else if (kind < 70) {
      const bits = random.pick(width === 64 ? ([8, 16, 32] as const) : ([8, 16] as const));
      insns.push({ kind: 'movsx', width, bits, dst, src: register(random) });
      insns.push({ kind: 'alu', op: 'xor', width: 64, dst, src: { kind: 'imm', imm: 0 } });
    } else if (kind < 73) {
      const order = random.pick(['le', 'be', 'bswap'] as const);
      insns.push({ kind: 'endian', order, bits: random.pick([16, 32, 64] as const), dst });
    } else {
      const op = random.pick(JMP_OPS);
      const src = operand(random, op, width);
      const stub: Insn[] = [
        { kind: 'alu', op: 'mov', width: 64, dst: 0, src: { kind: 'imm', imm: 0 } },
        { kind: 'exit' },
      ];
      if (random.chance(50)) {
        insns.push({ kind: 'jmp', op, width, dst, src, off: 2 }, ...stub);
      } else {
        insns.push(
          { kind: 'jmp', op, width, dst, src, off: 1 },
          { kind: 'ja', wide: false, off: 2 },
          ...stub,
        );
      }
    }
  }
  insns.push({ kind: 'alu', op: 'mov', width: 64, dst: 0, src: { kind: 'imm', imm: 0 } }, { kind: 'exit' });
  return insns;
}

type Regs = Scalar[];

const SIZES: Readonly<Record<number, Scalar>> = {
  1: Scalar.UNKNOWN.truncate(1),
  2: Scalar.UNKNOWN.truncate(2),
  4: Scalar.UNKNOWN.truncate(4),
  8: Scalar.UNKNOWN,
};

function operandOf(regs: Regs, src: Operand): Scalar {
  return src.kind === 'reg' ? regs[src.reg]! : Scalar.knownImm(src.imm);
}

/** After a comparison that some values can't survive Linux forgets all ranges where they contradict each other. */
function step(regs: Regs, insn: Insn): void {
  switch (insn.kind) {
    case 'ldx':
      regs[insn.dst] = SIZES[insn.size]!;
      return;
    case 'alu':
      regs[insn.dst] = alu(insn.op, insn.width, regs[insn.dst]!, operandOf(regs, insn.src));
      return;
    case 'neg':
      regs[insn.dst] = negate(insn.width, regs[insn.dst]!);
      return;
    case 'movsx':
      regs[insn.dst] =
        insn.width === 64
          ? regs[insn.src]!.signExtend64(insn.bits)
          : regs[insn.src]!.signExtend32(insn.bits as 8 | 16);
      return;
    case 'endian':
      regs[insn.dst] = swapBytes(insn.order, insn.bits, regs[insn.dst]!);
      return;
    default:
      return;
  }
}

/** Registers in a line of the log, by number: `R3=scalar(…) R4=5`. */
function* states(text: string): Generator<[number, string]> {
  for (const match of text.matchAll(
    /R(\d+)(?:_w|_r|_rw)?=([^\s(]+(?:\([^)]*\)(?:[^\s]*\))?)?|scalar\(\))/g,
  )) {
    yield [Number(match[1]), match[2]!];
  }
}

/** A state's text without precision marks and ids. */
function bare(text: string): string {
  return text.replace(/^P/, '').replace(/^scalar\(id=\d+(?:[+-]\d+)?,?/, 'scalar(');
}

interface Mismatch {
  readonly line: string;
  readonly reg: number;
  readonly ours: string;
}

class Replay {
  readonly insns: readonly Insn[];
  readonly offsets: number[] = [];
  readonly pending = new Map<string, Regs>();
  regs: Regs = new Array<Scalar>(11).fill(Scalar.ZERO);
  compared = 0;
  /** Contradictions that Linux reports. */
  contradictions = 0;

  constructor(insns: readonly Insn[]) {
    this.insns = insns;
  }

  /** Follows the log and compares; the first difference ends it. */
  run(log: string): Mismatch | undefined {
    let started = false;
    for (const line of log.split('\n')) {
      const from = /^from (\d+) to (\d+): (.*)$/.exec(line);
      if (from !== null) {
        const regs = this.pending.get(`${from[1]} ${from[2]}`);
        if (regs === undefined) return { line, reg: -1, ours: 'this way is not possible' };
        this.regs = regs;
        const wrong = this.#compare(line, from[3]!);
        if (wrong !== undefined) return wrong;
        continue;
      }
      if (!started) {
        started = /^0: R1=ctx\(\)/.test(line);
        continue;
      }
      if (line.includes('REG INVARIANTS VIOLATION')) this.contradictions++;
      const at = /^(\d+): (?:\(|(R\d))/.exec(line);
      if (at === null) continue;
      const index = Number(at[1]);
      if (at[2] !== undefined) {
        const wrong = this.#compare(line, line);
        if (wrong !== undefined) return wrong;
        continue;
      }
      const insn = this.insns[index]!;
      const wrong = this.#execute(index, insn, line);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }

  #execute(index: number, insn: Insn, line: string): Mismatch | undefined {
    if (insn.kind === 'jmp') {
      const a = this.regs[insn.dst]!;
      const b = operandOf(this.regs, insn.src);
      const way = decide(insn.op, insn.width, a, b);
      if (way === undefined) {
        this.#fork(insn, `${index} ${index + 1 + insn.off}`);
      }
    } else {
      const parts =
        insn.kind === 'alu'
          ? split(insn.op, this.regs[insn.dst]!, operandOf(this.regs, insn.src))
          : undefined;
      if (insn.kind === 'alu' && parts !== undefined) {
        const zeros = [...this.regs];
        zeros[insn.dst] = parts.zeros;
        this.regs = [...this.regs];
        this.regs[insn.dst] = parts.ones;
        this.pending.set(`${index} ${index}`, zeros);
      }
      step(this.regs, insn);
    }
    const shown = line.indexOf(' ; ');
    return shown < 0 ? undefined : this.#compare(line, line.slice(shown));
  }

  /** Sets the taken way aside and goes on with the other. */
  #fork(insn: Extract<Insn, { kind: 'jmp' }>, key: string): void {
    const { op, width, dst, src } = insn;
    const taken = [...this.regs];
    const on = [...this.regs];
    if (src.kind === 'reg' && src.reg === dst) {
      const ways = refineSame(op, width, this.regs[dst]!);
      taken[dst] = ways.taken;
      on[dst] = ways.fallthrough;
    } else {
      const ways = refineBoth(op, width, this.regs[dst]!, operandOf(this.regs, src));
      [taken[dst], on[dst]] = [ways.taken[0], ways.fallthrough[0]];
      if (src.kind === 'reg') [taken[src.reg], on[src.reg]] = [ways.taken[1], ways.fallthrough[1]];
    }
    this.pending.set(key, taken);
    this.regs = on;
  }

  #compare(line: string, text: string): Mismatch | undefined {
    for (const [reg, state] of states(text)) {
      if (reg < FIRST_REG || reg > LAST_REG) continue;
      this.compared++;
      const ours = formatScalar(this.regs[reg]!);
      if (ours !== bare(state)) return { line, reg, ours };
    }
    return undefined;
  }
}

function option(name: string, fallback: number): number {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
}

function main(): number {
  const status = linuxStatus();
  if (!status.ok) {
    console.log(`skipped: ${status.reason}`);
    return 0;
  }
  const count = option('count', 20_000);
  const seed = option('seed', Date.now() & 0xffffff);
  const keepGoing = process.argv.includes('--keep-going');
  console.log(`seed ${seed}`);
  using linux = openLinux();
  let programs = 0;
  let states = 0;
  let differing = 0;
  let contradictions = 0;
  for (let i = 0; i < count; i++) {
    const insns = generate(new Random(seed + i));
    let log: string;
    try {
      const result = linux.bpf.prog_load({
        prog_type: 'socket_filter',
        insns: encode(insns),
        license: 'GPL',
        log_level: 2,
        log_size: 1 << 20,
      });
      log = result.log;
      linux.closeFd(result.fd);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      log = error.detail ?? '';
    }
    const replay = new Replay(insns);
    const wrong = replay.run(log);
    programs++;
    states += replay.compared;
    contradictions += replay.contradictions;
    if (wrong !== undefined) {
      differing++;
      console.log(`program ${seed + i}: R${wrong.reg}\n  linux ${wrong.line}\n  skep  ${wrong.ours}`);
      if (!keepGoing || differing >= 20) {
        console.log(log);
        break;
      }
    }
  }
  console.log(
    `${programs} programs, ${states} states compared, ${differing} programs differ, ${contradictions} contradictions reported by Linux`,
  );
  console.log(`figure scalar_states_compared ${states}`);
  console.log(`figure scalar_programs_differing ${differing}`);
  return differing === 0 && states > 0 ? 0 : 1;
}

process.exitCode = main();
