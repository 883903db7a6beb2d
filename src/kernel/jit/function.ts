/** Writes one BPF function as a WebAssembly function: a local for each register, control as the graph says. */
import { Bug, unreachable } from '../../base/error.ts';
import type { Insn, Reg } from '../../isa/index.ts';
import { writeAlu, writeEndian, writeMovsx, writeNeg } from './alu.ts';
import { writeAddressSpaceCast } from './arena.ts';
import { writeCall } from './call.ts';
import { writeCondition } from './condition.ts';
import type { Graph } from './graph.ts';
import { findIdioms, type Idiom } from './idioms.ts';
import { writeAtomic, writeLoad, writePacketLoad, writeStore } from './memory.ts';
import type { ModuleScope } from './scope.ts';
import { type BlockWriter, writeStructured } from './structure.ts';
import { FRAME, type Unit } from './unit.ts';
import { ByteWriter } from './wasm/bytes.ts';
import { OP, TYPE, type ValueType } from './wasm/opcodes.ts';

/** What a `may_goto` loop may do in one frame. @see include/linux/bpf.h, BPF_MAX_LOOPS */
const MAX_LOOPS = 8 * 1024 * 1024;

/** The function's parameter that holds its frame pointer. */
const FP = 0;

export class FunctionWriter implements BlockWriter {
  readonly out = new ByteWriter(1024);
  readonly unit: Unit;
  readonly scope: ModuleScope;
  readonly #graph: Graph;
  /** Types of the locals behind the parameters. */
  readonly #locals: ValueType[] = [];
  readonly #params: number;
  /** By register; -1 until it is used. */
  readonly #regs = new Int32Array(11).fill(-1);
  readonly #named = new Map<string, number>();
  /** First slot of the block that is being written. */
  blockFirst = 0;
  /** By slot: instructions of which the translation is better than their own. */
  #idioms: ReadonlyMap<number, Idiom> = new Map();

  /**
   * @param params registers that are parameters, in order, behind the frame pointer
   * @param narrow the parameters are 32 bits wide
   */
  constructor(unit: Unit, scope: ModuleScope, graph: Graph, params: readonly Reg[], narrow: boolean) {
    this.unit = unit;
    this.scope = scope;
    this.#graph = graph;
    this.#params = 1 + params.length;
    if (!narrow) for (const [i, reg] of params.entries()) this.#regs[reg] = i + 1;
    else {
      for (const [i, reg] of params.entries()) {
        this.localGet(i + 1);
        this.op(OP.i64_extend_i32_u);
        this.set(reg);
      }
    }
  }

