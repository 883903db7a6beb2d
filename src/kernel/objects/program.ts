/** A loaded program. */
import type { Btf } from '../../btf/index.ts';
import type { AttachType, ProgType } from '../../sys/tables.ts';
import type { BpfMap } from '../maps/map.ts';
import type { VerifiedProgram } from '../verifier/program.ts';
import type { BtfObject } from './btf-object.ts';
import { KernelObject } from './object.ts';
import { Streams } from './streams.ts';

/** What a program is beside what the verifier says of it. */
export interface ProgramFacts {
  readonly type: ProgType;
  readonly expectedAttachType: AttachType | undefined;
  readonly name: string;
  readonly gplCompatible: boolean;
  /** Eight bytes. */
  readonly tag: Uint8Array;
  /** Nanoseconds since boot. */
  readonly loadTime: bigint;
  /** Bits of `PROG_LOAD_FLAGS`. */
  readonly flags: number;
  readonly funcInfo: Uint8Array;
  readonly lineInfo: Uint8Array;
  readonly attachBtfId: number;
  readonly ifindex: number;
  /** The types that its calls of kernel functions and its kernel variables name. */
  readonly kernelBtf?: Btf | undefined;
}

/** Run counts; `runs` and `nanoseconds` move only while statistics are enabled. */
export interface ProgramStats {
  runs: bigint;
  nanoseconds: bigint;
  recursionMisses: bigint;
}

export class Program extends KernelObject<'prog'> {
  readonly facts: ProgramFacts;
  readonly verified: VerifiedProgram;
  /** As the instructions name them: index into `verified.maps`. */
  readonly maps: readonly BpfMap[];
  readonly btf: BtfObject | undefined;
  /** What it has printed. */
  readonly streams = new Streams();
  readonly stats: ProgramStats = { runs: 0n, nanoseconds: 0n, recursionMisses: 0n };
  /** Where a variable of the kernel is, by its id in the kernel's BTF. */
  readonly variable: (btfId: number) => number;
  /** Maps that were bound to it after it was loaded. */
  readonly #bound: BpfMap[] = [];

  constructor(
    facts: ProgramFacts,
    verified: VerifiedProgram,
    maps: readonly BpfMap[],
    btf: BtfObject | undefined,
    variable: (btfId: number) => number = () => 0,
  ) {
    super('prog');
    this.facts = facts;
    this.verified = verified;
    this.maps = maps.map((map) => map.hold());
    this.btf = btf?.hold();
    this.variable = variable;
  }

  /** All maps that it holds. */
  get usedMaps(): readonly BpfMap[] {
    return [...this.maps, ...this.#bound];
  }

  /** Holds a map that it doesn't use, such as one with data about it. */
  bind(map: BpfMap): void {
    if (!this.usedMaps.includes(map)) this.#bound.push(map.hold());
  }

  override releaseUser(): void {}

  override destroy(): void {
    for (const map of this.usedMaps) map.release();
    this.btf?.release();
  }
}
