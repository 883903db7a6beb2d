/** What a link's details are called in a listing. */
import type { LinkDetails, LinkInfo } from '../../sys/index.ts';
import { infoOf } from '../grammar/selectors.ts';
import type { World } from '../world/world.ts';

type Iter = Extract<LinkDetails, { type: 'iter' }>;
type Netfilter = Extract<LinkDetails, { type: 'netfilter' }>;
type KprobeMulti = Extract<LinkDetails, { type: 'kprobe_multi' }>;

/** `BPF_F_KPROBE_MULTI_RETURN`, `BPF_F_UPROBE_MULTI_RETURN`. */
export const MULTI_RETURN = 1;

export function progTypeOf({ kernel }: World, { prog_id }: LinkInfo): string {
  const fd = kernel.bpf.prog_get_fd_by_id({ prog_id });
  try {
    return infoOf(kernel, fd, 'prog').type;
  } finally {
    kernel.closeFd(fd);
  }
}

/** A device that is gone has no number any more. */
export function deviceOf(world: World, index: number): string {
  return index === 0 ? '(detached)' : (world.deviceName(index) ?? '(unknown)');
}

const MAP_TARGETS = ['bpf_map_elem', 'bpf_sk_storage_map'];
const TASK_TARGETS = ['task', 'task_file', 'task_vma'];
/** `enum bpf_cgroup_iter_order`. */
const ORDERS = ['order_unspec', 'self_only', 'descendants_pre', 'descendants_post', 'ancestors_up'];

/** What an iterator walks over, beside its target's name. */
export function iterScope(iter: Iter): readonly (readonly [name: string, value: number | bigint | string])[] {
  if (MAP_TARGETS.includes(iter.target)) return [['map_id', iter.map_id]];
  if (TASK_TARGETS.includes(iter.target)) {
    if (iter.tid !== 0) return [['tid', iter.tid]];
    return iter.pid === 0 ? [] : [['pid', iter.pid]];
  }
  if (iter.target !== 'cgroup') return [];
  return [
    ['cgroup_id', iter.cgroup_id],
    ['order', ORDERS[iter.order] ?? 'unknown'],
  ];
}

/** `NFPROTO_…`. */
const FAMILIES: Readonly<Record<number, string>> = {
  1: 'inet',
  2: 'ip',
  3: 'arp',
  5: 'netdev',
  7: 'bridge',
  10: 'ip6',
};
const INET_HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
const HOOKS: Readonly<Record<string, readonly string[]>> = {
  inet: INET_HOOKS,
  ip: INET_HOOKS,
  ip6: INET_HOOKS,
  bridge: INET_HOOKS,
  arp: ['input', 'output'],
};

export function netfilterFields({ pf, hooknum, priority, flags }: Netfilter) {
  return [
    ['pf', pf],
    ['hook', hooknum],
    ['prio', priority],
    ['flags', flags],
  ] as const;
}

/** `ip input prio 1 flags 0x1`. */
export function netfilterText({ pf, hooknum, priority, flags }: Netfilter): string {
  const family = FAMILIES[pf];
  const hook = (family === undefined ? undefined : HOOKS[family])?.[hooknum];
  return `${family ?? `pf: ${pf}`}${hook === undefined ? `, hook ${hooknum},` : ` ${hook}`} prio ${priority}${
    flags === 0 ? '' : ` flags 0x${flags.toString(16)}`
  }`;
}

/** Bytes of the instruction that begins a function where indirect branches are tracked: probes are behind it. */
const ENDBR = 4n;

export interface ProbedFunction {
  readonly address: bigint;
  readonly cookie: bigint;
  readonly name: string;
}

/** The functions of a link to many, by address; those without a symbol are left out. */
export function probedFunctions(world: World, { addresses, cookies }: KprobeMulti): ProbedFunction[] {
  return addresses
    .flatMap((address, i) => {
      const name = world.symbolAt(address) ?? world.symbolAt(address - ENDBR);
      return name === undefined ? [] : [{ address, cookie: cookies[i] ?? 0n, name }];
    })
    .sort((a, b) => (a.address < b.address ? -1 : 1));
}
