/**
 * What the generator's actions write with: instructions, and what registers and stack slots then hold.
 */
import { type FieldValue, PROGRAMS } from '../src/kernel/programs/index.ts';
import type { AttachType, ProgType } from '../src/sys/index.ts';
import { type FuzzInsn, OP, PSEUDO, type Random } from './fuzz-program.ts';

export type Value =
  | { readonly k: 'scalar' /** Inclusive, when it is known to be small. */; readonly max?: number }
  | { readonly k: 'ctx' }
  | { readonly k: 'fp'; readonly off: number }
  /** Checked; `off` and `room` (bytes from it) are what constant accesses may use. */
  | { readonly k: 'mem'; readonly off: number; readonly room: number; readonly readonly?: boolean }
  | { readonly k: 'packet'; readonly off: number; readonly room: number }
  | { readonly k: 'packetEnd' }
  /** What ringbuf_reserve gave; must be given back. */
  | { readonly k: 'record'; readonly size: number }
  | { readonly k: 'socket'; readonly kind: 'sock' | 'common' | 'tcp' };
export type Slot = Value | undefined;

export interface State {
  readonly regs: Slot[];
  /** By 8-byte slot, 1 is fp-8. */
  readonly stack: Slot[];
}

export const SLOTS = 12;
export const SIZES = [
  { size: 1, bits: 0x10 },
  { size: 2, bits: 0x08 },
  { size: 4, bits: 0x00 },
  { size: 8, bits: 0x18 },
] as const;
export const ALU = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0, 0xc0] as const;
export const JUMPS = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0] as const;
export const SCALAR: Value = { k: 'scalar' };
export type MutableInsn = { -readonly [K in keyof FuzzInsn]: FuzzInsn[K] };

/** Program types whose contexts hold the same in every run on the same packet. */
const STABLE: ReadonlySet<ProgType> = new Set([
  'xdp',
  'sched_cls',
  'sched_act',
  'cgroup_skb',
  'socket_filter',
]);

/** Functions that are still to be written, with what they are called with. */
export interface Pending {
  readonly entry: FuzzInsn;
  readonly args: readonly Slot[];
  readonly callback: boolean;
  readonly global: boolean;
}

export class Writer {
  repeatable = true;
  loops = false;
  readonly random: Random;
  readonly type: ProgType;
  readonly attach: AttachType | undefined;
  /** Whether speculation is followed. */
  readonly careful: boolean;
  readonly pending: Pending[] = [];
  code: FuzzInsn[] = [];
  state: State = { regs: [], stack: [] };
  /** Registers that an enclosing construct needs. */
  kept = new Set<number>();
  budget = 0;
  callee = false;
  functions = 0;

  constructor(random: Random, type: ProgType, attach: AttachType | undefined, careful: boolean) {
    this.random = random;
    this.type = type;
    this.attach = attach;
    this.careful = careful;
  }

  // Instructions

  push(insn: FuzzInsn): FuzzInsn {
    this.code.push(insn);
    return insn;
  }
  alu(op: number, dst: number, src: number, imm: number): void {
    this.push({ op, dst, src, off: 0, imm });
  }
  mov(dst: number, src: number): void {
    this.alu(0xbf, dst, src, 0);
    this.state.regs[dst] = this.state.regs[src];
  }
  movImm(dst: number, imm: number): void {
    this.alu(0xb7, dst, 0, imm);
    this.state.regs[dst] = imm >= 0 ? { k: 'scalar', max: imm } : SCALAR;
  }
  mem(mode: number, bits: number, dst: number, src: number, off: number, imm = 0): void {
    this.push({ op: mode | bits, dst, src, off, imm });
  }
  /** A 64-bit constant. */
  imm64(dst: number, low: number, high: number): void {
    this.push({ op: OP.ldimm64, dst, src: 0, off: 0, imm: low, imm2: high });
    this.state.regs[dst] = SCALAR;
  }
  kfunc(name: string): void {
    this.push({ op: OP.call, dst: 0, src: PSEUDO.kfunc, off: 0, imm: 0, kfunc: name });
    this.repeatable = false;
    this.afterCall();
  }
  mapReg(dst: number, map: number): void {
    this.push({ op: OP.ldimm64, dst, src: PSEUDO.mapFd, off: 0, imm: 0, map });
    this.state.regs[dst] = undefined;
  }
  helper(id: number): void {
    this.push({ op: OP.call, dst: 0, src: 0, off: 0, imm: id });
    this.afterCall();
  }
  afterCall(): void {
    for (let r = 0; r <= 5; r++) this.state.regs[r] = undefined;
  }

