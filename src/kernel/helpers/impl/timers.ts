/** Timers in map values, on the kernel's clock. @see kernel/bpf/helpers.c, bpf_timer_init and behind it */
import type { HelperImpl } from '../../interpreter/environment.ts';
import { addr, err } from './values.ts';

/** `BPF_F_TIMER_ABS` and `BPF_F_TIMER_CPU_PIN`. */
const ABSOLUTE = 1n;
const PINNED = 2n;
/** The clock's number in the flags of `bpf_timer_init`. */
const CLOCK_MASK = 15n;

export const timer_init: HelperImpl = (run, timer, map, flags) =>
  flags & ~CLOCK_MASK ? err('EINVAL') : run.kernel.alarms.init('timer', addr(timer), run.map(map), flags);

export const timer_set_callback: HelperImpl = (run, timer, callback) =>
  run.kernel.alarms.setCallback(addr(timer), () => run.later(callback));

export const timer_start: HelperImpl = (run, timer, nanoseconds, flags) =>
  flags & ~(ABSOLUTE | PINNED)
    ? err('EINVAL')
    : run.kernel.alarms.start(addr(timer), nanoseconds, (flags & ABSOLUTE) !== 0n);

export const timer_cancel: HelperImpl = (run, timer) => run.kernel.alarms.cancel(addr(timer));
