/**
 * Translates a unit to one WebAssembly module. Pure: the same unit gives the same bytes.
 *
 * The module imports the kernel's memory, the table of the entry functions that tail calls go to, the address of its
 * processor's area, and what its helpers are: functions of the host, and from `kernel` those in WebAssembly. It exports
 * `main(frame, context)` for that table, `run(context)` and
 * `repeat(context, times)` for the host, or `raw(r1, r2)` for bare instructions, and the callbacks, by slot.
 */
import type { Insn, Reg } from '../../isa/index.ts';
import { FunctionWriter } from './function.ts';
import { buildGraph, type Graph } from './graph.ts';
import { parametersOf } from './liveness.ts';
import type { ModuleScope } from './scope.ts';
import { AREA, type HostCall, type Lowering, type NativeCall, type Unit } from './unit.ts';
import { ByteWriter } from './wasm/bytes.ts';
import { type FunctionType, ModuleWriter } from './wasm/module.ts';
import { OP, TYPE, type ValueType } from './wasm/opcodes.ts';

export interface Translation {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The functions that the module imports, by name. */
  readonly host: ReadonlyMap<string, HostCall>;
  /** Slots of the functions that are exported as callbacks. */
  readonly callbacks: readonly number[];
}

const ENTRY: FunctionType = { params: ['i32', 'i32'], results: ['i64'] };
const RAW_ENTRY: FunctionType = { params: ['i32', 'i32', 'i32'], results: ['i64'] };
const CALLBACK: FunctionType = { params: ['i32', 'i64', 'i64', 'i64', 'i64', 'i64'], results: ['i64'] };
const ARGUMENTS = 5;
/** The module that the kernel's own functions are imported from. */
export const NATIVE = 'kernel';

interface Func {
  readonly start: number;
  readonly graph: Graph;
  /** Registers r1 to this one are parameters. */
  readonly params: number;
  /** They come as 32 bits: the entry's. */
  readonly narrow: boolean;
  readonly index: number;
}

export function translate(unit: Unit): Translation {
  return new Translator(unit).translate();
}

class Translator {
  readonly #unit: Unit;
  readonly #module = new ModuleWriter();
  readonly #host = new Map<string, { readonly call: HostCall; readonly index: number }>();
  /** Functions of the kernel that are imported: their indices by name. */
  readonly #native = new Map<string, number>();
  readonly #funcs = new Map<number, Func>();
  readonly #lowered = new Map<number, Lowering>();

