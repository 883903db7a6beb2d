import { closeSync } from 'node:fs';
import { InputError } from '../base/error.ts';
import type { Bpf, Fd, FileCalls, HookCalls, Kernel, NetCommands, SystemCalls } from '../sys/index.ts';
import { batchCommands } from './batch.ts';
import { Caller } from './call.ts';
import { Poller } from './epoll.ts';
import { fileCalls, hookCalls } from './files.ts';
import { infoCommands } from './info.ts';
import { type Libc, libc, unsupported } from './libc.ts';
import { linkCommands } from './link.ts';
import { LogBuffer } from './log.ts';
import { mapCommands } from './map.ts';
import { mapFd } from './mmap.ts';
import { deviceCommands } from './net-device.ts';
import { Netlink } from './netlink.ts';
import { objectCommands } from './object.ts';
import { openPerfEvent, pausePerfEvent } from './perf.ts';
import { loadCommands } from './prog.ts';
import { queryCommands } from './query.ts';
import { routeCommands } from './route.ts';
import { possibleCpus, System } from './system.ts';
import { testRunCommands } from './test-run.ts';
import { trafficCommands } from './traffic-control.ts';

export interface LinuxOptions {
  /** Room for a log, in bytes, when the caller does not say; it grows as the kernel asks for. Default 16 MiB. */
  readonly logBytes?: number;
}

/** The kernel that this process runs on. Its file descriptors are the process's own. */
class LinuxKernel implements Kernel {
  readonly name = 'linux';
  readonly bpf: Bpf;
  readonly os: SystemCalls;
  readonly files: FileCalls;
  readonly hooks: HookCalls;
  readonly net: NetCommands;
  readonly possibleCpus: number;
  readonly #netlink: Netlink;
  readonly #caller: Caller;
  readonly #system = new System();
  readonly #poller: Poller;

  constructor(library: Libc, options: LinuxOptions) {
    this.possibleCpus = possibleCpus();
    const caller = new Caller(library, this.possibleCpus);
    this.#caller = caller;
    this.bpf = {
      ...mapCommands(caller),
      ...batchCommands(caller),
      ...loadCommands(caller, new LogBuffer(library, options.logBytes)),
      ...testRunCommands(caller),
      ...linkCommands(caller),
      ...queryCommands(caller),
      ...objectCommands(caller),
      ...infoCommands(caller),
    };
    const poller = new Poller(library);
    this.#poller = poller;
    this.os = {
      perf_event_open: (attr) => caller.adopt(openPerfEvent(library, attr)),
      perf_event_pause: (event, paused) => pausePerfEvent(library, event, paused),
      mmap: mapFd,
      poll: (fds, options) => poller.poll(fds, options),
    };
    this.files = fileCalls(caller);
    this.hooks = hookCalls(library);
    const netlink = new Netlink(library);
    this.#netlink = netlink;
    this.net = { ...deviceCommands(netlink), ...trafficCommands(netlink), ...routeCommands(netlink) };
  }

  get release(): string {
    return this.#system.release;
  }

  vmlinuxBtf(): Uint8Array | undefined {
    return this.#system.vmlinuxBtf();
  }

  kconfig(name: string): string | undefined {
    return this.#system.kconfig(name);
  }

  ksym(name: string): bigint | undefined {
    return this.#system.ksym(name);
  }

  closeFd(fd: Fd): void {
    this.#caller.forget(fd);
    this.#poller.forget(fd);
    try {
      closeSync(fd);
    } catch (cause) {
      const message = `closing fd ${fd}: it is not open (EBADF)`;
      throw new InputError('linux-close', message, { errno: 'EBADF', cause });
    }
  }

  /** Closes every file descriptor that this object gave and that was not closed. */
  close(): void {
    for (const fd of this.#caller.openFds) this.closeFd(fd);
    this.#poller.close();
    this.#netlink.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Opens the kernel that this process runs on. Whether it may be used shows at the first call: see {@link linuxStatus}. */
export function openLinux(options: LinuxOptions = {}): Kernel {
  return new LinuxKernel(libc(), options);
}

export type LinuxStatus = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** Two instructions: `r0 = 0`, `exit`. */
const NOTHING = Uint8Array.of(0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);

/** Whether this process may load programs into its kernel, found out by loading one; else why not, in one sentence. */
export function linuxStatus(): LinuxStatus {
  const reason = unsupported();
  if (reason !== undefined) return { ok: false, reason };
  try {
    const kernel = openLinux();
    const { fd } = kernel.bpf.prog_load({
      prog_type: 'xdp',
      insns: NOTHING,
      license: 'Apache-2.0',
      prog_name: 'skep_probe',
    });
    kernel.closeFd(fd);
    return { ok: true };
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}
