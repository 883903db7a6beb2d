/**
 * The files that BPF lives among: pins and their folders, cgroups, namespaces, tracefs, proc. Paths are absolute and of
 * the kernel that is asked: the embedded one has its own. Failures throw an `InputError` with the errno.
 */
import type { Fd } from './kernel.ts';

export interface DirectoryEntry {
  readonly name: string;
  readonly directory: boolean;
}

export interface FileCalls {
  /** open(2), to be handed to another call: a cgroup's folder, a network namespace, a BPF file system. */
  open(path: string): Fd;
  /** read(2): what an iterator has next, or a perf event's count; empty at the end. */
  read(fd: Fd, size: number): Uint8Array;
  /** A whole file. `undefined` when there is none; what may not be read throws. */
  read_file(path: string): Uint8Array | undefined;
  /** `undefined` when there is no such folder. In the order of the names. */
  read_directory(path: string): readonly DirectoryEntry[] | undefined;
  /** What a symbolic link says (`/proc/PID/exe`), or `undefined`. */
  read_link(path: string): string | undefined;
  /** A folder of a BPF file system, of cgroups. */
  mkdir(path: string): void;
  /** Removes a pin. */
  unlink(path: string): void;
  /** Removes an empty folder. */
  rmdir(path: string): void;
}

/** Options of sockets that take a program's descriptor. @see include/uapi/asm-generic/socket.h */
export const SOCKET_PROGRAM_OPTIONS = {
  SO_ATTACH_BPF: 50,
  SO_ATTACH_REUSEPORT_EBPF: 52,
} as const;
export type SocketProgramOption = keyof typeof SOCKET_PROGRAM_OPTIONS;

/** What reaches a hook by ioctl(2) or setsockopt(2). */
export interface HookCalls {
  /** Runs a program at each overflow of an event (`PERF_EVENT_IOC_SET_BPF`), without a link: until the event is closed. */
  perf_event_set_bpf(event: Fd, program: Fd): void;
  /** Starts or stops an event (`PERF_EVENT_IOC_ENABLE`, `_DISABLE`). */
  perf_event_enable(event: Fd, enabled: boolean): void;
  /** Puts a program on a socket of this process. The descriptor may be one that Node opened. */
  socket_attach(socket: number, option: SocketProgramOption, program: Fd): void;
  /** Takes a socket's program off (`SO_DETACH_BPF`, `SO_DETACH_REUSEPORT_BPF`). */
  socket_detach(socket: number, option: SocketProgramOption): void;
}