  /** Locals and instructions. */
  write(): ByteWriter {
    const { blocks, order } = this.#graph;
    const code = this.out;
    if (this.unit.fuel) this.burn(1);
    const usesStack = order.some((i) => blocks[i]!.first >= 0 && this.#usesStack(i));
    if (usesStack) {
      this.localGet(FP);
      this.i32(FRAME);
      this.op(OP.i32_sub);
      this.localSet(this.low);
    }
    if (order.some((i) => this.#last(i)?.kind === 'may_goto')) {
      this.i32(MAX_LOOPS);
      this.localSet(this.#loops);
    }
    writeStructured(this.#graph, this);
    code.u8(OP.end);
    const body = new ByteWriter(code.length + 64);
    this.#writeLocals(body);
    body.raw(code.bytes);
    return body;
  }

  #usesStack(index: number): boolean {
    const { first, last } = this.#graph.blocks[index]!;
    for (let slot = first; slot <= last; slot++) {
      const insn = this.unit.insns[slot];
      if (insn === undefined) continue;
      if ('src' in insn && insn.src === 10) return true;
      if ('dst' in insn && insn.dst === 10) return true;
    }
    return false;
  }

  #writeLocals(body: ByteWriter): void {
    const runs: [type: ValueType, count: number][] = [];
    for (const type of this.#locals) {
      const run = runs.at(-1);
      if (run?.[0] === type) run[1]++;
      else runs.push([type, 1]);
    }
    body.u32(runs.length);
    for (const [type, count] of runs) {
      body.u32(count);
      body.u8(TYPE[type]);
    }
  }

  // Locals.

  local(type: ValueType): number {
    return this.#params + this.#locals.push(type) - 1;
  }

  /** A local by name, made when it is first asked for. */
  named(name: string, type: ValueType): number {
    let local = this.#named.get(name);
    if (local === undefined) {
      local = this.local(type);
      this.#named.set(name, local);
    }
    return local;
  }

  /** The lowest address of the frame. */
  get low(): number {
    return this.named('low', 'i32');
  }
  get #loops(): number {
    return this.named('loops', 'i32');
  }
  get dispatchLocal(): number {
    return this.named('dispatch', 'i32');
  }

  reg(reg: Reg): number {
    if (this.#regs[reg] === -1) this.#regs[reg] = this.local('i64');
    return this.#regs[reg]!;
  }

  // Instructions.

  op(op: number): void {
    this.out.u8(op);
  }
  localGet(local: number): void {
    this.out.u8(OP.local_get);
    this.out.u32(local);
  }
  localSet(local: number): void {
    this.out.u8(OP.local_set);
    this.out.u32(local);
  }
  localTee(local: number): void {
    this.out.u8(OP.local_tee);
    this.out.u32(local);
  }
  i32(value: number): void {
    this.out.u8(OP.i32_const);
    this.out.s32(value);
  }
  /** A constant of 64 bits whose upper half is the sign of its lower. */
  i64(value: number): void {
    this.out.u8(OP.i64_const);
    this.out.s32(value);
  }
  i64Big(value: bigint): void {
    this.out.u8(OP.i64_const);
    this.out.s64(value);
  }
  /** The alignment and offset of a memory instruction. @param align logarithm of what is promised */
  memarg(offset: number, align = 0): void {
    this.out.u8(align);
    this.out.u32(offset);
  }
  globalGet(global: number): void {
    this.out.u8(OP.global_get);
    this.out.u32(global);
  }
  globalSet(global: number): void {
    this.out.u8(OP.global_set);
    this.out.u32(global);
  }
  if(result: number = TYPE.none): void {
    this.out.u8(OP.if);
    this.out.u8(result);
  }
  call(func: number): void {
    this.out.u8(OP.call);
    this.out.u32(func);
  }

  /** The register's 64 bits. */
  get(reg: Reg): void {
    if (reg === 10) {
      this.localGet(FP);
      this.op(OP.i64_extend_i32_u);
    } else this.localGet(this.reg(reg));
  }

  /** The register's low 32 bits. */
  getLow(reg: Reg): void {
    if (reg === 10) this.localGet(FP);
    else {
      this.localGet(this.reg(reg));
      this.op(OP.i32_wrap_i64);
    }
  }

  set(reg: Reg): void {
    this.localSet(this.reg(reg));
  }

  /** From 32 bits; the upper half becomes zero. */
  setLow(reg: Reg): void {
    this.op(OP.i64_extend_i32_u);
    this.localSet(this.reg(reg));
  }

  /** The frame pointer, as an address. */
  framePointer(): void {
    this.localGet(FP);
  }

  /**
   * The address of an access, but for a constant part.
   * @returns the constant part, for the instruction's own offset
   */
  address(base: Reg, off: number): number {
    if (base === 10 && off >= -FRAME) {
      this.localGet(this.low);
      return FRAME + off;
    }
    this.getLow(base);
    if (off >= 0) return off;
    this.i32(off);
    this.op(OP.i32_add);
    return 0;
  }

  /** Uses up fuel; where there is none left, the run ends. */
  burn(amount: number): void {
    const fuel = this.scope.fuel!;
    this.globalGet(fuel);
    this.i32(amount);
    this.op(OP.i32_sub);
    this.globalSet(fuel);
    this.globalGet(fuel);
    this.i32(0);
    this.op(OP.i32_lt_s);
    this.if();
    this.op(OP.unreachable);
    this.op(OP.end);
  }

  abort(slot: number): void {
    this.i32(slot);
    this.call(this.scope.host(this.unit.abort));
    this.op(OP.unreachable);
  }

  // Blocks.

  #last(block: number): Insn | undefined {
    return this.unit.insns[this.#graph.blocks[block]!.last];
  }

  loopHead(block: number): void {
    if (!this.unit.fuel) return;
    const { first, last } = this.#graph.blocks[block]!;
    this.burn(last - first + 1);
  }

  body(block: number): void {
    const { first, last, end } = this.#graph.blocks[block]!;
    if (first < 0) return;
    this.blockFirst = first;
    this.#idioms = findIdioms(this.unit.insns, first, last);
    for (let slot = first; slot <= last; slot++) {
      const insn = this.unit.insns[slot];
      if (insn === undefined) continue;
      // A jump at the end is its block's, and so is an exit.
      if (slot === last && (end === 'branch' || end === 'exit')) return;
      if (insn.kind !== 'ja' && insn.kind !== 'jmp') this.#insn(insn, slot);
    }
  }

  #insn(insn: Insn, slot: number) {
    const idiom = this.#idioms.get(slot);
    if (idiom?.(this)) return;
    switch (insn.kind) {
      case 'alu':
        return writeAlu(this, insn);
      case 'neg':
        return writeNeg(this, insn);
      case 'movsx':
        return writeMovsx(this, insn);
      case 'endian':
        return writeEndian(this, insn);
      case 'addr_space_cast':
        writeAddressSpaceCast(this, insn);
        return this.set(insn.dst);
      case 'ldimm64': {
        const value = this.unit.constants.get(slot);
        if (value === undefined) return this.abort(slot);
        this.i64Big(value);
        return this.set(insn.dst);
      }
      case 'ldx':
      case 'load_acquire':
        return writeLoad(this, insn, slot);
      case 'st':
      case 'stx':
      case 'store_release':
        return writeStore(this, insn, slot);
      case 'atomic':
        return writeAtomic(this, insn, slot);
      case 'ld_abs':
      case 'ld_ind':
        return writePacketLoad(this, insn, slot);
      case 'call':
        return writeCall(this, insn, slot);
      case 'ja':
      case 'jmp':
      case 'may_goto':
      case 'exit':
        throw new Bug(`a ${insn.kind} in the middle of a block`);
      default:
        return unreachable(insn);
    }
  }

  condition(block: number, negated: boolean) {
    const insn = this.#last(block)!;
    if (insn.kind === 'jmp') return writeCondition(this, insn, negated);
    // may_goto: the jump is taken when the loops are used up; one is used each time that it is not.
    const loops = this.#loops;
    const before = this.named('before', 'i32');
    this.localGet(loops);
    this.localTee(before);
    this.localGet(loops);
    this.i32(0);
    this.op(OP.i32_ne);
    this.op(OP.i32_sub);
    this.localSet(loops);
    this.localGet(before);
    if (!negated) this.op(OP.i32_eqz);
  }

  exit(): void {
    this.get(0);
    this.op(OP.return);
  }

  nowhere(block: number): void {
    this.abort(Math.max(this.#graph.blocks[block]!.last, 0));
  }
}
