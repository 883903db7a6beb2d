/** Attaches a program to what its section's name says. */
import type { Fd } from '../../sys/index.ts';
import type { LoadedProgram } from '../program.ts';
import { attachCgroup } from './cgroup.ts';
import { attachIterator } from './iterator.ts';
import type { Link } from './link.ts';
import { attachNetkit, attachNetns, attachSockmap, attachTcx, attachXdp } from './network.ts';
import { attachTracepoint } from './perf.ts';
import { attachError, type DeviceRef, type PathRef } from './place.ts';
import { attachKprobe, attachKprobeMulti, attachSyscall, attachUprobe, attachUprobeMulti } from './probe.ts';
import { attachFreplace, attachRawTracepoint, attachTrace, attachTraceMulti } from './tracing.ts';
import { attachUsdt } from './usdt.ts';

/** What sections do not say. */
export interface AttachOptions {
  /** Of programs of network devices. */
  readonly device?: DeviceRef;
  /** Of programs of control groups: the group's folder. */
  readonly cgroup?: PathRef;
  /** Of `sk_lookup` and `flow_dissector`; default the process's own namespace. */
  readonly netns?: PathRef;
  /** Of `sk_skb` and `sk_msg`. */
  readonly sockmap?: Fd | { readonly fd: Fd };
  /** Of uprobes and USDT probes: only this process. */
  readonly pid?: number;
  /** What `bpf_get_attach_cookie` gives the program. */
  readonly cookie?: bigint;
}

type Auto = (program: LoadedProgram, target: string, options: AttachOptions) => Link;

const cookieOf = ({ cookie }: AttachOptions) => (cookie === undefined ? {} : { cookie });
const pidOf = ({ pid }: AttachOptions) => (pid === undefined ? {} : { pid });

/** `FUNCTION+OFFSET`. */
function splitOffset(
  program: LoadedProgram,
  target: string,
): { readonly name: string; readonly offset: number } {
  const found = /^([\w.$@]+?)(?:\+(0x[0-9a-fA-F]+|\d+))?$/.exec(target);
  if (!found) throw attachError(program, `'${target}' is no function, nor FUNCTION+OFFSET`, 'EINVAL');
  return { name: found[1]!, offset: Number(found[2] ?? 0) };
}

/** `PATH:REST`. */
function splitPath(
  program: LoadedProgram,
  target: string,
  form: string,
): readonly [path: string, rest: string] {
  const colon = target.indexOf(':');
  if (colon <= 0 || colon === target.length - 1) {
    throw attachError(program, `its section does not name a place as ${form}`, 'EINVAL');
  }
  return [target.slice(0, colon), target.slice(colon + 1)];
}

const kprobe: Auto = (program, target, options) => {
  const { name, offset } = splitOffset(program, target);
  return attachKprobe(program, name, { offset, ...cookieOf(options) });
};
const uprobe: Auto = (program, target, options) => {
  const [path, place] = splitPath(program, target, 'PATH:FUNCTION+OFFSET');
  const common = { ...cookieOf(options), ...pidOf(options) };
  if (/^(0x[0-9a-fA-F]+|\d+)$/.test(place))
    return attachUprobe(program, path, { offset: BigInt(place) }, common);
  const { name, offset } = splitOffset(program, place);
  return attachUprobe(program, path, { symbol: name, offset: BigInt(offset) }, common);
};
const uprobeMulti: Auto = (program, target, options) => {
  const [path, pattern] = splitPath(program, target, 'PATH:FUNCTIONS');
  return attachUprobeMulti(program, path, { pattern }, pidOf(options));
};
const kprobeMulti: Auto = (program, pattern) => attachKprobeMulti(program, { pattern });
const tracepoint: Auto = (program, target, options) => {
  const [category, name] = target.split('/');
  if (!category || !name)
    throw attachError(program, 'its section does not say CATEGORY/NAME of a tracepoint', 'EINVAL');
  return attachTracepoint(program, category, name, cookieOf(options));
};
const rawTracepoint: Auto = (program, target, options) =>
  attachRawTracepoint(program, target, cookieOf(options));
