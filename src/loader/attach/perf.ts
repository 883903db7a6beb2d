/** Programs that run at perf events and tracepoints. */
import { type Fd, PERF_SOFTWARE, PERF_TYPES, type PerfEventAttr } from '../../sys/index.ts';
import type { LoadedProgram } from '../program.ts';
import { Attachment, all, type Link } from './link.ts';
import { attachError, needType, programName } from './place.ts';
import { onlineCpus, tracepointId } from './tracefs.ts';

export interface PerfLinkOptions {
  /** What `bpf_get_attach_cookie` gives the program. */
  readonly cookie?: bigint;
  /** `ioctl`: as before Linux 5.15, without a link; default `link`. */
  readonly mode?: 'link' | 'ioctl';
}

/** Hangs the program on an event that does not count yet. @param owned the event is closed with the attachment */
function hang(program: LoadedProgram, event: Fd, options: PerfLinkOptions, owned: boolean): Link {
  const { kernel } = program;
  const { cookie, mode = 'link' } = options;
  if (mode === 'link') {
    const perf_event = cookie === undefined ? {} : { perf_event: { bpf_cookie: cookie } };
    return program.link({ target_fd: event, attach_type: 'perf_event', ...perf_event }, owned ? [event] : []);
  }
  if (cookie !== undefined) {
    throw attachError(program, 'a cookie needs a link, and it is to be attached by ioctl(2)', 'EINVAL');
  }
  kernel.hooks.perf_event_set_bpf(event, program.fd);
  const detach = () => {
    kernel.hooks.perf_event_enable(event, false);
    if (owned) kernel.closeFd(event);
  };
  return new Attachment('ioctl', programName(program), { detach }, program.owner);
}

function start(program: LoadedProgram, event: Fd, link: Link): Link {
  try {
    program.kernel.hooks.perf_event_enable(event, true);
  } catch (error) {
    link.close();
    throw error;
  }
  return link;
}

/** Opens an event and attaches to it: both, or neither. */
export function openAndAttach(
  program: LoadedProgram,
  attr: PerfEventAttr,
  options: PerfLinkOptions = {},
): Link {
  const event = program.kernel.os.perf_event_open(attr);
  let link: Link;
  try {
    link = hang(program, event, options, true);
  } catch (error) {
    program.kernel.closeFd(event);
    throw error;
  }
  return start(program, event, link);
}

/** Attaches to an event: one that is open, or as described. Without `pid` and `cpu`: one on each CPU. */
export function attachPerfEvent(
  program: LoadedProgram,
  event: Fd | PerfEventAttr,
  options: PerfLinkOptions = {},
): Link {
  needType(program, ['perf_event'], 'perf events');
  if (typeof event === 'number') return start(program, event, hang(program, event, options, false));
  if (event.pid !== undefined || event.cpu !== undefined) return openAndAttach(program, event, options);
  return all(
    onlineCpus(program.kernel).map((cpu) => () => openAndAttach(program, { ...event, cpu }, options)),
  );
}

export interface SamplingOptions extends PerfLinkOptions {
  /** Samples a second; default 99. */
  readonly frequency?: number;
  /** Nanoseconds between samples, instead of a frequency. */
  readonly period?: bigint;
  /** Only this process, on whatever CPU; default everything on each CPU. */
  readonly pid?: number;
  readonly cpus?: readonly number[];
}

/** Runs the program at regular times, on what runs then: what a profiler does. */
export function attachSampling(program: LoadedProgram, options: SamplingOptions = {}): Link {
  needType(program, ['perf_event'], 'perf events');
  const { frequency = 99, period, pid, cpus } = options;
  const event: PerfEventAttr = {
    type: PERF_TYPES.PERF_TYPE_SOFTWARE,
    config: PERF_SOFTWARE.PERF_COUNT_SW_CPU_CLOCK,
    sample_period: period ?? frequency,
    freq: period === undefined,
  };
  if (pid !== undefined && cpus === undefined) return openAndAttach(program, { ...event, pid }, options);
  const on = cpus ?? onlineCpus(program.kernel);
  const process = pid === undefined ? {} : { pid };
  return all(on.map((cpu) => () => openAndAttach(program, { ...event, ...process, cpu }, options)));
}

/** @param category `syscalls` @param name `sys_enter_openat` */
export function attachTracepoint(
  program: LoadedProgram,
  category: string,
  name: string,
  options: PerfLinkOptions = {},
): Link {
  needType(program, ['tracepoint'], 'tracepoints');
  const config = tracepointId(program.kernel, category, name);
  const event: PerfEventAttr = { type: PERF_TYPES.PERF_TYPE_TRACEPOINT, config, cpu: 0 };
  return openAndAttach(program, event, options);
}
