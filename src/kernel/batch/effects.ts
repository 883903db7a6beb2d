/**
 * What a program may do to the packet that it runs on, and so how packets are handed to it: what the verifier let it call
 * and touch decides.
 */
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
  /** The program changes the context, so that each packet needs a fresh one. */
  readonly changesContext: boolean;
  /** The program can tell the packet's socket. */
  readonly seesSocket: boolean;
  /** The program sends samples, which are to be read after each packet. */
  readonly sendsSamples: boolean;
  /** The program and all that it can go on in by a tail call. */
  readonly programs: readonly Program[];
}

/** Helpers that take the context and only look at, or write into, the bytes that the packet has. */
const IN_PLACE: ReadonlySet<Helper> = new Set<Helper>([
  'tail_call',
  'perf_event_output',
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
]);

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
  const handlings = new Set(found.map(({ handling }) => handling));
  const xdp = program.facts.type === 'xdp';
  const handling = handlings.has('single')
    ? 'single'
    : handlings.has('frame')
      ? // An skb that moves is more than a frame.
        xdp
        ? 'frame'
        : 'single'
      : 'place';
  return {
    handling,
    changesContext: found.some((effects) => effects.changesContext),
    seesSocket: found.some((effects) => effects.seesSocket),
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

function effectsAlone({ facts, verified, usedMaps }: Program): Omit<Effects, 'programs'> {
  const { context } = PROGRAMS[facts.type];
  const view = new FieldView(
    context,
    facts.expectedAttachType && effectiveAttachType(facts.type, facts.expectedAttachType),
  );
  let handling: Handling = usedMaps.some(({ shape }) => BEGINNING.has(shape.type)) ? 'single' : 'place';
  let changesContext = false;
  let seesSocket = false;
  let sendsSamples = false;
  const atLeast = (other: Handling) => {
    if (handling !== 'single') handling = other;
  };
  for (const [slot, insn] of verified.insns.entries()) {
    const proof = verified.proofs.get(slot as never);
    if (insn === undefined || proof?.dead) continue;
    switch (insn.kind) {
      case 'call': {
        if (insn.target.kind === 'local') break;
        const name = insn.target.kind === 'helper' ? helperName(insn.target.id) : undefined;
        if (name === 'perf_event_output') sendsSamples = true;
        if (name === undefined || SINGLE.has(name)) handling = 'single';
        else if (prototype(name, facts.type).args.some(({ kind }) => kind === 'ctx')) {
          if (!IN_PLACE.has(name)) atLeast('frame');
          if (!LOOKS.has(name)) changesContext = true;
        }
        break;
      }
      case 'ldx':
        if (proof?.access === 'ctx') {
          const name = view.access('read', insn.off, insn.size)?.field.name;
          if (name === undefined || SOCKET_FIELD.test(name)) seesSocket = true;
        }
        break;
      case 'st':
      case 'stx':
      case 'atomic':
      case 'store_release':
        if (proof?.access === 'ctx') changesContext = true;
        break;
      case 'ld_abs':
        // Negative offsets are of headers that may lie in front of the packet.
        if (insn.imm < 0) handling = 'single';
        break;
      case 'ld_ind':
        handling = 'single';
        break;
      default:
    }
  }
  return { handling, changesContext, seesSocket, sendsSamples };
}