const usdt: Auto = (program, target, options) => {
  const [path, rest] = splitPath(program, target, 'PATH:PROVIDER:NAME');
  const [provider, name] = splitPath(program, rest, 'PATH:PROVIDER:NAME');
  return attachUsdt(program, path, provider, name, { ...cookieOf(options), ...pidOf(options) });
};
const trace: Auto = (program, _target, options) => attachTrace(program, cookieOf(options));
const traceMulti: Auto = (program, pattern) => attachTraceMulti(program, { pattern });
const syscall: Auto = (program, name, options) => attachSyscall(program, name, cookieOf(options));

/** By the first part of the section's name, without `.s` and `.w`. */
const BY_SECTION: Readonly<Record<string, Auto>> = {
  kprobe,
  kretprobe: kprobe,
  'kprobe.multi': kprobeMulti,
  'kretprobe.multi': kprobeMulti,
  'kprobe.session': kprobeMulti,
  ksyscall: syscall,
  kretsyscall: syscall,
  uprobe,
  uretprobe: uprobe,
  'uprobe.multi': uprobeMulti,
  'uretprobe.multi': uprobeMulti,
  'uprobe.session': uprobeMulti,
  usdt,
  tracepoint,
  tp: tracepoint,
  raw_tracepoint: rawTracepoint,
  raw_tp: rawTracepoint,
  tp_btf: trace,
  fentry: trace,
  fexit: trace,
  fsession: trace,
  fmod_ret: trace,
  'fentry.multi': traceMulti,
  'fexit.multi': traceMulti,
  'fsession.multi': traceMulti,
  lsm: trace,
  freplace: (program) => attachFreplace(program),
  iter: (program) => attachIterator(program),
};

/** @returns what its section's name needs no more words for, or `undefined` */
export function autoAttach(program: LoadedProgram): Auto | undefined {
  const section = program.spec.section
    .replace(/^\?/, '')
    .split('/')[0]!
    .replace(/\.[sw]$/, '');
  if (!Object.hasOwn(BY_SECTION, section)) return undefined;
  return BY_SECTION[section];
}

/** @throws InputError when the section's name does not say where, and the options neither */
export function attachProgram(program: LoadedProgram, options: AttachOptions = {}): Link {
  const auto = autoAttach(program);
  if (auto) {
    const { target } = program;
    const free = program.type === 'tracing' || program.type === 'lsm' || program.type === 'ext';
    if (target === undefined && !free) {
      throw attachError(program, 'its section does not say where', 'EINVAL');
    }
    return auto(program, target ?? '', options);
  }
  const { device, cgroup, netns, sockmap } = options;
  const { type, attachType = '' } = program;
  const need = <T>(value: T | undefined, what: string): T => {
    if (value === undefined)
      throw attachError(program, `its section does not say where: name a ${what}`, 'EINVAL');
    return value;
  };
  if (type === 'xdp') return attachXdp(program, need(device, 'network device (device)'));
  if (type === 'sched_cls') {
    const where = need(device, 'network device (device)');
    if (attachType.startsWith('netkit_')) return attachNetkit(program, where);
    return attachType.startsWith('tcx_')
      ? attachTcx(program, where)
      : attachTcx(program, where, { direction: 'ingress' });
  }
  if (type === 'sk_lookup' || type === 'flow_dissector') return attachNetns(program, netns);
  if (type === 'sk_skb' || type === 'sk_msg') return attachSockmap(program, need(sockmap, 'map (sockmap)'));
  if (type.startsWith('cgroup_') || type === 'sock_ops' || attachType === 'lsm_cgroup') {
    return attachCgroup(program, need(cgroup, 'control group (cgroup)'));
  }
  throw attachError(
    program,
    `a ${type} program is attached by a call of its own (attachPerfEvent, attachNetfilter, attachRoute, attachSocket)`,
    'EINVAL',
  );
}
