/**
 * Which pointers found in kernel objects may be relied on. What a trusted object points to is not trusted by that
 * alone: only some members are known to stay valid, some of them only while RCU holds.
 *
 * @see kernel/bpf/verifier.c, BTF_TYPE_SAFE_RCU and the lists beside it
 */
import type { Explorer } from './explorer.ts';
import { inRcuSection } from './references.ts';
import type { RegState } from './reg.ts';
import {
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RCU,
  MEM_USER,
  mayBeNull,
  NON_OWN_REF,
  PTR_MAYBE_NULL,
  PTR_TRUSTED,
  PTR_UNTRUSTED,
  typeFlags,
} from './reg-type.ts';

/** How far a member can be relied on. */
type Safety = 'rcu' | 'rcu_or_null' | 'trusted' | 'trusted_or_null';

const SAFE_MEMBERS: Readonly<Record<string, Readonly<Record<string, Safety>>>> = {
  task_struct: { cpus_ptr: 'rcu', cgroups: 'rcu', real_parent: 'rcu', group_leader: 'rcu' },
  cgroup: { kn: 'rcu' },
  css_set: { dfl_cgrp: 'rcu' },
  cgroup_subsys_state: { cgroup: 'rcu' },
  mm_struct: { exe_file: 'rcu_or_null', owner: 'rcu_or_null' },
  sk_buff: { sk: 'rcu_or_null' },
  request_sock: { sk: 'rcu_or_null' },
  bpf_iter_meta: { seq: 'trusted' },
  bpf_iter__task: { meta: 'trusted', task: 'trusted' },
  linux_binprm: { file: 'trusted' },
  file: { f_inode: 'trusted' },
  dentry: { d_inode: 'trusted_or_null' },
  socket: { sk: 'trusted_or_null' },
};

const TRUSTED = MEM_ALLOC | PTR_TRUSTED | NON_OWN_REF;

/** The object stays valid as long as the program holds the pointer. */
export function isTrusted(reg: RegState): boolean {
  if (reg.refObjId !== 0) return true;
  const flags = typeFlags(reg.type);
  return (flags & TRUSTED) !== 0 && (flags & ~TRUSTED) === 0;
}

/** Flags of the pointer that is loaded from a member of the object that `base` points to. */
export function loadedFlags(
  ex: Explorer,
  base: RegState,
  struct: string,
  field: string,
  flags: number,
): number {
  if ((base.type & PTR_UNTRUSTED) !== 0) return PTR_UNTRUSTED;
  if (!isTrusted(base) && (base.type & MEM_RCU) === 0) return plain(flags);
  const safety = SAFE_MEMBERS[struct]?.[field];
  if (safety === 'trusted') return flags | PTR_TRUSTED;
  if (safety === 'trusted_or_null') return flags | PTR_TRUSTED | PTR_MAYBE_NULL;
  if (!inRcuSection(ex) || mayBeNull(base.type)) return PTR_UNTRUSTED;
  if (safety === 'rcu') return flags | MEM_RCU;
  if (safety === 'rcu_or_null') return (flags | MEM_RCU | PTR_MAYBE_NULL) & ~PTR_UNTRUSTED;
  if ((flags & MEM_RCU) !== 0) return flags | PTR_MAYBE_NULL;
  return (flags & (MEM_PERCPU | MEM_USER)) !== 0 ? flags : plain(flags);
}

/** A pointer of the old kind: helpers take it, and reads that fault yield zero. */
function plain(flags: number): number {
  return flags & ~(TRUSTED | MEM_RCU);
}
