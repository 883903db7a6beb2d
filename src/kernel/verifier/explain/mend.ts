/** How to mend what is wrong: what to test, where, or what to give back. */
import type { Insn } from '../../../isa/insn.ts';
import type { RegState } from '../explore/reg.ts';
import {
  baseType,
  mayBeNull,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  SCALAR,
} from '../explore/reg-type.ts';
import type { Refusal } from '../rejection.ts';
import { formatSigned, formatUnsigned } from '../value/print.ts';
import type { Link } from './chain.ts';

/** What a mending is worked out from. */
export interface Trouble {
  readonly refusal: Refusal;
  readonly insn: Insn | undefined;
  /** Registers that it is about, before the failing instruction. */
  readonly regs: readonly { readonly number: number; readonly value: RegState }[];
  readonly chain: readonly Link[];
  /** Where an instruction came from: `line 47 of syn_counter.c`, or the instruction's number. */
  readonly place: (insn: number) => string;
  /** What the acquired object that is not given back came from, where that is the trouble. */
  readonly acquiredBy?: string | undefined;
}

/** Functions that give back what others acquired. */
const RELEASES: readonly (readonly [RegExp, string])[] = [
  [/ringbuf_reserve_dynptr/, 'bpf_ringbuf_submit_dynptr() or bpf_ringbuf_discard_dynptr()'],
  [/ringbuf_reserve/, 'bpf_ringbuf_submit() or bpf_ringbuf_discard()'],
  [/sk_lookup|skc_lookup|map_lookup_elem/, 'bpf_sk_release()'],
  [/obj_new/, 'bpf_obj_drop(), or by adding it to a list, a tree or a map'],
  [/task_acquire|task_from/, 'bpf_task_release()'],
  [/cgroup_acquire|cgroup_from/, 'bpf_cgroup_release()'],
  [/cpumask_create|cpumask_acquire/, 'bpf_cpumask_release()'],
  [/iter_\w+_new/, 'the *_destroy() function of the iterator'],
  [/spin_lock/, 'bpf_spin_unlock()'],
  [/rcu_read_lock/, 'bpf_rcu_read_unlock()'],
  [/preempt_disable/, 'bpf_preempt_enable()'],
  [/local_irq_save/, 'bpf_local_irq_restore()'],
];

export function mend(trouble: Trouble): string | undefined {
  return (
    nullCheck(trouble) ??
    packetCheck(trouble) ??
    release(trouble) ??
    bound(trouble) ??
    trouble.refusal.hint ??
    argument(trouble)
  );
}

function nullCheck({ regs, chain, place, refusal }: Trouble): string | undefined {
  if (refusal.code === 'unreleased-reference') return undefined;
  const pointer = regs.find(({ value }) => mayBeNull(value.type));
  if (pointer === undefined) return undefined;
  const origin = chain.findLast(
    (link) => link.kind === 'call' || link.kind === 'load' || link.kind === 'enter',
  );
  const where = origin === undefined ? '' : ` behind ${place(origin.insn)}`;
  return `test the pointer for null${where}, before it is used: if (!p) return …;`;
}

function packetCheck({ regs, insn, refusal }: Trouble): string | undefined {
  const pointer = regs.find(({ value }) => baseType(value.type) === PTR_TO_PACKET);
  if (pointer === undefined || refusal.code !== 'packet-bounds') return undefined;
  const { value, number } = pointer;
  if (!value.scalar.isConst) {
    return `compare the end of the access, computed from r${number} itself, with data_end after the last change of the pointer`;
  }
  const reach =
    value.off +
    value.scalar.constNumber() +
    (insn !== undefined && 'off' in insn ? insn.off : 0) +
    sizeOf(insn);
  return `before the access, leave when the packet is too short: if (data + ${reach} > data_end) return …; now ${value.range} bytes are known to be there`;
}

function sizeOf(insn: Insn | undefined): number {
  return insn !== undefined && 'size' in insn ? insn.size : 1;
}

function release({ refusal, acquiredBy, place, chain }: Trouble): string | undefined {
  if (acquiredBy === undefined) return undefined;
  const found = RELEASES.find(([pattern]) => pattern.test(acquiredBy));
  const branch = chain.findLast((link) => link.kind === 'branch');
  const path = branch === undefined ? '' : `, also on the path through ${place(branch.insn)}`;
  if (found !== undefined) return `give it back with ${found[1]} before the end${path}`;
  return refusal.hint ?? `give back what ${acquiredBy} acquired before the end${path}`;
}

/** An argument of another type than the function takes. */
function argument({ refusal }: Trouble): string | undefined {
  const found = /^R(\d) type=\S+ expected=(.+)$/.exec(refusal.problem);
  if (found === null) return undefined;
  const fits = found[2]!.includes('fp') ? ', for example the address of a local variable' : '';
  return `give argument ${found[1]} a pointer to memory of the kind that the function takes (${found[2]})${fits}`;
}

function bound({ refusal, regs, insn }: Trouble): string | undefined {
  const { problem } = refusal;
  if (/min value is negative|unbounded min value|negative min value/.test(problem)) {
    return 'make the number unsigned, or leave when it is below 0, before it is used as an offset or size';
  }
  const object = regs.find(({ value }) => {
    const base = baseType(value.type);
    return (base === PTR_TO_MAP_VALUE || base === PTR_TO_MEM) && !value.scalar.isConst;
  });
  if (object !== undefined) {
    const { value } = object;
    const size = baseType(value.type) === PTR_TO_MAP_VALUE ? (value.map?.valueSize ?? 0) : value.memSize;
    const most = size - sizeOf(insn) - value.off - (insn !== undefined && 'off' in insn ? insn.off : 0);
    const { umaxHi, umaxLo } = value.scalar;
    return `limit the offset to ${Math.max(0, most)} before it is added (if (i > ${Math.max(0, most)}) return …; or a mask): it can be up to ${formatUnsigned(umaxHi, umaxLo)}, and the object has ${size} bytes`;
  }
  const number = regs.find(({ value }) => value.type === SCALAR && !value.scalar.isConst);
  if (number !== undefined && /unbounded|too big|max value|out of range|pointer offset/.test(problem)) {
    const { smaxHi, smaxLo } = number.value.scalar;
    return `test r${number.number}'s value against the object's size before this: it can be up to ${formatSigned(smaxHi, smaxLo)}`;
  }
  return undefined;
}
