/**
 * The compiled programs of one kernel: each program's module, instantiated once over the kernel's memory, and the table
 * that tail calls go through.
 */
import { Bug } from '../../base/error.ts';
import type { RunContext, RunKernel } from '../interpreter/environment.ts';
import { executableOf } from '../interpreter/executable.ts';
import type { BpfMap } from '../maps/map.ts';
import { ProgArrayMap } from '../maps/prog-array.ts';
import { type Addr, NULL } from '../memory/index.ts';
import { FieldView } from '../net/field-view.ts';
import { PACKET_TYPES } from '../net/packet-types.ts';
import { SOCKET_VIEW } from '../net/socket-view.ts';
import { SK_BUFF } from '../net/structs.ts';
import type { Program } from '../objects/program.ts';
import { effectiveAttachType, PROGRAMS } from '../programs/index.ts';
import type { VerifiedProgram } from '../verifier/index.ts';
import { AREA_RANDOM, AREA_READS } from '../wasm/assembly/area-layout.ts';
import { indirectAccess } from './indirect.ts';
import { JitFault } from './jit-fault.ts';
import { lowerHelper, lowerKfunc } from './lower.ts';
import { memoryLimits } from './memory-limits.ts';
import { contextPlaces } from './places.ts';
import { type Current, JitRun, Raised } from './run.ts';
import { NATIVE, translate } from './translate.ts';
import { AREA, type PacketPlace, type Unit } from './unit.ts';
import { type WasmFunction, type WasmModule, type WasmTable, wasm } from './wasm/host.ts';

/** A program that is ready to run. */
export interface CompiledProgram {
  /** Runs it on a context. @returns r0's low half. It is another function when the program was compiled again. */
  run: (context: number) => number;
  /** Runs it so many times on the same context. @returns what the last run did */
  repeat: (context: number, times: number) => number;
  /** Where the table of entry functions has it; from 1. */
  readonly index: number;
  /** Bytes of the module. */
  size: number;
  /** For other threads, and the names of the functions of the host that it imports. */
  readonly module: WasmModule;
  readonly host: readonly string[];
}

export class Jit {
  readonly #kernel: RunKernel;
  readonly #compiled = new Map<Program, CompiledProgram>();
  readonly #slots = new Map<ProgArrayMap, Addr>();
  readonly #current: Current = { context: undefined, acquired: new Map<number, BpfMap>() };
  /** Entry functions by index; 0 is empty. */
  #table: WasmTable | undefined;
  readonly #freeIndices: number[] = [];
  /** Indices of programs that are compiled or being compiled. */
  readonly #indices = new Map<Program, number>();
  /** The processor's area, while there are programs. */
  #area: Addr = NULL;
  #cpu = -1;

