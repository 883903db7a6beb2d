/**
 * What a program may do to the packet that it runs on, and so how packets are handed to it: what the verifier let it call
 * and touch decides.
 */
import type { Insn } from '../../isa/index.ts';
import { helperName } from '../../sys/helper-ids.ts';
import type { Helper, MapType } from '../../sys/index.ts';
import { prototype } from '../helpers/prototypes.ts';
import { ProgArrayMap } from '../maps/prog-array.ts';
import { FieldView } from '../net/field-view.ts';
import type { Program } from '../objects/program.ts';
import { effectiveAttachType, PROGRAMS } from '../programs/index.ts';

/**
 * `place`: packets are run where they lie. `frame`: each is copied into a frame, where it can move and grow. `single`: one at
 * a time, each in an object of its own making.
 */
export type Handling = 'place' | 'frame' | 'single';

export interface Effects {
  readonly handling: Handling;
  /** Why it is `single`, in the words of who wrote the program. */
  readonly single?: string;
  /** The program changes the context, so that each packet needs a fresh one. */
  readonly changesContext: boolean;
  /** The program can tell the packet's socket. */
  readonly seesSocket: boolean;
  /** The program may load from its link layer header, which a socket filter has in front of the packet. */
  readonly looksBack: boolean;
  /** The program sends samples, which are to be read after each packet. */
  readonly sendsSamples: boolean;
  /** The program and all that it can go on in by a tail call. */
  readonly programs: readonly Program[];
}

/** Helpers that only look at, or write into, the bytes that the packet has. */
export const ON_PACKET = [
  'xdp_get_buff_len',
  'xdp_load_bytes',
  'xdp_store_bytes',
  'skb_load_bytes',
  'skb_store_bytes',
  'skb_pull_data',
  'l3_csum_replace',
  'l4_csum_replace',
  'csum_update',
  'csum_level',
  'skb_change_type',
  'set_hash',
  'set_hash_invalid',
  'get_hash_recalc',
] as const satisfies readonly Helper[];

/** Helpers that take the context and leave the packet where it is. */
const IN_PLACE: ReadonlySet<Helper> = new Set<Helper>(['tail_call', 'perf_event_output', ...ON_PACKET]);

/** Of these, those that leave no trace in the context. */
const LOOKS: ReadonlySet<Helper> = new Set<Helper>([
  'tail_call',
  'perf_event_output',
  'xdp_get_buff_len',
  'xdp_load_bytes',
  'xdp_store_bytes',
  'skb_load_bytes',
  'skb_pull_data',
]);

/** Helpers whose doings are taken note of packet by packet, or that have something done after each. */
const SINGLE: ReadonlySet<Helper> = new Set<Helper>([
  'clone_redirect',
  'timer_init',
  'timer_set_callback',
  'timer_start',
  'timer_cancel',
]);

/** Maps that begin anew with each test run. */
const BEGINNING: ReadonlySet<MapType> = new Set<MapType>(['cgroup_storage', 'percpu_cgroup_storage']);

const SOCKET_FIELD = /^(sk|family|remote_\w+|local_\w+)$/;

/** Of a program that runs on packets. Holds until a prog array that it tail-calls through changes. */
export function effectsOf(program: Program): Effects {
  const programs = reachable(program);
  const found = programs.map(effectsAlone);
  const moves = found.find(({ moves }) => moves !== undefined)?.moves;
  // An skb that moves is more than a frame.
  const single =
    found.find((effects) => effects.single !== undefined)?.single ??
    (program.facts.type === 'xdp' ? undefined : moves);
  return {
    handling: single !== undefined ? 'single' : moves !== undefined ? 'frame' : 'place',
    ...(single !== undefined && { single }),
    changesContext: found.some((effects) => effects.changesContext),
    seesSocket: found.some((effects) => effects.seesSocket),
    looksBack: found.some((effects) => effects.looksBack),
    sendsSamples: found.some((effects) => effects.sendsSamples),
    programs,
  };
}

function reachable(program: Program): readonly Program[] {
  const found = new Set([program]);
  // A set's iteration comes to what is added meanwhile.
  for (const { maps } of found) {
    for (const map of maps) {
      if (!(map instanceof ProgArrayMap)) continue;
      for (const target of map.slots.values()) found.add(target);
    }
  }
  return [...found];
}

interface Found {
  /** Why packets have to be run one at a time. */
  single: string | undefined;
  /** What may move the packet. */
  moves: string | undefined;
  changesContext: boolean;
  seesSocket: boolean;
  looksBack: boolean;
  sendsSamples: boolean;
}

function effectsAlone(program: Program): Found {
  const { facts, verified, usedMaps } = program;
  const { name, type, expectedAttachType: given } = facts;
  const view = new FieldView(PROGRAMS[type].context, given && effectiveAttachType(type, given));
  const storage = usedMaps.find(({ shape }) => BEGINNING.has(shape.type));
  const found: Found = {
    single: storage && `${name} uses ${storage.label}, which begins anew with each packet`,
    moves: undefined,
    changesContext: false,
    seesSocket: false,
    looksBack: false,
    sendsSamples: false,
  };
  for (const [slot, insn] of verified.insns.entries()) {
    const proof = verified.proofs.get(slot as never);
    if (insn === undefined || proof?.dead) continue;
    switch (insn.kind) {
      case 'call':
        noteCall(found, facts, insn.target);
        break;
      case 'ldx':
        if (proof?.access === 'ctx') {
          const field = view.access('read', insn.off, insn.size)?.field.name;
          if (field === undefined || SOCKET_FIELD.test(field)) found.seesSocket = true;
        }
        break;
      case 'st':
      case 'stx':
      case 'atomic':
      case 'store_release':
        if (proof?.access === 'ctx') found.changesContext = true;
        break;
      case 'ld_abs':
        // Negative offsets are of headers.
        if (insn.imm < 0) found.looksBack = true;
        break;
      case 'ld_ind':
        found.looksBack = true;
        break;
      default:
    }
  }
  return found;
}

function noteCall(
  found: Found,
  { name, type }: Program['facts'],
  target: Extract<Insn, { kind: 'call' }>['target'],
): void {
  if (target.kind === 'local') return;
  const helper = target.kind === 'helper' ? helperName(target.id) : undefined;
  if (helper === undefined) {
    found.single ??= `${name} calls kernel functions`;
    return;
  }
  if (helper === 'perf_event_output') found.sendsSamples = true;
  if (SINGLE.has(helper)) found.single ??= `${name} calls bpf_${helper}`;
  if (!prototype(helper, type).args.some(({ kind }) => kind === 'ctx')) return;
  if (!IN_PLACE.has(helper)) found.moves ??= `${name} calls bpf_${helper}, which may move the packet`;
  if (!LOOKS.has(helper)) found.changesContext = true;
}
