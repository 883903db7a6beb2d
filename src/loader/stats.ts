import type { Kernel } from '../sys/index.ts';

/**
 * Has the kernel count the runs of programs and their time, for as long as the result is not disposed of. The counts are
 * `run_cnt` and `run_time_ns` of a program's info.
 */
export function enableStats(kernel: Kernel): Disposable {
  const fd = kernel.bpf.enable_stats({ type: 0 });
  let open = true;
  return {
    [Symbol.dispose]() {
      if (open) kernel.closeFd(fd);
      open = false;
    },
  };
}
