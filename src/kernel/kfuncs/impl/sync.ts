/** Sections that nothing may interrupt, and locks: one program runs at a time, so all that is left is what can be seen of them. */
import { addr, err } from '../../helpers/impl/values.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';

const nothing: HelperImpl = () => 0n;

export const bpf_rcu_read_lock = nothing;
export const bpf_rcu_read_unlock = nothing;
export const bpf_preempt_disable = nothing;
export const bpf_preempt_enable = nothing;
export const bpf_local_irq_restore = nothing;

export const bpf_local_irq_save: HelperImpl = ({ machine: { memory } }, flags) => {
  memory.writeU64(addr(flags), 0n);
  return 0n;
};

/** Who holds the lock already waits for itself. @see kernel/locking/rqspinlock.c */
export const bpf_res_spin_lock: HelperImpl = ({ machine: { memory } }, lock) => {
  if (memory.readU32(addr(lock)) !== 0) return err('EDEADLK');
  memory.writeU32(addr(lock), 1);
  return 0;
};
export const bpf_res_spin_unlock: HelperImpl = ({ machine: { memory } }, lock) => {
  memory.writeU32(addr(lock), 0);
  return 0n;
};
export const bpf_res_spin_lock_irqsave: HelperImpl = (run, lock, flags) => {
  const status = bpf_res_spin_lock(run, lock, 0n, 0n, 0n, 0n);
  if (status === 0) run.machine.memory.writeU64(addr(flags), 0n);
  return status;
};
export const bpf_res_spin_unlock_irqrestore = bpf_res_spin_unlock;
