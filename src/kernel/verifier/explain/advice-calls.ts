/** Calls that can't be made, arguments that don't fit, and values that can't be returned. */
import { type Helper, helperName } from '../../../sys/helper-ids.ts';
import type { MapType } from '../../../sys/map-types.ts';
import type { ProgType } from '../../../sys/tables.ts';
import { MAP_TYPE_HELPERS } from '../../helpers/map-types.ts';
import { prototype } from '../../helpers/prototypes.ts';
import { helpersOf, PROGRAMS } from '../../programs/index.ts';
import { describeReg } from './describe.ts';
import { calleeName } from './insn-text.ts';
import { ARGUMENT_WORDS } from './kinds.ts';
import { type Advice, place, type Trouble } from './trouble.ts';

/** Helper number that loaders put where a CO-RE relocation failed. */
const POISON = 0xbad2310;

/** What does the same where a helper can't be called. */
const INSTEAD: Partial<Readonly<Record<Helper, Partial<Record<ProgType, string>>>>> = {
  skb_load_bytes: { xdp: 'bpf_xdp_load_bytes(), or compare with data_end and read the packet directly' },
  skb_store_bytes: { xdp: 'bpf_xdp_store_bytes(), or compare with data_end and write the packet directly' },
  skb_pull_data: { xdp: 'nothing: the packet of an XDP program is reached by data and data_end' },
  redirect_map: { sched_cls: 'bpf_redirect(), which takes the number of the interface' },
  xdp_adjust_head: { sched_cls: 'bpf_skb_change_head() or bpf_skb_adjust_room()' },
  get_current_pid_tgid: {},
};

/** What reads memory without sleeping. */
const AWAKE: Partial<Readonly<Record<Helper, string>>> = {
  copy_from_user: 'bpf_probe_read_user(), which does not wait for pages',
  copy_from_user_task: 'bpf_probe_read_user()',
};

/** Sections of program types that may sleep. */
const SLEEPABLE = 'SEC("fentry.s/…"), SEC("lsm.s/…"), SEC("uprobe.s/…"), SEC("iter.s/…") or SEC("syscall")';

export function callAdvice(trouble: Trouble): Advice | undefined {
  return (
    poisoned(trouble) ??
    notAllowed(trouble) ??
    wrongMap(trouble) ??
    sleeps(trouble) ??
    argument(trouble) ??
    returned(trouble)
  );
}

function helperOf({ insn }: Trouble): Helper | undefined {
  return insn?.kind === 'call' && insn.target.kind === 'helper' ? helperName(insn.target.id) : undefined;
}

function poisoned({ insn, refusal }: Trouble): Advice | undefined {
  if (refusal.code !== 'unknown-func' || insn?.kind !== 'call' || insn.target.kind !== 'helper')
    return undefined;
  if (insn.target.id !== POISON) {
    return {
      suggestion:
        'check the number of the helper: a newer Linux may have it, or what is called is no helper (a static function that was not inlined, for example)',
    };
  }
  return {
    reason:
      "a CO-RE relocation failed: what is read here is not in the kernel's types, and the loader put this call in place of the instruction",
    suggestion:
      'guard the access: if (bpf_core_field_exists(struct->member)) …, or bpf_core_type_exists(); and compare the name of the type and the member with the kernel that it is for (skep btf dump)',
  };
}

function notAllowed(trouble: Trouble): Advice | undefined {
  const helper = helperOf(trouble);
  const { draft, refusal } = trouble;
  if (helper === undefined || refusal.code !== 'helper-not-allowed') return undefined;
  const { type } = draft.input;
  const instead = INSTEAD[helper]?.[type];
  const types = (Object.keys(PROGRAMS) as ProgType[]).filter(
    (other) => other !== type && offers(other, helper),
  );
  const others =
    types.length === 0
      ? ''
      : `programs of type ${types.slice(0, 6).join(', ')}${types.length > 6 ? ` and ${types.length - 6} more` : ''} may call it`;
  const parts = [instead === undefined ? '' : `use ${instead}`, others].filter((part) => part !== '');
  return {
    reason: `programs of type ${type} can't call bpf_${helper}()`,
    ...(parts.length > 0 && { suggestion: parts.join('; ') }),
  };
}

