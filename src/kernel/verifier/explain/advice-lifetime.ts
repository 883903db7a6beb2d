/** What is held and not given back, and what may not be done while it is held. */
import { callee, type Link } from './chain.ts';
import { type Advice, place, type Trouble } from './trouble.ts';

/** Functions that give back what others acquired. */
const RELEASES: readonly (readonly [RegExp, string])[] = [
  [/ringbuf_reserve_dynptr/, 'bpf_ringbuf_submit_dynptr() or bpf_ringbuf_discard_dynptr()'],
  [/ringbuf_reserve/, 'bpf_ringbuf_submit() or bpf_ringbuf_discard()'],
  [/sk_lookup|skc_lookup|map_lookup_elem/, 'bpf_sk_release()'],
  [/obj_new|refcount_acquire/, 'bpf_obj_drop(), or by adding it to a list, a tree or a map'],
  [/percpu_obj_new/, 'bpf_percpu_obj_drop(), or by putting it into a map'],
  [/task_acquire|task_from/, 'bpf_task_release()'],
  [/cgroup_acquire|cgroup_from/, 'bpf_cgroup_release()'],
  [/cpumask_create|cpumask_acquire/, 'bpf_cpumask_release()'],
  [/get_task_exe_file/, 'bpf_put_file()'],
  [/ct_alloc|ct_lookup|ct_insert/, 'bpf_ct_release()'],
  [/iter_\w+_new/, 'the *_destroy() function of the iterator'],
  [/res_spin_lock/, 'bpf_res_spin_unlock()'],
  [/spin_lock/, 'bpf_spin_unlock()'],
  [/rcu_read_lock/, 'bpf_rcu_read_unlock()'],
  [/preempt_disable/, 'bpf_preempt_enable()'],
  [/local_irq_save/, 'bpf_local_irq_restore()'],
];

/** Functions that open a region, by the name that the log gives it. */
const REGIONS: readonly (readonly [RegExp, RegExp])[] = [
  [/bpf_rcu_read_lock/, /rcu_read_lock$/],
  [/bpf_preempt_disable/, /preempt_disable$/],
  [/bpf_local_irq_save/, /local_irq_save$/],
  [/bpf_spin_lock|holding a lock/, /spin_lock(_irqsave)?$/],
];

const MAX_BRANCHES = 15;

export function lifetimeAdvice(trouble: Trouble): Advice | undefined {
  return heldBack(trouble) ?? insideRegion(trouble);
}

const HELD = new Set(['unreleased-reference', 'open-region']);

function heldBack(trouble: Trouble): Advice | undefined {
  const { ex, refusal, draft, steps } = trouble;
  if (ex === undefined || !HELD.has(refusal.code)) return undefined;
  const named = /alloc_insn=(\d+)/.exec(refusal.problem);
  const at = named !== null ? Number(named[1]) : (opener(trouble) ?? ex.state.refs.at(-1)?.insnIdx);
  const insn = at === undefined ? undefined : draft.insns[at];
  const from = steps.findLastIndex(({ insnIdx }) => insnIdx === at);
  if (at === undefined || insn === undefined || from < 0) return undefined;
  const by = callee(ex, insn);
  const region = refusal.code === 'open-region';
  const branches = branchesFrom(trouble, from);
  const found = RELEASES.find(([pattern]) => pattern.test(by));
  const last = branches.at(-1);
  const path = last === undefined ? '' : `, also on the path through ${place(trouble, last.insn)}`;
  const how =
    found === undefined
      ? `give back what ${by} acquired`
      : `${region ? 'call' : 'give it back with'} ${found[1]}`;
  const after = steps[from + 1]?.regs[0];
  return {
    reason: region
      ? `the program ends in the region that ${by} opened in ${place(trouble, at)}`
      : `what ${by} returned in ${place(trouble, at)} is not given back on this path`,
    suggestion: `${how} before the end${path}`,
    causes: [
      {
        insn: at,
        step: from,
        frame: steps[from]!.frameno,
        kind: 'call',
        place: 'r0',
        ...(after && !region && { after }),
        says: region ? `${by} opens the region` : `${by} acquires it`,
      },
      ...branches,
    ],
  };
}

/** The newest call on the path that opened the region which the refusal is about. */
function opener({ refusal, steps, draft, ex }: Trouble): number | undefined {
  const region = REGIONS.find(([words]) => words.test(refusal.problem));
  if (region === undefined || ex === undefined) return undefined;
  return steps.findLast(({ insnIdx }) => {
    const insn = draft.insns[insnIdx];
    return insn?.kind === 'call' && region[1].test(callee(ex, insn).slice(0, -2));
  })?.insnIdx;
}

function branchesFrom({ steps, draft }: Trouble, from: number): Link[] {
  const links: Link[] = [];
  for (let i = from + 1; i < steps.length - 1; i++) {
    const { insnIdx, frameno } = steps[i]!;
    const insn = draft.insns[insnIdx];
    if (insn?.kind !== 'jmp') continue;
    const taken = steps[i + 1]!.insnIdx !== insnIdx + 1;
    const says = `the branch is ${taken ? 'taken' : 'not taken'}`;
    links.push({ insn: insnIdx, step: i, frame: frameno, kind: 'branch', place: `r${insn.dst}`, says });
  }
  return links.slice(-MAX_BRANCHES);
}

/** Something is done that may not be done where the program is. */
function insideRegion(trouble: Trouble): Advice | undefined {
  const { refusal, ex, draft, steps } = trouble;
  if (refusal.code !== 'call-under-lock' && refusal.code !== 'bad-region') return undefined;
  const at = opener(trouble);
  const step = steps.findLastIndex(({ insnIdx }) => insnIdx === at);
  const insn = at === undefined ? undefined : draft.insns[at];
  if (at === undefined || insn === undefined || ex === undefined) return undefined;
  const by = callee(ex, insn);
  return {
    ...(refusal.code === 'call-under-lock' && {
      reason: `a function is called while the lock is held that ${by} took in ${place(trouble, at)}`,
      suggestion:
        'make the call before the lock is taken or after it is released, and keep its result in a variable',
    }),
    causes: [
      {
        insn: at,
        step,
        frame: steps[step]!.frameno,
        kind: 'call',
        place: 'r1',
        says: `${by} opens the region`,
      },
    ],
  };
}
