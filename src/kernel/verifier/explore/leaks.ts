/** Ways out of a program: whoever takes one must not hold anything. */
import type { Explorer } from './explorer.ts';

/**
 * @param exception the way leads out of all frames
 * @param locks regions (locks, interrupts, RCU, preemption) must be closed too
 * @param what takes the way, in the log's words
 */
export function checkResourceLeak(ex: Explorer, exception: boolean, locks: boolean, what: string): void {
  const { state } = ex;
  if (locks && state.activeLocks > 0) inside(ex, what, 'bpf_spin_lock-ed', 'bpf_spin_unlock()');
  checkReferenceLeak(ex, exception, what);
  if (!locks) return;
  if (state.activeIrqId !== 0) inside(ex, what, 'bpf_local_irq_save-ed', 'bpf_local_irq_restore()');
  if (state.activeRcuLocks > 0) inside(ex, what, 'bpf_rcu_read_lock-ed', 'bpf_rcu_read_unlock()');
  if (state.activePreemptLocks > 0) inside(ex, what, 'bpf_preempt_disable-ed', 'bpf_preempt_enable()');
}

function inside(ex: Explorer, what: string, region: string, end: string): never {
  ex.refuse('open-region', `${what} cannot be used inside ${region} region`, {
    reason: 'the region would never be closed',
    hint: `call ${end} on every path before it`,
  });
}

/** A subprogram may hand what it holds to its caller; the program itself has nobody to hand it to. */
function checkReferenceLeak(ex: Explorer, exception: boolean, what: string): void {
  const { state } = ex;
  if (!exception && state.curframe > 0) return;
  const returned = ex.draft.input.type === 'struct_ops' && !exception ? state.frame().reg(0).refObjId : 0;
  const left = state.refs.filter((ref) => ref.kind === 'object' && (returned === 0 || ref.id !== returned));
  if (left.length === 0) return;
  for (const { id, insnIdx } of left) {
    ex.log.write(`Unreleased reference id=${id} alloc_insn=${insnIdx}\n`);
  }
  ex.refuse('unreleased-reference', `${what} would lead to reference leak`, {
    reason: left
      .map(({ insnIdx }) => `what instruction ${insnIdx} acquired is not released on this path`)
      .join('; '),
    hint: 'release it on every path, also where an error is handled',
  });
}
