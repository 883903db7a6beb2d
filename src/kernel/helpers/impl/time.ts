/** Clocks, randomness and the processor: all of them inputs of the kernel. */
import type { HelperImpl } from '../../interpreter/environment.ts';

/** Nanoseconds of a tick: `CONFIG_HZ` is 250. */
const TICK = 4_000_000n;
/** `INITIAL_JIFFIES`: the counter starts five minutes before it wraps 32 bits. */
const INITIAL_JIFFIES = (1n << 32n) - 300n * 250n;
/** International atomic time is ahead of UTC by the leap seconds since 1972 and ten. */
const TAI_OFFSET = 37_000_000_000n;

export const ktime_get_ns: HelperImpl = ({ machine }) => machine.clock.monotonic();
export const ktime_get_boot_ns: HelperImpl = ({ machine }) => machine.clock.boottime();
/** The time of the last tick. */
export const ktime_get_coarse_ns: HelperImpl = ({ machine }) => {
  const now = machine.clock.monotonic();
  return now - (now % TICK);
};
export const ktime_get_tai_ns: HelperImpl = ({ machine }) => machine.clock.realtime() + TAI_OFFSET;
export const jiffies64: HelperImpl = ({ machine }) => INITIAL_JIFFIES + machine.clock.monotonic() / TICK;

export const get_prandom_u32: HelperImpl = ({ machine }) => machine.random();
export const get_smp_processor_id: HelperImpl = ({ machine }) => machine.cpu;
export const get_numa_node_id: HelperImpl = () => 0n;
