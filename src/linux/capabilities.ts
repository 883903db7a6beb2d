/** Which capabilities a refused call wants, and which of them this process lacks. @see man 7 capabilities; kernel/bpf/syscall.c */
import { readFileSync } from 'node:fs';
import type { AttachType, Command, CommandTypes, ProgType } from '../sys/index.ts';

/** By their bit. */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21, CAP_PERFMON: 38, CAP_BPF: 39 } as const;
export type Capability = keyof typeof CAPABILITIES;

const TRACING: ReadonlySet<ProgType> = new Set<ProgType>([
  'kprobe',
  'tracepoint',
  'perf_event',
  'raw_tracepoint',
  'raw_tracepoint_writable',
  'tracing',
  'lsm',
  'struct_ops',
]);
const PLAIN: ReadonlySet<ProgType> = new Set<ProgType>([
  'socket_filter',
  'cgroup_skb',
  'sk_reuseport',
  'syscall',
]);

const ADMIN: ReadonlySet<Command> = new Set<Command>([
  'prog_get_next_id',
  'map_get_next_id',
  'btf_get_next_id',
  'link_get_next_id',
  'prog_get_fd_by_id',
  'map_get_fd_by_id',
  'btf_get_fd_by_id',
  'link_get_fd_by_id',
  'enable_stats',
  'task_fd_query',
]);

function ofType(type: ProgType): readonly Capability[] {
  if (PLAIN.has(type)) return ['CAP_BPF'];
  if (type === 'ext') return ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON'];
  return ['CAP_BPF', TRACING.has(type) ? 'CAP_PERFMON' : 'CAP_NET_ADMIN'];
}

const ofAttachType = (type: AttachType): readonly Capability[] =>
  /^(trace_|perf_event|modify_return|lsm_mac)/.test(type) ? ['CAP_PERFMON'] : ['CAP_NET_ADMIN'];

/** What the call needs. */
function needed<C extends Command>(command: C, attr: CommandTypes[C]['attr']): readonly Capability[] {
  if (ADMIN.has(command)) return ['CAP_SYS_ADMIN'];
  const fields = attr as { readonly prog_type?: ProgType; readonly attach_type?: AttachType };
  if (command === 'prog_load' && fields.prog_type) return ofType(fields.prog_type);
  if (fields.attach_type) return ofAttachType(fields.attach_type);
  if (command === 'raw_tracepoint_open') return ['CAP_PERFMON'];
  return ['CAP_BPF'];
}

/** Those that this process has. */
function effective(): bigint {
  try {
    const found = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'));
    return BigInt(`0x${found?.[1] ?? '0'}`);
  } catch {
    return 0n;
  }
}

/** What is missing for a call that was answered with EPERM, and how to get it. */
export function missingCapability<C extends Command>(command: C, attr: CommandTypes[C]['attr']): string {
  const have = effective();
  const has = (name: Capability) => (have & (1n << BigInt(CAPABILITIES[name]))) !== 0n;
  // CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as before they were.
  const lacks = needed(command, attr).filter(
    (name) => !has(name) && !(name !== 'CAP_NET_ADMIN' && has('CAP_SYS_ADMIN')),
  );
  if (lacks.length === 0) {
    return 'the kernel forbids it even to root here (a container, seccomp or lockdown, or a kernel without this feature)';
  }
  const list = lacks.join(',').toLowerCase();
  return (
    `this process lacks ${lacks.join(' and ')}: run it with sudo, or give node the capability ` +
    `(setcap ${list}+ep ${process.execPath})`
  );
}
