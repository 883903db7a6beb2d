/** A program's loop over packets on one processor: its module, and the context that each packet takes its turn in. */
import { Bug } from '../../base/error.ts';
import type { AttachType, ProgType } from '../../sys/tables.ts';
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

/** What a loop is made for. Plain data: another thread can be told. */
export interface LoopFacts {
  readonly type: ProgType;
  readonly attach: AttachType | undefined;
  readonly effects: Omit<Effects, 'programs'>;
  readonly rings: readonly RingWatch[];
}

/** The compiled program, where there is one. */
export interface LoopCode {
  /** Its place in the table. */
  readonly index: number;
  readonly table: WasmTable;
  /** The processor's area. */
  readonly area: Addr;
  /** Makes ready for runs on the context. */
  readonly enter: (context: RunContext) => void;
}

/** What is there on a processor to run packets with. */
export type LoopKernel = Pick<RunKernel, 'machine' | 'devices' | 'redirect'>;

interface Prepared {
  readonly plan: LoopPlan;
  readonly context: XdpBuff | SkBuff;
  readonly template: Addr;
}

export class PacketLoop {
  readonly functions: BatchFunctions;
  readonly #kernel: LoopKernel;
  readonly #code: LoopCode | undefined;
  readonly #facts: LoopFacts;
  /** Absent where packets are run one at a time. */
  readonly #prepared: Prepared | undefined;

  constructor(kernel: LoopKernel, facts: LoopFacts, code: LoopCode | undefined) {
    const { memory } = kernel.machine;
    this.#kernel = kernel;
    this.#facts = facts;
    this.#code = code;
    this.#prepared = code && facts.effects.handling !== 'single' ? prepare(kernel, facts) : undefined;
    const module = new wasm.Module(batchModule(memoryLimits(memory), this.#prepared?.plan));
    const { exports } = new wasm.Instance(module, {
      skep: {
        memory: memory.wasm,
        programs: code?.table ?? new wasm.Table({ element: 'anyfunc', initial: 1 }),
      },
    });
    this.functions = exports as unknown as BatchFunctions;
  }

  /** Packets are handed over where they lie, many at once. */
  get batches(): boolean {
    return this.#prepared !== undefined;
  }

  /** What the packets take their turns in. */
  get context(): XdpBuff | SkBuff | undefined {
    return this.#prepared?.context;
  }

  /** Runs the program on the packets of some rows, in order, as far as it goes without the host. */
  run(row: number, end: number): Stretch {
    const { index, area, enter } = this.#code!;
    const { context, template } = this.#prepared!;
    const { memory, grace } = this.#kernel.machine;
    const last = this.#facts.effects.sendsSamples ? Math.min(row + ROW.size, end) : end;
    enter(context);
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
    this.#prepared?.context.close();
    if (this.#prepared) this.#kernel.machine.memory.free(this.#prepared.template);
  }
}

function prepare({ machine, devices }: LoopKernel, { type, attach, effects, rings }: LoopFacts): Prepared {
  const { memory } = machine;
  const kind = PACKET_TYPES[type];
  if (!kind) throw new Bug(`a program of type ${type} does not run on packets`);
  const view = new FieldView(PROGRAMS[type].context, attach && effectiveAttachType(type, attach));
  const any = new Uint8Array(ETH_HLEN);
  if (kind.object === 'xdp_buff') {
    const context = new XdpBuff(memory, view);
    context.load(any, 0, any.length, devices.loopback, 0);
    const plan = { object: 'xdp_buff', frame: effects.handling === 'frame', rings } as const;
    return { plan, context, template: NULL };
  }
  const context = new SkBuff(memory, view);
  context.load(any, devices.loopback, kind.atNetwork);
  const template = memory.allocate(SK_BUFF.size, { kind: 'kernel', owner: 'sk_buff', access: 'none' });
  memory.copy(template, context.addr, SK_BUFF.size);
  const plan: LoopPlan = {
    object: 'sk_buff',
    lead: type === 'socket_filter' ? ETH_HLEN : 0,
    leads: effects.looksBack,
    atNetwork: kind.atNetwork,
    sock: effects.seesSocket,
    fresh: effects.changesContext,
    rings,
  };
  return { plan, context, template };
}

/** The loop on the kernel's own processor. */
export function ownLoop(kernel: RunKernel, program: Program): PacketLoop {
  const { programs, ...effects } = effectsOf(program);
  const { jit } = kernel;
  const index = jit && compiled(programs, (each) => jit.compile(each).index);
  const code =
    jit === undefined || index === undefined
      ? undefined
      : { index, ...jit.entries, enter: (context: RunContext) => jit.enter(context) };
  return new PacketLoop(kernel, loopFacts(program, programs, effects), code);
}

export function loopFacts(
  { facts }: Program,
  programs: readonly Program[],
  effects: Omit<Effects, 'programs'>,
): LoopFacts {
  const maps = new Set(programs.flatMap((program) => program.maps));
  const rings = [...maps].flatMap((map): RingWatch[] => {
    if (!(map instanceof RingbufMap)) return [];
    const { consumer, producer } = map.pages;
    const size = map.shape.maxEntries;
    return [{ consumer, producer, most: size <= SMALL_RING ? 0 : size / RING_SHARE, size }];
  });
  return { type: facts.type, attach: facts.expectedAttachType, effects, rings };
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
