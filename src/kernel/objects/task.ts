/** The task that programs run on behalf of, as the caller describes it. */
export interface Task {
  readonly pid: number;
  readonly tgid: number;
  readonly uid: number;
  readonly gid: number;
  /** At most 15 bytes. */
  readonly comm: string;
  /** The parent's pid; 0 by default. */
  readonly ppid?: number;
  /** Ids of its cgroup and of those above it, the root first; by default the root alone, which has id 1. */
  readonly cgroups?: readonly bigint[];
  /** Return addresses, the innermost first; none by default. */
  readonly kernelStack?: readonly bigint[];
  readonly userStack?: readonly bigint[];
  /**
   * Its memory in user space: the bytes at an address, fewer where it ends; by default there is none. What the kernel writes
   * there, it writes into them.
   */
  readonly userMemory?: (addr: bigint, size: number) => Uint8Array | undefined;
  /** Takes what `bpf_send_signal` sends. */
  readonly onSignal?: (signal: number, thread: boolean) => void;
}

const ROOT_CGROUP = 1n;

/** Ids of the task's cgroup and of those above it, the root first. */
export function cgroupsOf({ cgroups }: Task): readonly bigint[] {
  return cgroups && cgroups.length > 0 ? cgroups : [ROOT_CGROUP];
}
