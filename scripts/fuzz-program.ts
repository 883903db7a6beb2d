/** Programs of the verifier's fuzzer: instructions whose jumps name instructions, so that any of them can be taken out. */
import type { AttachType, ProgType } from '../src/sys/index.ts';

/** One instruction; a 64-bit load takes two slots. */
export interface FuzzInsn {
  readonly op: number;
  readonly dst: number;
  readonly src: number;
  /** Ignored where {@link target} says where a jump goes. */
  readonly off: number;
  readonly imm: number;
  /** Upper half of a 64-bit load. */
  readonly imm2?: number;
  /** What a jump leads to, or a call calls. */
  readonly target?: FuzzInsn;
  /** Index of the map whose fd belongs into `imm`. */
  readonly map?: number;
  /** Kernel function whose BTF id belongs into `imm`. */
  readonly kfunc?: string;
}

/** A function: the first is the program. */
export interface FuzzFunction {
  readonly insns: readonly FuzzInsn[];
  /** Number of its arguments, when it is global: verified apart, by its declaration. */
  readonly global?: number;
}

/** Capabilities that the program is loaded with. */
export type FuzzPrivilege = 'root' | 'careful';

export interface FuzzProgram {
  readonly type: ProgType;
  readonly attach?: AttachType;
  readonly privilege: FuzzPrivilege;
  readonly flags: number;
  readonly functions: readonly FuzzFunction[];
  /** Whether two runs on the same input must do the same. */
  readonly repeatable: boolean;
}

export const OP = {
  ldimm64: 0x18,
  call: 0x85,
  exit: 0x95,
  ja: 0x05,
  mayGoto: 0xe5,
  /** A jump whose distance is in `imm`. */
  longJa: 0x06,
} as const;
export const PSEUDO = { mapFd: 1, mapValue: 2, func: 4, localCall: 1, kfunc: 2 } as const;

const isWide = (insn: FuzzInsn): boolean => insn.op === OP.ldimm64;
const slots = (insn: FuzzInsn): number => (isWide(insn) ? 2 : 1);

export interface Encoded {
  readonly insns: Uint8Array;
  /** First slot of each function. */
  readonly starts: readonly number[];
}

/** What stands for maps and kernel functions in one kernel. */
export interface Names {
  mapFd(index: number): number;
  kfunc(name: string): number;
}

export function encodeProgram(program: FuzzProgram, names: Names): Encoded {
  const starts: number[] = [];
  const slotOf = new Map<FuzzInsn, number>();
  let total = 0;
  for (const { insns } of program.functions) {
    starts.push(total);
    for (const insn of insns) {
      slotOf.set(insn, total);
      total += slots(insn);
    }
  }
  const bytes = new Uint8Array(total * 8);
  const view = new DataView(bytes.buffer);
  for (const [insn, slot] of slotOf) {
    const at = slot * 8;
    const reach = insn.target === undefined ? 0 : (slotOf.get(insn.target) ?? 0) - slot - 1;
    const byImm = insn.op === OP.call || insn.op === OP.longJa || isWide(insn);
    view.setUint8(at, insn.op);
    view.setUint8(at + 1, insn.dst | (insn.src << 4));
    view.setInt16(at + 2, insn.target !== undefined && !byImm ? reach : insn.off, true);
    const imm =
      insn.map !== undefined
        ? names.mapFd(insn.map)
        : insn.kfunc !== undefined
          ? names.kfunc(insn.kfunc)
          : insn.target !== undefined && byImm
            ? reach
            : insn.imm;
    view.setInt32(at + 4, imm, true);
    if (isWide(insn)) view.setInt32(at + 12, insn.imm2 ?? 0, true);
  }
  return { insns: bytes, starts };
}

/** The program without some instructions: jumps to them lead to what comes after. @returns `undefined` when a function ends up empty */
export function without(program: FuzzProgram, removed: ReadonlySet<FuzzInsn>): FuzzProgram | undefined {
  const kept: FuzzInsn[][] = [];
  const next = new Map<FuzzInsn, FuzzInsn>();
  for (const { insns } of program.functions) {
    let after: FuzzInsn | undefined;
    const list: FuzzInsn[] = [];
    for (let i = insns.length - 1; i >= 0; i--) {
      const insn = insns[i]!;
      if (!removed.has(insn)) {
        after = insn;
        list.unshift(insn);
      }
      if (after === undefined) return undefined;
      next.set(insn, after);
    }
    kept.push(list);
  }
  return retarget(program, kept, (insn) => next.get(insn));
}

/** The program with one instruction for another. */
export function replaced(program: FuzzProgram, old: FuzzInsn, by: FuzzInsn): FuzzProgram {
  const lists = program.functions.map(({ insns }) => insns.map((insn) => (insn === old ? by : insn)));
  return retarget(program, lists, (insn) => (insn === old ? by : insn))!;
}

function retarget(
  program: FuzzProgram,
  lists: readonly (readonly FuzzInsn[])[],
  now: (insn: FuzzInsn) => FuzzInsn | undefined,
): FuzzProgram | undefined {
  // Jumps are rewritten in place of copies made first, since they may lead to each other.
  const copies = new Map<FuzzInsn, { -readonly [K in keyof FuzzInsn]: FuzzInsn[K] }>();
  for (const list of lists) for (const insn of list) copies.set(insn, { ...insn });
  for (const copy of copies.values()) {
    if (copy.target === undefined) continue;
    const target = copies.get(now(copy.target) ?? copy.target);
    if (target === undefined) return undefined;
    copy.target = target;
  }
  const functions = lists.map((list, i) => ({
    ...program.functions[i],
    insns: list.map((insn) => copies.get(insn)!),
  }));
  // A function that nothing calls any more is left out.
  const called = new Set<FuzzInsn>();
  for (const { insns } of functions) for (const insn of insns) if (insn.target) called.add(insn.target);
  return { ...program, functions: functions.filter(({ insns }, i) => i === 0 || called.has(insns[0]!)) };
}

/** Numbers that repeat for a seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 0;
    this.next();
    this.next();
  }

  /** 32 bits. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** 0 to n - 1. */
  below(n: number): number {
    return this.next() % n;
  }

  chance(share: number): boolean {
    return this.next() < share * 0x1_0000_0000;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** Small, at an edge, or anything. */
  imm(): number {
    switch (this.below(6)) {
      case 0:
      case 1:
        return this.below(16);
      case 2:
        return this.pick(EDGES);
      case 3:
        return (1 << this.below(31)) - this.below(2);
      case 4:
        return -this.below(300);
      default:
        return this.next() | 0;
    }
  }
}

const EDGES = [
  0, 1, -1, 2, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 0x7fff, 0xffff, 0x7fffffff, -0x80000000,
];