  constructor(kernel: RunKernel) {
    this.#kernel = kernel;
    kernel.mocks.onChange(() => this.#compileAgain());
  }

  /** Functions that programs call are others now. What others hold of a compiled program stays good. */
  #compileAgain(): void {
    for (const [program, compiled] of this.#compiled) {
      Object.assign(compiled, this.#instantiate(program, compiled.index));
    }
  }

  /** The program, compiled when it is first asked for and kept until it ends. */
  compile(program: Program): CompiledProgram {
    const known = this.#compiled.get(program);
    if (known) return known;
    if (this.#area === NULL) {
      const { memory } = this.#kernel.machine;
      this.#area = memory.allocate(AREA.size, { kind: 'stack', owner: 'BPF stack', access: 'none' });
      this.#cpu = -1;
      this.#kernel.machine.source?.keep({ memory, addr: this.#area + AREA_RANDOM });
      memory.native.random = () => this.#kernel.machine.random();
    }
    const index = this.#indexOf(program);
    let compiled: CompiledProgram;
    try {
      compiled = this.#instantiate(program, index);
    } catch (error) {
      this.#forget(program);
      throw error;
    }
    const { onEnd } = program;
    program.onEnd = () => {
      this.#forget(program);
      onEnd?.();
    };
    this.#compiled.set(program, compiled);
    return compiled;
  }

  /** The module that a program is compiled to. */
  moduleBytes(program: Program): Uint8Array {
    this.compile(program);
    const run = new JitRun(this.#kernel, executableOf(program), this.#current, () => NULL);
    return translate(this.#unitOf(program, run)).bytes;
  }

  /** For code that calls the entry functions itself, by {@link CompiledProgram.index}; holds while there are programs. */
  get entries(): { readonly table: WasmTable; readonly area: Addr } {
    if (this.#table === undefined || this.#area === NULL) throw new Bug('no program is compiled');
    return { table: this.#table, area: this.#area };
  }

  /** Makes ready for a run of any program on the context. */
  enter(context: RunContext | undefined): void {
    const current = this.#current;
    current.context = context;
    if (current.acquired.size > 0) current.acquired.clear();
    const { cpu, memory } = this.#kernel.machine;
    // The first read of the clock is to see the time as it is.
    memory.writeU32(this.#area + AREA_READS, 0);
    if (cpu === this.#cpu) return;
    this.#cpu = cpu;
    memory.writeU32(this.#area + AREA.cpu, cpu);
  }

  #indexOf(program: Program): number {
    let index = this.#indices.get(program);
    if (index === undefined) {
      this.#table ??= new wasm.Table({ element: 'anyfunc', initial: 1 });
      index = this.#freeIndices.pop() ?? this.#table.grow(1);
      this.#indices.set(program, index);
    }
    return index;
  }

  #instantiate(program: Program, index: number): CompiledProgram {
    const kernel = this.#kernel;
    const executable = executableOf(program);
    const run = new JitRun(kernel, executable, this.#current, () => {
      this.enter(undefined);
      return this.#area + AREA.top;
    });
    const { bytes, host, callbacks } = translate(this.#unitOf(program, run));
    const imports: Record<string, WasmFunction> = {};
    for (const [name, { call }] of host) imports[name] = call;
    const module = new wasm.Module(bytes);
    const { exports } = new wasm.Instance(module, {
      skep: {
        ...imports,
        memory: kernel.machine.memory.wasm,
        programs: this.#table!,
        area: new wasm.Global({ value: 'i32', mutable: false }, this.#area),
      },
      [NATIVE]: { ...kernel.machine.memory.native.functions },
    });
    for (const slot of callbacks) run.callbacks.set(slot, exports[`callback ${slot}`]!);
    this.#table!.set(index, exports.main!);
    const once = exports.run as unknown as CompiledProgram['run'];
    const repeat = exports.repeat as unknown as CompiledProgram['repeat'];
    const mayEnd = run.program.kfuncs.size > 0 || tailCalls(program);
    return {
      run: mayEnd ? (context) => ended(() => once(context)) : once,
      repeat: mayEnd ? (context, times) => repeated(times, () => ended(() => once(context))) : repeat,
      index,
      size: bytes.length,
      module,
      host: [...host.keys()],
    };
  }

  #unitOf(program: Program, run: JitRun): Unit {
    const { verified, maps, facts } = program;
    const { type, expectedAttachType: given } = facts;
    const { context } = PROGRAMS[type];
    const view =
      context.kernelObject === undefined
        ? undefined
        : new FieldView(context, given && effectiveAttachType(type, given));
    const host = {
      run,
      type,
      maps,
      programSlots: (map: ProgArrayMap) => this.#slotsOf(map),
      findProgram: (at: number, index: number) => this.#findProgram(at, index),
    };
    return {
      name: facts.name,
      insns: verified.insns,
      functions: verified.subprograms,
      proofs: verified.proofs,
      constants: run.program.constants,
      entry: 'context',
      context: view && contextPlaces(view),
      packet: packetPlace(program, run),
      helper: (slot, id) => lowerHelper(host, id, verified.proofs.get(slot as never)),
      kfunc: (slot) => lowerKfunc(run, slot),
      ...(verified.exceptionCallback !== undefined && { handler: verified.exceptionCallback }),
      socket: contextPlaces(SOCKET_VIEW),
      ...(needsHost(verified) && { indirect: indirectAccess(run) }),
      register: undefined,
      abort: {
        kind: 'host',
        name: 'abort',
        args: [{ reg: 0, as: 'i32' }],
        result: 'none',
        call: (slot: number) => {
          throw new JitFault({
            code: 'unsupported',
            program: facts.name,
            insn: slot,
            problem: 'the instruction can not be run here',
          });
        },
      },
      memory: memoryLimits(this.#kernel.machine.memory),
      fuel: false,
      cpus: this.#kernel.machine.cpus,
    };
  }

  /** The table indices of a prog array's programs, kept as the map changes. */
  #slotsOf(map: ProgArrayMap): Addr {
    const known = this.#slots.get(map);
    if (known !== undefined) return known;
    const { memory } = this.#kernel.machine;
    const slots = memory.allocate(4 * map.shape.maxEntries, {
      kind: 'kernel',
      owner: map.label,
      access: 'none',
    });
    this.#slots.set(map, slots);
    const set = (index: number, program: Program | undefined) =>
      memory.writeU32(slots + 4 * index, program ? this.#entryOf(program) : 0);
    map.onChange = set;
    const { onEnd } = map;
    map.onEnd = () => {
      map.onChange = undefined;
      this.#slots.delete(map);
      // What a running program may still look at is given back when none runs.
      this.#kernel.machine.grace.after(() => memory.free(slots));
      onEnd?.();
    };
    for (const [index, program] of map.slots) set(index, program);
    return slots;
  }

  #findProgram(at: number, index: number): number {
    const map = this.#kernel.mapAt(at);
    if (!(map instanceof ProgArrayMap)) throw new Bug(`a tail call through 0x${at.toString(16)}`);
    const program = index < map.shape.maxEntries ? map.program(index) : undefined;
    return program ? this.#entryOf(program) : 0;
  }

  /** A program that is being compiled already gets its place in the table before its code. */
  #entryOf(program: Program): number {
    return this.#indices.get(program) ?? this.compile(program).index;
  }

  #forget(program: Program): void {
    this.#compiled.delete(program);
    const index = this.#indices.get(program)!;
    this.#indices.delete(program);
    this.#table!.set(index, null);
    this.#freeIndices.push(index);
    if (this.#indices.size > 0) return;
    this.#table = undefined;
    this.#freeIndices.length = 0;
    this.#kernel.machine.source?.keep(undefined);
    this.#kernel.machine.memory.free(this.#area);
    this.#area = NULL;
  }
}

/** Programs that it tail-calls may raise exceptions. */
function tailCalls({ verified: { subprograms } }: Program): boolean {
  return subprograms.some(({ hasTailCall }) => hasTailCall);
}

/** Some loads or stores are made by the host, or addresses are converted between spaces. */
function needsHost({ insns, proofs }: VerifiedProgram): boolean {
  for (const { access } of proofs.values()) if (access === 'arena' || access === 'map') return true;
  return insns.some((insn) => insn?.kind === 'addr_space_cast');
}

/** What the run returns, or what its exception makes it return. */
function ended(run: () => number): number {
  try {
    return run();
  } catch (error) {
    if (error instanceof Raised) return Number(BigInt.asIntN(32, error.run.handle(error.cookie)));
    throw error;
  }
}

function repeated(times: number, run: () => number): number {
  let result = run();
  for (let left = times - 1; left > 0; left--) result = run();
  return result;
}

/** Where legacy packet loads find the packet, in programs that run on an skb. */
function packetPlace(program: Program, run: JitRun): PacketPlace | undefined {
  if (PACKET_TYPES[program.facts.type]?.object !== 'sk_buff') return undefined;
  return {
    data: SK_BUFF.members.data.offset,
    length: SK_BUFF.members.len.offset,
    slow: {
      kind: 'host',
      name: 'load packet',
      args: [
        { reg: 0, as: 'i32' },
        { reg: 0, as: 'i32' },
      ],
      result: 'i64',
      call: (offset: number, size: 1 | 2 | 4) => BigInt(run.context?.loadPacket(offset, size) ?? -1),
    },
  };
}
