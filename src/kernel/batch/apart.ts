/**
 * Whether it makes no difference which processor runs which packet, and when: the program keeps nothing, or nothing but sums,
 * in values that it only adds to. Then a packet need not go to the processor of its flow. Judged from instructions and what
 * the verifier proved of them; what is not plain is taken to make a difference.
 */
import type { Insn, InsnIdx } from '../../isa/index.ts';
import { helperName } from '../../sys/helper-ids.ts';
import type { Helper, MapType } from '../../sys/index.ts';
import { prototype } from '../helpers/prototypes.ts';
import { reads, writes } from '../interpreter/registers.ts';
import type { BpfMap } from '../maps/map.ts';
import type { Program } from '../objects/program.ts';
import { ON_PACKET } from './effects.ts';
import { type Held, type Provenance, provenanceOf, successors } from './provenance.ts';

/** Helpers that answer by their arguments, the packet and the clock alone, and leave nothing anywhere else. */
const ANSWERS: ReadonlySet<Helper> = new Set<Helper>([
  'map_lookup_elem',
  'tail_call',
  'ktime_get_ns',
  'ktime_get_boot_ns',
  'ktime_get_coarse_ns',
  'ktime_get_tai_ns',
  'jiffies64',
  'csum_diff',
  'strncmp',
  'strtol',
  'strtoul',
  'redirect',
  'xdp_adjust_head',
  'xdp_adjust_tail',
  'xdp_adjust_meta',
  ...ON_PACKET,
]);

/** Maps that a lookup leaves as they are. */
const STILL: ReadonlySet<MapType> = new Set<MapType>([
  'array',
  'percpu_array',
  'hash',
  'percpu_hash',
  'lpm_trie',
  'prog_array',
]);
/** Maps of which each processor has values of its own: an addition in several instructions is one. */
const OWN: ReadonlySet<MapType> = new Set<MapType>(['percpu_array', 'percpu_hash']);

/** What is only the packet's. */
const PRIVATE: ReadonlySet<Held['kind']> = new Set(['stack', 'packet', 'ctx']);
/** What helpers may be given to look at or to write into. */
const GIVEN: ReadonlySet<Held['kind']> = new Set(['stack', 'packet', 'zero']);

type Store = Extract<Insn, { kind: 'st' | 'stx' | 'atomic' }>;

/** Arguments that are addresses. */
const POINTED: ReadonlySet<string> = new Set(['mem', 'map_key', 'map_value', 'stack']);

/** r0 to r5: a call changes them; r1 to r5 may be its arguments. */
const CALL_WRITES = 0b111111;
const CALL_READS = 0b111110;
const EXIT_READS = 0b1;

/** How the values of a map are used. */
interface Use {
  /** Bytes of what is added to; undefined before there is an addition. */
  size: number | undefined;
  /** There are reads that are no part of an addition. */
  read: boolean;
}

/** @param programs all that may run on a packet */
export function packetsApart(programs: readonly Program[]): boolean {
  const uses = new Map<BpfMap, Use>();
  for (const program of programs) {
    if (!program.usedMaps.every(({ shape }) => STILL.has(shape.type))) return false;
    const held = provenanceOf(program.verified);
    if (held === undefined || !new Search(program, held, uses).apart()) return false;
  }
  return [...uses.values()].every(({ size, read }) => size === undefined || !read);
}

class Search {
  readonly #program: Program;
  readonly #insns: readonly (Insn | undefined)[];
  readonly #held: Provenance;
  readonly #uses: Map<BpfMap, Use>;
  /** Slots that jumps go to. */
  readonly #targets: ReadonlySet<number>;
  /** Loads that are a part of an addition. */
  readonly #parts = new Set<number>();

  constructor(program: Program, held: Provenance, uses: Map<BpfMap, Use>) {
    this.#program = program;
    this.#insns = program.verified.insns;
    this.#held = held;
    this.#uses = uses;
    this.#targets = targetsOf(this.#insns);
  }

