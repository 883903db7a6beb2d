/** The WebAssembly module of a batch: what finds packets, what runs the program on them, what counts the answers. */
import { type MemoryLimits, ModuleWriter } from '../jit/wasm/module.ts';
import { defineSkb, defineXdp, type RingWatch, type SkbPlace } from './loops.ts';
import { defineScanPcap, defineScanPcapng } from './scan.ts';
import { defineTally, defineTallyKept } from './tally.ts';

/** How a program is run on packets where they lie. */
export type LoopPlan =
  | { readonly object: 'xdp_buff'; readonly frame: boolean; readonly rings: readonly RingWatch[] }
  | ({ readonly object: 'sk_buff' } & SkbPlace);

type I32 = number;

/** What finds packets. */
export interface ScanFunctions {
  /** @returns the end of the rows */
  readonly scanPcap: (at: I32, end: I32, rows: I32, rowsEnd: I32, limit: I32, box: I32) => I32;
  readonly scanPcapSwapped: ScanFunctions['scanPcap'];
  readonly scanPcapng: (
    at: I32,
    end: I32,
    rows: I32,
    rowsEnd: I32,
    limits: I32,
    interfaces: I32,
    box: I32,
  ) => I32;
  readonly scanPcapngSwapped: ScanFunctions['scanPcapng'];
}

/** What the module exports. Addresses; positions are unsigned. */
export interface BatchFunctions extends ScanFunctions {
  readonly tally: (row: I32, end: I32, box: I32) => void;
  readonly tallyKept: BatchFunctions['tally'];
  /** @returns the row where it stopped */
  readonly run: (row: I32, end: I32, program: I32, context: I32, area: I32, template: I32) => I32;
}

/** @param plan absent where packets are only found and counted */
export function batchModule(memory: MemoryLimits, plan: LoopPlan | undefined): Uint8Array<ArrayBuffer> {
  const module = new ModuleWriter();
  module.importMemory(memory);
  module.importTable('programs');
  const functions: Partial<Record<keyof BatchFunctions, number>> = {
    scanPcap: defineScanPcap(module, false),
    scanPcapSwapped: defineScanPcap(module, true),
    scanPcapng: defineScanPcapng(module, false),
    scanPcapngSwapped: defineScanPcapng(module, true),
    tally: defineTally(module),
    tallyKept: defineTallyKept(module),
  };
  if (plan !== undefined) {
    functions.run = plan.object === 'xdp_buff' ? defineXdp(module, plan) : defineSkb(module, plan);
  }
  for (const [name, index] of Object.entries(functions)) module.export(name, 'func', index);
  return module.finish();
}
