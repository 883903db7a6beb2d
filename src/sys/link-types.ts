import { type Fact, index } from './fact.ts';

/** Link types, as libbpf and bpftool spell them: `BPF_LINK_TYPE_` and the upper-case name is `enum bpf_link_type`'s. */
export const LINK_TYPES = {
  raw_tracepoint: { id: 1, since: '5.8' },
  tracing: { id: 2, since: '5.8' },
  cgroup: { id: 3, since: '5.8' },
  iter: { id: 4, since: '5.8' },
  netns: { id: 5, since: '5.8' },
  xdp: { id: 6, since: '5.9' },
  perf_event: { id: 7, since: '5.15' },
  kprobe_multi: { id: 8, since: '5.18' },
  struct_ops: { id: 9, since: '5.19' },
  netfilter: { id: 10, since: '6.4' },
  tcx: { id: 11, since: '6.6' },
  uprobe_multi: { id: 12, since: '6.6' },
  netkit: { id: 13, since: '6.7' },
  sockmap: { id: 14, since: '6.10' },
  tracing_multi: { id: 15, since: '7.2' },
} as const satisfies Record<string, Fact>;

export type LinkType = keyof typeof LINK_TYPES;

const types = index(LINK_TYPES);
export const linkTypeName: (id: number) => LinkType | undefined = types.name;
export const linkTypeId: (name: LinkType) => number = types.id;
export const isLinkType: (name: string) => name is LinkType = types.has;
/** In the order of their ids. */
export const linkTypeNames: readonly LinkType[] = types.names;