  apart(): boolean {
    const slots = [...this.#held.keys()];
    // Stores first: they tell which loads are a part of an addition.
    return (
      slots.every((slot) => this.#answers(slot, this.#insns[slot]!)) &&
      slots.every((slot) => this.#mayStore(slot, this.#insns[slot]!)) &&
      slots.every((slot) => this.#mayLoad(slot, this.#insns[slot]!))
    );
  }

  #answers(slot: number, insn: Insn): boolean {
    if (insn.kind === 'may_goto' || insn.kind === 'addr_space_cast') return false;
    if (insn.kind !== 'call') return true;
    const helper = insn.target.kind === 'helper' ? helperName(insn.target.id) : undefined;
    if (helper === undefined || !ANSWERS.has(helper)) return false;
    // What it is given to look at or to write into may not be a map's value.
    const { args } = prototype(helper, this.#program.facts.type);
    return args.every(({ kind }, i) => !POINTED.has(kind) || GIVEN.has(this.#held.get(slot)![i + 1]!.kind));
  }

  #use(map: BpfMap): Use {
    let use = this.#uses.get(map);
    if (use === undefined) {
      use = { size: undefined, read: false };
      this.#uses.set(map, use);
    }
    return use;
  }

  /** Whether an access goes through what is no address of the packet, the stack, the context or a value. */
  #isOther(slot: number): boolean {
    const access = this.#program.verified.proofs.get(slot as InsnIdx)?.access;
    return access !== undefined && access !== 'ctx';
  }

  #mayLoad(slot: number, insn: Insn): boolean {
    if (insn.kind !== 'ldx' && insn.kind !== 'load_acquire') return true;
    const held = this.#held.get(slot)![insn.src]!;
    if (this.#isOther(slot)) return false;
    if (PRIVATE.has(held.kind)) return true;
    if (held.kind !== 'value') return false;
    const map = this.#program.maps[held.map]!;
    if (this.#parts.has(slot)) return true;
    this.#use(map).read = true;
    // Values that differ from processor to processor.
    return !OWN.has(map.shape.type);
  }

  #mayStore(slot: number, insn: Insn): boolean {
    if (insn.kind !== 'st' && insn.kind !== 'stx' && insn.kind !== 'atomic')
      return insn.kind !== 'store_release';
    const held = this.#held.get(slot)![insn.dst]!;
    if (this.#isOther(slot)) return false;
    if (PRIVATE.has(held.kind)) return true;
    if (held.kind !== 'value' || held.offset === undefined) return false;
    const map = this.#program.maps[held.map]!;
    // Parts of other sums would carry into each other.
    if (!this.#adds(slot, insn, map) || (held.offset + insn.off) % insn.size !== 0) return false;
    const use = this.#use(map);
    use.size ??= insn.size;
    return use.size === insn.size;
  }

  #adds(slot: number, insn: Store, map: BpfMap): boolean {
    if (insn.kind === 'atomic') return insn.op === 'add' && !insn.fetch;
    return insn.kind === 'stx' && OWN.has(map.shape.type) && this.#endsAddition(slot, insn);
  }

  /** Whether a store is the end of `*p += x`, of which nobody sees what it has added to. */
  #endsAddition(slot: number, { dst, src, off, size }: Extract<Insn, { kind: 'stx' }>): boolean {
    if (dst === src) return false;
    const value = 1 << src;
    let added = false;
    for (let at = slot - 1; at >= 0 && !this.#targets.has(at + 1); at--) {
      const insn = this.#insns[at];
      if (insn === undefined) continue;
      if (!added && insn.kind === 'alu' && insn.op === 'add' && insn.dst === src) {
        if ((insn.src.kind === 'reg' && insn.src.reg === src) || insn.width < 8 * size) return false;
        added = true;
      } else if (added && insn.kind === 'ldx' && insn.dst === src) {
        if (insn.src !== dst || insn.off !== off || insn.size !== size || insn.signed) return false;
        this.#parts.add(at);
        return this.#forgotten(slot + 1, value);
      } else if (
        !passes(insn) ||
        ((reads(insn) | writes(insn)) & value) !== 0 ||
        (writes(insn) & (1 << dst)) !== 0
      ) {
        return false;
      }
    }
    return false;
  }

  /** Whether registers are written on all ways from a slot before they are read. */
  #forgotten(start: number, registers: number): boolean {
    const seen = new Set<number>();
    const open = [start];
    for (let slot = open.pop(); slot !== undefined; slot = open.pop()) {
      if (seen.has(slot)) continue;
      seen.add(slot);
      const insn = this.#insns[slot];
      if (insn === undefined) return false;
      const call = insn.kind === 'call';
      const read = call ? CALL_READS : insn.kind === 'exit' ? EXIT_READS : reads(insn);
      if ((read & registers) !== 0) return false;
      if (insn.kind === 'exit') continue;
      if (((call ? CALL_WRITES : writes(insn)) & registers) !== 0) continue;
      open.push(...successors(insn, slot));
    }
    return true;
  }
}

/** What may stand between the load and the store of an addition: nothing that goes elsewhere or stores. */
function passes({ kind }: Insn): boolean {
  return (
    kind === 'alu' ||
    kind === 'neg' ||
    kind === 'movsx' ||
    kind === 'endian' ||
    kind === 'ldx' ||
    kind === 'ldimm64'
  );
}

function targetsOf(insns: readonly (Insn | undefined)[]): ReadonlySet<number> {
  const targets = new Set<number>();
  for (const [slot, insn] of insns.entries()) {
    if (insn === undefined || (insn.kind !== 'ja' && insn.kind !== 'jmp')) continue;
    for (const to of successors(insn, slot)) targets.add(to);
  }
  return targets;
}