  /** A jump whose target is what is written next after `body`. */
  skip(op: number, dst: number, src: number, imm: number, body: () => void): void {
    const jump = { op, dst, src, off: 0, imm } as { -readonly [K in keyof FuzzInsn]: FuzzInsn[K] };
    this.push(jump);
    body();
    jump.target = this.label();
  }
  /** An instruction to lead to: `r0 = r0` would need r0, so an empty jump. */
  label(): FuzzInsn {
    return this.push({ op: OP.ja, dst: 0, src: 0, off: 0, imm: 0 });
  }

  // Choices

  /** A register that may be overwritten. */
  free(preferred: readonly number[] = [0, 1, 2, 3, 4, 5, 7, 8, 9]): number {
    const able = preferred.filter((r) => !this.kept.has(r));
    return this.random.pick(able.length > 0 ? able : [0]);
  }
  having(test: (value: Value) => boolean): number | undefined {
    const found: number[] = [];
    for (let r = 0; r <= 10; r++) {
      const value = this.state.regs[r];
      if (value && test(value)) found.push(r);
    }
    return found.length === 0 ? undefined : this.random.pick(found);
  }
  scalar(): number {
    const found = this.having((v) => v.k === 'scalar');
    if (found !== undefined && this.random.chance(0.85)) return found;
    const reg = this.free();
    this.fresh(reg);
    return reg;
  }
  /** A scalar that nothing is known of. */
  fresh(reg: number): void {
    const { regs, stack } = this.state;
    const map = this.having((v) => v.k === 'mem' || v.k === 'packet');
    if (map !== undefined && this.random.chance(0.5)) {
      this.loadFrom(reg, map);
      return;
    }
    const slot = stack.findIndex((s) => s?.k === 'scalar');
    if (slot > 0 && this.random.chance(0.3)) {
      this.mem(0x61, 0x18, reg, 10, -8 * slot);
      regs[reg] = SCALAR;
      return;
    }
    const ctx = this.having((v) => v.k === 'ctx');
    if (ctx !== undefined && this.random.chance(0.7)) {
      this.ctxLoad(reg, ctx);
      if (regs[reg]?.k === 'scalar') return;
    }
    this.movImm(reg, this.random.imm());
  }

  copyState(): State {
    return { regs: [...this.state.regs], stack: [...this.state.stack] };
  }

  /** What holds whichever way was taken. */
  merge(other: State): void {
    const join = (a: Slot, b: Slot): Slot => {
      if (a === b) return a;
      if (!a || !b || a.k !== b.k) return undefined;
      if (a.k === 'scalar' && b.k === 'scalar')
        return a.max !== undefined && b.max !== undefined
          ? { k: 'scalar', max: Math.max(a.max, b.max) }
          : SCALAR;
      return JSON.stringify(a) === JSON.stringify(b) ? a : undefined;
    };
    for (let i = 0; i < 11; i++) this.state.regs[i] = join(this.state.regs[i], other.regs[i]);
    for (let i = 1; i <= SLOTS; i++) this.state.stack[i] = join(this.state.stack[i], other.stack[i]);
  }

  stackPointer(reg: number, off: number): void {
    this.alu(0xbf, reg, 10, 0);
    this.alu(0x07, reg, 0, off);
    this.state.regs[reg] = { k: 'fp', off };
  }