  constructor(unit: Unit) {
    const once = (lower: Unit['helper']) => (slot: number, id: number) => {
      let lowering = this.#lowered.get(slot);
      if (lowering === undefined) {
        lowering = lower(slot, id);
        this.#lowered.set(slot, lowering);
      }
      return lowering;
    };
    this.#unit = {
      ...unit,
      helper: once(unit.helper),
      ...(unit.kfunc && { kfunc: once(unit.kfunc) }),
    };
  }

  translate(): Translation {
    const unit = this.#unit;
    const module = this.#module;
    module.importMemory(unit.memory);
    const area = module.importGlobal('area', 'i32', false);
    const graphs = this.#reachable();
    this.#import(unit.abort);
    if (unit.packet) this.#import(unit.packet.slow);
    if (unit.register) this.#import(unit.register);
    if (unit.indirect) {
      const { mapLoad, arenaLoad, arenaStore, arenaAtomic } = unit.indirect;
      for (const call of [mapLoad, arenaLoad, arenaStore, arenaAtomic]) this.#import(call);
    }
    for (const [, graph] of graphs) this.#importHelpers(graph);
    const tailCalls = [...this.#lowered.values()].some(
      ({ kind }) => kind === 'tail_call' || kind === 'tail_call_any',
    );
    // Only where it is needed: engines keep every instance that imports a table for as long as the table is there.
    if (tailCalls) module.importTable('programs');
    const fuel = unit.fuel ? module.importGlobal('fuel', 'i32', true) : undefined;
    this.#declare(graphs);
    const scope: ModuleScope = {
      func: (slot) => this.#funcs.get(slot),
      host: ({ name }) => this.#host.get(name)!.index,
      native: ({ name }) => this.#native.get(name)!,
      area,
      fuel,
      entryType: module.type(ENTRY),
      callbackType: module.type(CALLBACK),
      functions: module.ownTable,
      tailCalls,
    };
    for (const func of this.#funcs.values()) this.#write(func, scope);
    const callbacks = this.#exportCallbacks();
    this.#exportEntry(scope);
    return {
      bytes: module.finish(),
      host: new Map([...this.#host].map(([name, { call }]) => [name, call])),
      callbacks,
    };
  }

  /** Graphs of the functions that can be reached from the entry, callees in front of their callers. */
  #reachable(): ReadonlyMap<number, Graph> {
    const unit = this.#unit;
    const ranges = new Map(unit.functions.map((range) => [range.start, range]));
    const done = new Map<number, Graph>();
    const open = new Map<number, Graph>();
    const work = [unit.functions[0]!.start];
    if (unit.handler !== undefined) work.unshift(unit.handler);
    while (work.length > 0) {
      const start = work.at(-1)!;
      const range = ranges.get(start);
      if (done.has(start) || range === undefined) {
        work.pop();
        continue;
      }
      const begun = open.get(start);
      if (begun) {
        done.set(start, begun);
        work.pop();
        continue;
      }
      const graph = buildGraph(unit.insns, range, unit.proofs);
      open.set(start, graph);
      for (const callee of this.#callees(graph)) if (!open.has(callee)) work.push(callee);
    }
    return done;
  }

  *#instructions(graph: Graph): Iterable<[slot: number, insn: Insn]> {
    for (const index of graph.order) {
      const { first, last } = graph.blocks[index]!;
      for (let slot = first; slot >= 0 && slot <= last; slot++) {
        const insn = this.#unit.insns[slot];
        if (insn !== undefined) yield [slot, insn];
      }
    }
  }

  #callees(graph: Graph): number[] {
    const found: number[] = [];
    for (const [slot, insn] of this.#instructions(graph)) {
      if (insn.kind === 'call' && insn.target.kind === 'local') found.push(slot + 1 + insn.target.off);
      if (insn.kind === 'ldimm64' && insn.imm.kind === 'func') found.push(slot + 1 + insn.imm.off);
    }
    return found;
  }

  #importHelpers(graph: Graph): void {
    for (const [slot, insn] of this.#instructions(graph)) {
      if (insn.kind !== 'call') continue;
      const lowering = this.#lowering(slot, insn);
      if (lowering === undefined) continue;
      if (lowering.kind === 'host') this.#import(lowering);
      if (lowering.kind === 'native') this.#importNative(lowering);
      if (lowering.kind === 'tail_call_any') this.#import(lowering.find);
    }
  }

  /** What the call becomes; `undefined` for one that stays in the program. */
  #lowering(slot: number, { target }: Extract<Insn, { kind: 'call' }>): Lowering | undefined {
    if (target.kind === 'helper') return this.#unit.helper(slot, target.id);
    return target.kind === 'kfunc' ? this.#unit.kfunc?.(slot, target.btfId) : undefined;
  }

  #import(call: HostCall): void {
    if (this.#host.has(call.name)) return;
    const params: ValueType[] = call.args.map(({ as }) => as);
    if (call.frame) params.push('i32');
    const type = { params, results: resultTypes(call.result) };
    this.#host.set(call.name, { call, index: this.#module.importFunction(call.name, type) });
  }

  #importNative({ name, args, result }: NativeCall): void {
    if (this.#native.has(name)) return;
    const params = args.map((arg): ValueType => (typeof arg === 'object' && 'as' in arg ? arg.as : 'i32'));
    const type = { params, results: resultTypes(result) };
    this.#native.set(name, this.#module.importFunction(name, type, NATIVE));
  }

  #declare(graphs: ReadonlyMap<number, Graph>): void {
    const unit = this.#unit;
    const entry = unit.functions[0]!.start;
    for (const [start, graph] of graphs) {
      if (start === entry) continue;
      const mask = parametersOf(unit.insns, graph, (slot, insn) => this.#callReads(slot, insn));
      const params = mask === 0 ? 0 : 31 - Math.clz32(mask);
      const regs = Array.from({ length: params }, (): ValueType => 'i64');
      const index = this.#module.declare({ params: ['i32', ...regs], results: ['i64'] });
      this.#funcs.set(start, { start, graph, params, narrow: false, index });
    }
    const raw = unit.entry === 'memory';
    const index = this.#module.declare(raw ? RAW_ENTRY : ENTRY);
    this.#funcs.set(entry, {
      start: entry,
      graph: graphs.get(entry)!,
      params: raw ? 2 : 1,
      narrow: true,
      index,
    });
  }

  #callReads(slot: number, insn: Extract<Insn, { kind: 'call' }>): number {
    const { target } = insn;
    if (target.kind === 'local') {
      const params = this.#funcs.get(slot + 1 + target.off)?.params ?? ARGUMENTS;
      return (1 << (params + 1)) - 2;
    }
    const lowering = this.#lowering(slot, insn);
    if (lowering === undefined) return 0;
    switch (lowering.kind) {
      case 'host':
      case 'native':
        return masks(lowering);
      case 'element':
        return 1 << 2;
      case 'tail_call':
        return (1 << 1) | (1 << 3);
      case 'tail_call_any':
        return (1 << 1) | masks(lowering.find);
      case 'loop':
        return 0b11110;
      case 'cpu':
      case 'constant':
      case 'unsupported':
        return 0;
    }
  }

  #write({ graph, params, narrow, index }: Func, scope: ModuleScope): void {
    const regs = Array.from({ length: params }, (_, i) => (i + 1) as Reg);
    this.#module.define(index, new FunctionWriter(this.#unit, scope, graph, regs, narrow).write());
  }

  /** Functions whose address is taken take all five arguments, whatever they use of them. */
  #exportCallbacks(): number[] {
    const found = new Set<number>(this.#unit.handler === undefined ? [] : [this.#unit.handler]);
    for (const { graph } of this.#funcs.values()) {
      for (const [slot, insn] of this.#instructions(graph)) {
        if (insn.kind === 'ldimm64' && insn.imm.kind === 'func') found.add(slot + 1 + insn.imm.off);
      }
    }
    const table: number[] = [];
    const callbacks: number[] = [];
    for (const slot of [...found].toSorted((a, b) => a - b)) {
      const func = this.#funcs.get(slot);
      if (!func || slot === this.#unit.functions[0]!.start) continue;
      const index = this.#module.declare(CALLBACK);
      const body = new ByteWriter(32);
      body.u8(0);
      for (let i = 0; i <= func.params; i++) get(body, i);
      body.u8(OP.call);
      body.u32(func.index);
      body.u8(OP.end);
      this.#module.define(index, body);
      this.#module.export(`callback ${slot}`, 'func', index);
      while (table.length < slot) table.push(-1);
      table.push(index);
      callbacks.push(slot);
    }
    const indirect = [...this.#lowered.values()].some(({ kind }) => kind === 'loop');
    if (indirect) this.#module.elements(table);
    return callbacks;
  }

  #exportEntry(scope: ModuleScope): void {
    const module = this.#module;
    const main = this.#funcs.get(this.#unit.functions[0]!.start)!;
    if (this.#unit.entry === 'memory') {
      const raw = module.declare({ params: ['i32', 'i32'], results: ['i64'] });
      const body = new ByteWriter(32);
      body.u8(0);
      enter(body, scope);
      get(body, 0);
      get(body, 1);
      body.u8(OP.call);
      body.u32(main.index);
      body.u8(OP.end);
      module.define(raw, body);
      module.export('raw', 'func', raw);
      return;
    }
    module.export('main', 'func', main.index);
    const run = module.declare({ params: ['i32'], results: ['i32'] });
    const once = new ByteWriter(32);
    once.u8(0);
    callMain(once, scope, main.index);
    once.u8(OP.i32_wrap_i64);
    once.u8(OP.end);
    module.define(run, once);
    module.export('run', 'func', run);
    const repeat = module.declare({ params: ['i32', 'i32'], results: ['i32'] });
    module.define(repeat, repeatBody(scope, main.index));
    module.export('repeat', 'func', repeat);
  }
}

