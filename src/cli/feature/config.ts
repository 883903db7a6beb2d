/** Settings and build options of a kernel that decide about BPF. */

interface Setting {
  readonly name: string;
  readonly path: string;
  /** What each value means, in bpftool's sentences. */
  readonly says: Readonly<Record<number, string>>;
  readonly other: (value: number) => string;
}

/** @see Documentation/admin-guide/sysctl/kernel.rst, net.rst */
export const SETTINGS: readonly Setting[] = [
  {
    name: 'unprivileged_bpf_disabled',
    path: '/proc/sys/kernel/unprivileged_bpf_disabled',
    says: {
      0: 'bpf() syscall for unprivileged users is enabled',
      1: 'bpf() syscall restricted to privileged users (without recovery)',
      2: 'bpf() syscall restricted to privileged users (admin can change)',
      [-1]: 'Unable to retrieve required privileges for bpf() syscall',
    },
    other: (value) => `bpf() syscall restriction has unknown value ${value}`,
  },
  {
    name: 'bpf_jit_enable',
    path: '/proc/sys/net/core/bpf_jit_enable',
    says: {
      0: 'JIT compiler is disabled',
      1: 'JIT compiler is enabled',
      2: 'JIT compiler is enabled with debugging traces in kernel logs',
      [-1]: 'Unable to retrieve JIT-compiler status',
    },
    other: (value) => `JIT-compiler status has unknown value ${value}`,
  },
  {
    name: 'bpf_jit_harden',
    path: '/proc/sys/net/core/bpf_jit_harden',
    says: {
      0: 'JIT compiler hardening is disabled',
      1: 'JIT compiler hardening is enabled for unprivileged users',
      2: 'JIT compiler hardening is enabled for all users',
      [-1]: 'Unable to retrieve JIT hardening status',
    },
    other: (value) => `JIT hardening status has unknown value ${value}`,
  },
  {
    name: 'bpf_jit_kallsyms',
    path: '/proc/sys/net/core/bpf_jit_kallsyms',
    says: {
      0: 'JIT compiler kallsyms exports are disabled',
      1: 'JIT compiler kallsyms exports are enabled for root',
      [-1]: 'Unable to retrieve JIT kallsyms export status',
    },
    other: (value) => `JIT kallsyms exports status has unknown value ${value}`,
  },
  {
    name: 'bpf_jit_limit',
    path: '/proc/sys/net/core/bpf_jit_limit',
    says: { [-1]: 'Unable to retrieve global memory limit for JIT compiler for unprivileged users' },
    other: (value) => `Global memory limit for JIT compiler for unprivileged users is ${value} bytes`,
  },
];

/** Build options, in bpftool's order. */
export const CONFIG_OPTIONS = [
  'CONFIG_BPF',
  'CONFIG_BPF_SYSCALL',
  'CONFIG_HAVE_EBPF_JIT',
  'CONFIG_BPF_JIT',
  'CONFIG_BPF_JIT_ALWAYS_ON',
  'CONFIG_DEBUG_INFO_BTF',
  'CONFIG_DEBUG_INFO_BTF_MODULES',
  'CONFIG_CGROUPS',
  'CONFIG_CGROUP_BPF',
  'CONFIG_CGROUP_NET_CLASSID',
  'CONFIG_SOCK_CGROUP_DATA',
  'CONFIG_BPF_EVENTS',
  'CONFIG_KPROBE_EVENTS',
  'CONFIG_UPROBE_EVENTS',
  'CONFIG_TRACING',
  'CONFIG_FTRACE_SYSCALLS',
  'CONFIG_FUNCTION_ERROR_INJECTION',
  'CONFIG_BPF_KPROBE_OVERRIDE',
  'CONFIG_NET',
  'CONFIG_XDP_SOCKETS',
  'CONFIG_LWTUNNEL_BPF',
  'CONFIG_NET_ACT_BPF',
  'CONFIG_NET_CLS_BPF',
  'CONFIG_NET_CLS_ACT',
  'CONFIG_NET_SCH_INGRESS',
  'CONFIG_XFRM',
  'CONFIG_IP_ROUTE_CLASSID',
  'CONFIG_IPV6_SEG6_BPF',
  'CONFIG_BPF_LIRC_MODE2',
  'CONFIG_BPF_STREAM_PARSER',
  'CONFIG_NETFILTER_XT_MATCH_BPF',
  'CONFIG_TEST_BPF',
  'CONFIG_HZ',
] as const;

/** Those that programs ask for by macros. */
export const MACRO_OPTIONS: ReadonlySet<string> = new Set(['CONFIG_HZ']);