  /** Writes a key on the stack. @returns the slot */
  key(size: number, max: number): number {
    const r = this.random;
    const slot = 1 + r.below(SLOTS);
    const bits = size === 8 ? 0x18 : 0x00;
    if (r.chance(0.5)) this.mem(0x62, bits, 10, 0, -8 * slot, r.below(max + 2));
    else this.mem(0x63, bits, 10, this.scalar(), -8 * slot);
    this.state.stack[slot] = size === 8 ? SCALAR : undefined;
    return slot;
  }

  loadFrom(reg: number, base: number): void {
    const r = this.random;
    const value = this.state.regs[base] as Value & { k: 'mem' | 'packet' };
    const { size, bits } = r.pick(SIZES.filter(({ size: s }) => s <= value.room));
    const off = value.off + this.aligned(value.room - size, value.k === 'packet' ? 1 : size);
    this.mem(r.chance(0.1) && size < 8 ? 0x81 : 0x61, bits, reg, base, off);
    this.state.regs[reg] = size < 4 ? { k: 'scalar', max: 256 ** size - 1 } : SCALAR;
  }

  aligned(most: number, to: number): number {
    return Math.floor(this.random.below(most + 1) / to) * to;
  }

  ctxLoad(reg: number, ctx: number): void {
    if (reg === ctx || this.kept.has(reg)) return;
    const place = this.contextPlace('read');
    if (place === undefined) return;
    const { offset, size, value } = place;
    const { bits } = SIZES.find((s) => s.size === size)!;
    this.mem(0x61, bits, reg, ctx, offset);
    this.state.regs[reg] = value === 'scalar' ? SCALAR : undefined;
    if (value === 'scalar' && !STABLE.has(this.type)) this.repeatable = false;
    if (value === 'sock_common_or_null' || value === 'sock_or_null') this.unlessNull(reg, value);
  }

  /** A socket that the context may have: it is looked into where there is one. */
  private unlessNull(reg: number, value: 'sock_common_or_null' | 'sock_or_null'): void {
    this.repeatable = false;
    const before = this.copyState();
    this.skip(0x15, reg, 0, 0, () => {
      this.state.regs[reg] = { k: 'socket', kind: value === 'sock_or_null' ? 'sock' : 'common' };
      const into = this.free([0, 2, 3, 4, 5]);
      if (into !== reg)
        this.mem(0x61, 0x00, into, reg, 4 * this.random.below(value === 'sock_or_null' ? 20 : 12));
      this.state.regs[into] = SCALAR;
    });
    this.merge(before);
  }

  /** A field, or any place of a context that has none. */
  contextPlace(access: 'read' | 'write'): { offset: number; size: number; value: FieldValue } | undefined {
    const r = this.random;
    const { fields, ranges } = PROGRAMS[this.type].context;
    const able = fields.filter(
      (f) => f[access] !== undefined && (f.attach === undefined || f.attach.includes(this.attach!)),
    );
    const sizes = [1, 2, 4, 8];
    if (able.length > 0 && (ranges.length === 0 || r.chance(0.7))) {
      const field = r.pick(able);
      const rule = field[access]!;
      const size = r.pick(sizes.filter((s) => s >= rule.min && s <= rule.max));
      const inside = rule.atStart || field.value !== 'scalar' ? 0 : r.below(field.size / size) * size;
      return { offset: field.offset + inside, size, value: field.value };
    }
    const range = ranges.find((one) => one[access] !== undefined);
    const rule = range?.[access];
    if (range === undefined || rule === undefined) return undefined;
    const size = r.pick(sizes.filter((s) => s >= rule.min && s <= rule.max));
    const room = Math.min(range.to - range.from, 256);
    if (room < size) return undefined;
    return { offset: range.from + Math.floor(r.below(room - size + 1) / size) * size, size, value: 'scalar' };
  }

  forgetPackets(): void {
    for (const list of [this.state.regs, this.state.stack])
      for (const [i, value] of list.entries())
        if (value?.k === 'packet' || value?.k === 'packetEnd') list[i] = undefined;
  }
}
