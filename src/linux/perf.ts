import { InputError } from '../base/error.ts';
import { s32, struct, u32, u64 } from '../base/layout.ts';
import {
  errnoName,
  errnoText,
  type Fd,
  isErrno,
  PERF_ATTR_FLAGS,
  type PerfAttrFlag,
  type PerfEventAttr,
} from '../sys/index.ts';
import type { Libc } from './libc.ts';

/** `struct perf_event_attr` as of Linux 4.1 (`PERF_ATTR_SIZE_VER5`), which every later kernel takes. */
export const PERF_ATTR = struct({
  type: u32,
  size: u32,
  config: u64,
  sample_period: u64,
  sample_type: u64,
  read_format: u64,
  flags: u64,
  wakeup: u32,
  bp_type: u32,
  config1: u64,
  config2: u64,
  branch_sample_type: u64,
  sample_regs_user: u64,
  sample_stack_user: u32,
  clockid: s32,
  sample_regs_intr: u64,
  aux_watermark: u32,
  sample_max_stack: u32,
});

const PERF_FLAG_FD_CLOEXEC = 8;
/** `_IOW('$', 9, __u32)` */
const PERF_EVENT_IOC_PAUSE_OUTPUT = 0x4004_2409;

/** perf_event_open(2). @throws InputError with the errno */
export function openPerfEvent(libc: Libc, attr: PerfEventAttr): Fd {
  const bytes = new Uint8Array(PERF_ATTR.size);
  let flags = 0n;
  for (const [name, bit] of Object.entries(PERF_ATTR_FLAGS) as [PerfAttrFlag, number][]) {
    if (attr[name]) flags |= 1n << BigInt(bit);
  }
  // Reachable until the call is done.
  const target = attr.target === undefined ? undefined : Buffer.from(`${attr.target}\0`);
  PERF_ATTR.patch(new DataView(bytes.buffer), 0, {
    type: attr.type,
    size: PERF_ATTR.size,
    config: BigInt(attr.config),
    sample_period: BigInt(attr.sample_period ?? 0),
    sample_type: BigInt(attr.sample_type ?? 0),
    read_format: BigInt(attr.read_format ?? 0),
    flags,
    wakeup: attr.wakeup ?? 0,
    config1: BigInt(target ? libc.addressOf(target) : (attr.config1 ?? 0)),
    config2: BigInt(attr.config2 ?? 0),
    clockid: attr.clockid ?? 0,
  });
  const { pid = -1, cpu = -1 } = attr;
  const fd = libc.perfEventOpen(bytes, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) {
    const on = cpu < 0 ? 'every CPU' : `CPU ${cpu}`;
    const at = target ? `, at '${attr.target}'` : '';
    throw perfFailure(`opening a perf event of type ${attr.type}, config ${attr.config}${at}, on ${on}`, -fd);
  }
  return fd as Fd;
}

export function pausePerfEvent(libc: Libc, event: Fd, paused: boolean): void {
  const result = libc.ioctl(event, PERF_EVENT_IOC_PAUSE_OUTPUT, paused ? 1 : 0);
  if (result < 0) throw perfFailure(`${paused ? 'pausing' : 'resuming'} perf event fd ${event}`, -result);
}

function perfFailure(doing: string, number: number): InputError {
  const errno = errnoName(number) ?? String(number);
  const text = ADVICE[errno] ?? (isErrno(errno) ? errnoText(errno) : 'refused');
  return new InputError('linux-perf-event', `${doing}: ${text} (${errno})`, { errno });
}

const ADVICE: Readonly<Record<string, string>> = {
  EPERM: 'it needs root or CAP_PERFMON, or a lower /proc/sys/kernel/perf_event_paranoid',
  EACCES: 'it needs root or CAP_PERFMON, or a lower /proc/sys/kernel/perf_event_paranoid',
  ENODEV: 'there is no such CPU, or it is offline',
  ENXIO: 'the CPU is offline',
  ENOENT: 'this kernel has no such event',
  EINVAL: 'there is no such CPU, or an attribute is not valid; a pause needs the ring to be mapped',
  EBADF: 'it is not open',
  ENOTTY: 'it is no perf event',
};
