/** The kernel that a run uses, with what it tells beside bpf(2). */
import type { CaptureRun, CaptureRunOptions, CaptureSource, ParallelRun } from '../../kernel/index.ts';
import type { LoadedObject } from '../../loader/index.ts';
import type { Fd, Kernel } from '../../sys/index.ts';
import type { RecordCount } from './report.ts';

export interface RunOptions extends CaptureRunOptions {
  /** Where several processors read the capture by themselves; absent where it comes by a pipe. */
  readonly source: CaptureSource | undefined;
}

/** A kernel that is observed while a program runs. */
export interface ObservedKernel {
  readonly kernel: Kernel;
  /** Reads what waits in the object's ring and perf buffers, so that they do not run full. */
  readonly watch: (object: LoadedObject) => {
    readonly drain: () => void;
    readonly counts: () => RecordCount[];
  };
  /** Runs a program over a capture many packets at once; absent where that is not done. */
  readonly captureRun?: (program: Fd, options: RunOptions) => CaptureRun | ParallelRun;
  /** Lines of `bpf_trace_printk` so far; `null` where they can't be told from other programs'. */
  readonly trace: () => readonly string[] | null;
}

export type KernelName = 'embedded' | 'linux';

/** What the embedded kernel is made of; Linux has its own. */
export interface KernelChoice {
  /** The kernel types that an object relocates against. */
  readonly btf: Uint8Array | undefined;
  /** Programs are interpreted. */
  readonly interpret: boolean;
  /** Processors, each a thread where there are several. */
  readonly cpus: number;
}

/**
 * @throws InputError when the kernel can't be used here, saying why
 */
export async function openKernel(name: KernelName, choice: KernelChoice): Promise<ObservedKernel> {
  return name === 'linux'
    ? (await import('./linux.ts')).openObservedLinux()
    : (await import('./embedded.ts')).openEmbedded(choice);
}