function offers(type: ProgType, helper: Helper): boolean {
  return helpersOf({ type, caps: new Set(['bpf', 'perfmon', 'net_admin', 'sys_admin']) }).has(helper);
}

function wrongMap(trouble: Trouble): Advice | undefined {
  const helper = helperOf(trouble);
  if (helper === undefined || !trouble.refusal.problem.startsWith('cannot pass map_type')) return undefined;
  const takes = (Object.keys(MAP_TYPE_HELPERS) as MapType[]).filter((type) =>
    MAP_TYPE_HELPERS[type]?.includes(helper),
  );
  if (takes.length === 0) return undefined;
  return { suggestion: `pass a map of type ${takes.join(' or ')}` };
}

function sleeps(trouble: Trouble): Advice | undefined {
  if (trouble.refusal.code !== 'sleeps') return undefined;
  const helper = helperOf(trouble);
  const instead = helper && AWAKE[helper];
  const where = trouble.refusal.problem.includes('non-sleepable')
    ? `or make the program one that may sleep (${SLEEPABLE})`
    : 'or call it outside of the region';
  return { suggestion: instead === undefined ? where.slice(3) : `use ${instead}, ${where}` };
}

/** An argument of another type than the function takes. */
function argument(trouble: Trouble): Advice | undefined {
  const { refusal, insn, draft, regs } = trouble;
  const found = /^R(\d) type=\S+ expected=/.exec(refusal.problem);
  const helper = helperOf(trouble);
  if (found === null || insn?.kind !== 'call') return undefined;
  const number = Number(found[1]);
  const kind = helper && prototype(helper, draft.input.type).args[number - 1]?.kind;
  const reg = regs.find((one) => one.number === number);
  if (kind === undefined || reg === undefined) return undefined;
  const name = calleeName(draft, insn.target) ?? 'the function';
  return {
    reason: `argument ${number} of ${name}() is ${describeReg(reg.value)}`,
    suggestion: `pass ${ARGUMENT_WORDS[kind]}`,
  };
}

/** What is returned is not among what may be. */
function returned(trouble: Trouble): Advice | undefined {
  const { refusal, chain, draft } = trouble;
  if (refusal.code === 'uninitialised-register') {
    const [, regno] = /^R(\d+) !read_ok/.exec(refusal.problem) ?? [];
    if (trouble.insn?.kind === 'exit' && regno === '0') {
      return {
        reason: 'nothing was returned: r0 was not written on this path, or a call made it unreadable',
        suggestion: 'return a value on every path (return 0;)',
      };
    }
    if (chain.some(({ kind }) => kind === 'lose')) return undefined;
    return {
      reason: `nothing was written to r${regno} on this path`,
      suggestion: 'give the variable a value when it is declared, or on every path that leads here',
    };
  }
  if (refusal.code !== 'bad-return-value') return undefined;
  const range = /should have been in \[(-?\d+), (-?\d+)\]/.exec(refusal.problem);
  const origin = chain.findLast(({ place: at }) => at === 'r0');
  if (range === null) return undefined;
  const [, least, most] = range;
  const where = origin === undefined ? '' : ` in ${place(trouble, origin.insn)}`;
  const type = draft.input.expectedAttachType ?? draft.input.type;
  const allowed = least === most ? `only ${least}` : `${least} to ${most}`;
  return {
    reason: `a program of type ${type} may return ${allowed}`,
    suggestion:
      least === most
        ? `return ${least}${where}`
        : `return one of ${least} to ${most}${where}, or limit the value: return v > ${most} ? ${most} : v;`,
  };
}
