/** A program's loop over packets on one processor: its module, and the context that each packet takes its turn in. */
import { Bug } from '../../base/error.ts';
import type { RunContext, RunKernel } from '../interpreter/environment.ts';
import type { RunFault } from '../interpreter/fault.ts';
import { JitFault } from '../jit/jit-fault.ts';
import { memoryLimits } from '../jit/memory-limits.ts';
import { AREA } from '../jit/unit.ts';
import { type WasmTable, wasm } from '../jit/wasm/host.ts';
import { TooLarge } from '../jit/wasm/module.ts';
import { RingbufMap } from '../maps/ringbuf.ts';
import { type Addr, NULL } from '../memory/index.ts';
import { FieldView } from '../net/field-view.ts';
import { PACKET_TYPES } from '../net/packet-types.ts';
import { SkBuff } from '../net/sk-buff.ts';
import { SK_BUFF } from '../net/structs.ts';
import { XdpBuff } from '../net/xdp-buff.ts';
import type { Program } from '../objects/program.ts';
import { effectiveAttachType, PROGRAMS } from '../programs/index.ts';
import { type Effects, effectsOf } from './effects.ts';
import type { RingWatch } from './loops.ts';
import { type BatchFunctions, batchModule, type LoopPlan } from './module.ts';
import { ROW } from './row.ts';

/** Bytes of an Ethernet header. */
const ETH_HLEN = 14;
/** The part of a ring buffer that may wait to be read: what one packet adds must find room all the same. */
const RING_SHARE = 4;
/** Rings up to this size are read as soon as something is in them. Bytes. */
const SMALL_RING = 65_536;

/** Some packets were run. */
export interface Stretch {
  /** The row behind the last packet that was run; equal to the first where that can't be run here. */
  readonly row: number;
  /** Why the packet in that row was not run to its end. */
  readonly fault?: RunFault;
}

export class PacketLoop {
  readonly functions: BatchFunctions;
  readonly effects: Effects;
  readonly #kernel: RunKernel;
  /** Absent where packets are run one at a time. */
  readonly #run: Running | undefined;
  readonly #undo: (() => void)[] = [];

  constructor(kernel: RunKernel, program: Program) {
    this.#kernel = kernel;
    this.effects = effectsOf(program);
    const running = this.effects.handling === 'single' ? undefined : this.#prepare(program);
    this.#run = running;
    const { memory } = kernel.machine;
    const { exports } = new wasm.Instance(new wasm.Module(batchModule(memoryLimits(memory), running?.plan)), {
      skep: {
        memory: memory.wasm,
        programs: running?.table ?? new wasm.Table({ element: 'anyfunc', initial: 1 }),
      },
    });
    this.functions = exports as unknown as BatchFunctions;
  }

  /** Packets are handed over where they lie, many at once. */
  get batches(): boolean {
    return this.#run !== undefined;
  }

  #prepare(program: Program): Running | undefined {
    const { jit, machine } = this.#kernel;
    const kind = PACKET_TYPES[program.facts.type];
    if (!kind) throw new Bug(`a program of type ${program.facts.type} does not run on packets`);
    const index = jit && compiled(this.effects.programs, (each) => jit.compile(each).index);
    if (jit === undefined || index === undefined) return undefined;
    const { type, expectedAttachType: given } = program.facts;
    const view = new FieldView(PROGRAMS[type].context, given && effectiveAttachType(type, given));
    const { memory } = machine;
    const { loopback } = this.#kernel.devices;
    const any = new Uint8Array(ETH_HLEN);
    const rings = this.#watchRings();
    const { table, area } = jit.entries;
    if (kind.object === 'xdp_buff') {
      const context = new XdpBuff(memory, view);
      context.load(any, 0, any.length, loopback, 0);
      this.#undo.push(() => context.close());
      const plan = { object: 'xdp_buff', frame: this.effects.handling === 'frame', rings } as const;
      return { plan, context, template: NULL, index, table, area };
    }
    const context = new SkBuff(memory, view);
    context.load(any, loopback, kind.atNetwork);
    const template = memory.allocate(SK_BUFF.size, { kind: 'kernel', owner: 'sk_buff', access: 'none' });
    memory.copy(template, context.addr, SK_BUFF.size);
    this.#undo.push(
      () => context.close(),
      () => memory.free(template),
    );
    const plan: LoopPlan = {
      object: 'sk_buff',
      lead: type === 'socket_filter' ? ETH_HLEN : 0,
      atNetwork: kind.atNetwork,
      sock: this.effects.seesSocket,
      fresh: this.effects.changesContext,
      rings,
    };
    return { plan, context, template, index, table, area };
  }

  /** Has the loop stop when ring buffers that programs write to want to be read. */
  #watchRings(): RingWatch[] {
    const maps = new Set(this.effects.programs.flatMap((program) => program.maps));
    return [...maps].flatMap((map): RingWatch[] => {
      if (!(map instanceof RingbufMap)) return [];
      const { consumer, producer } = map.pages;
      const size = map.shape.maxEntries;
      return [{ consumer, producer, most: size <= SMALL_RING ? 0 : size / RING_SHARE }];
    });
  }

  /** Runs the program on the packets of some rows, in order, as far as it goes without the host. */
  run(row: number, end: number): Stretch {
    const { context, index, area, template } = this.#run!;
    const { memory, grace } = this.#kernel.machine;
    const last = this.effects.sendsSamples ? Math.min(row + ROW.size, end) : end;
    this.#kernel.jit!.enter(context);
    this.#kernel.redirect.reset();
    grace.enter();
    try {
      return { row: this.functions.run(row, last, index, context.addr, area, template) >>> 0 };
    } catch (error) {
      if (!(error instanceof JitFault)) throw error;
      return { row: memory.readU32(area + AREA.row), fault: error.fault };
    } finally {
      grace.leave();
    }
  }

  close(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }
}

interface Running {
  readonly plan: LoopPlan;
  readonly context: RunContext;
  readonly template: Addr;
  /** The program's place in the table. */
  readonly index: number;
  readonly table: WasmTable;
  readonly area: Addr;
}

/** Compiles the programs. @returns the first one's index, or nothing when one is too large to be compiled */
function compiled(programs: readonly Program[], compile: (program: Program) => number): number | undefined {
  try {
    const [index] = programs.map(compile);
    return index;
  } catch (error) {
    if (error instanceof TooLarge) return undefined;
    throw error;
  }
}