function masks(call: HostCall | NativeCall): number {
  let mask = 0;
  for (const arg of call.args) if (typeof arg === 'object' && 'reg' in arg) mask |= 1 << arg.reg;
  return mask;
}

function resultTypes(result: HostCall['result']): ValueType[] {
  if (result === 'none') return [];
  return [result === 'i64' || result === 'f64' ? result : 'i32'];
}

function get(body: ByteWriter, local: number): void {
  body.u8(OP.local_get);
  body.u32(local);
}

/** Begins a run: no tail call is made yet, where one can be. Leaves the frame pointer. */
function enter(body: ByteWriter, { area, tailCalls }: ModuleScope): void {
  if (tailCalls) {
    body.u8(OP.global_get);
    body.u32(area);
    body.u8(OP.i32_const);
    body.s32(0);
    body.u8(OP.i32_store);
    body.u8(2);
    body.u32(AREA.tailCalls);
  }
  body.u8(OP.global_get);
  body.u32(area);
  body.u8(OP.i32_const);
  body.s32(AREA.top);
  body.u8(OP.i32_add);
}

/** Leaves what the entry returns for the context in the first parameter. */
function callMain(body: ByteWriter, scope: ModuleScope, main: number): void {
  enter(body, scope);
  get(body, 0);
  body.u8(OP.call);
  body.u32(main);
}

/** Runs as often as the second parameter says (at least once), and returns what the last run did. */
function repeatBody(scope: ModuleScope, main: number): ByteWriter {
  const body = new ByteWriter(64);
  body.u8(1);
  body.u8(1);
  body.u8(TYPE.i32);
  body.u8(OP.loop);
  body.u8(TYPE.none);
  callMain(body, scope, main);
  body.u8(OP.i32_wrap_i64);
  body.u8(OP.local_set);
  body.u32(2);
  get(body, 1);
  body.u8(OP.i32_const);
  body.s32(1);
  body.u8(OP.i32_sub);
  body.u8(OP.local_tee);
  body.u32(1);
  body.u8(OP.i32_const);
  body.s32(0);
  body.u8(OP.i32_gt_s);
  body.u8(OP.br_if);
  body.u32(0);
  body.u8(OP.end);
  get(body, 2);
  body.u8(OP.end);
  return body;
}
