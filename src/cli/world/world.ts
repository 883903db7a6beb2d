import type { Fd, Kernel } from '../../sys/index.ts';
import type { OwnedKind, Owners } from './owners.ts';

/** What pins can be made in: the BPF file systems of a kernel. Paths are absolute. Failures are `InputError`s with an errno. */
export interface BpfFiles {
  /** Whether a folder is in a BPF file system. */
  isBpffs(folder: string): boolean;
  /** Whether a file or a folder is at a path. */
  exists(path: string): boolean;
  /** Mounts a BPF file system on a folder. @throws InputError whose message says which mount failed and why */
  mount(folder: string): void;
  mkdir(path: string): void;
  /** Removes a pin. */
  unlink(path: string): void;
  rmdir(path: string): void;
  /** The paths of all pins, in the order that a walk meets them. */
  walk(): Iterable<string>;
}

/** A kernel with what a tool finds around it: files, clocks, devices. What it opens is closed with it. */
export interface World extends Disposable {
  readonly kernel: Kernel;
  readonly files: BpfFiles;
  /** What Linux shows in `/proc/self/fdinfo`, by name. */
  fdInfo(fd: Fd): ReadonlyMap<string, string>;
  /** Which processes have objects of that kind open. What can't be found out is left out. */
  owners(kind: OwnedKind): Owners;
  /** Unix time, in nanoseconds, at which the kernel's boot clock was zero. */
  bootedAt(): bigint;
  /** Index of a network device, or `undefined`. */
  deviceIndex(name: string): number | undefined;
  deviceName(index: number): string | undefined;
  /** Address of a symbol of the kernel; the embedded one has none. */
  symbolAddress(name: string): bigint | undefined;
  /** Name of the symbol at an address, not near it. */
  symbolAt(address: bigint): string | undefined;
  /** The WebAssembly module that a program is compiled to, on the embedded kernel. */
  compiledModule(fd: Fd): Uint8Array | undefined;
  /** Hears the lines that programs print with `bpf_trace_printk`. @returns what ends it */
  trace(line: (line: string) => void): () => void;
}
