/** Work that is done when no program runs: work queues and task work. @see kernel/bpf/helpers.c, bpf_wq_init and behind it */
import { addr, err } from '../../helpers/impl/values.ts';
import type { HelperImpl } from '../../interpreter/environment.ts';

export const bpf_wq_init: HelperImpl = (run, work, map, flags) =>
  flags & 0xffff_ffffn ? err('EINVAL') : run.kernel.alarms.init('wq', addr(work), run.map(map), 0n);

export const bpf_wq_set_callback_impl: HelperImpl = (run, work, callback, flags) =>
  flags & 0xffff_ffffn ? err('EINVAL') : run.kernel.alarms.setCallback(addr(work), () => run.later(callback));

export const bpf_wq_start: HelperImpl = (run, work, flags) =>
  flags & 0xffff_ffffn ? err('EINVAL') : run.kernel.alarms.start(addr(work), 0n, false);

/** Work for a task that was described. It is done when no program runs, on behalf of the task that is current then. */
const schedule: HelperImpl = (run, task, work, map, callback) => {
  const { alarms, world } = run.kernel;
  if (!world.taskAt(task)) return err('ESRCH');
  const field = addr(work);
  if (alarms.isStarted(field)) return err('EBUSY');
  alarms.forget(field);
  const status = alarms.init('task_work', field, run.map(map), 0n);
  if (status !== 0) return status;
  alarms.setCallback(field, () => run.later(callback));
  return alarms.start(field, 0n, false);
};
export const bpf_task_work_schedule_signal_impl = schedule;
export const bpf_task_work_schedule_resume_impl = schedule;
