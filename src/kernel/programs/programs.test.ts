import { describe, expect, it } from 'vitest';
import { PROG_TYPES, type ProgType } from '../../sys/index.ts';
import { FLOW_KEYS_LAYOUT, SOCKET_POINTEES } from './contexts/pointees.ts';
import { effectiveAttachType, helpersOf, PROGRAMS, returnRange } from './registry.ts';

const root: ReadonlySet<'sys_admin'> = new Set(['sys_admin']);
const caps: ReadonlySet<'bpf' | 'perfmon'> = new Set(['bpf', 'perfmon']);

describe('program types', () => {
  it('are all there', () => {
    expect(Object.keys(PROGRAMS).sort()).toEqual(Object.keys(PROG_TYPES).sort());
  });

  it('have contexts of the sizes that the UAPI gives them', () => {
    const sizes: Partial<Record<ProgType, number>> = {
      sched_cls: 192,
      xdp: 24,
      cgroup_sock: 80,
      cgroup_sock_addr: 72,
      sock_ops: 224,
      sk_msg: 80,
      sk_lookup: 72,
      sk_reuseport: 56,
      cgroup_sysctl: 8,
      cgroup_sockopt: 40,
      cgroup_device: 12,
      kprobe: 168,
      perf_event: 184,
    };
    for (const [type, size] of Object.entries(sizes)) {
      expect([type, PROGRAMS[type as ProgType].context.size]).toEqual([type, size]);
    }
    expect(SOCKET_POINTEES.tcp_sock.size).toBe(112);
    expect(FLOW_KEYS_LAYOUT.size).toBe(56);
  });

  it('answer accesses by size, alignment, attach type and capability', () => {
    const skb = PROGRAMS.sched_cls.context;
    expect(skb.access('read', 0, 4, undefined, caps)).toMatchObject({ name: 'len', reads: 'len' });
    expect(skb.access('read', 2, 2, undefined, caps)).toMatchObject({ name: 'len' });
    expect(skb.access('read', 2, 4, undefined, caps)).toBeUndefined();
    expect(skb.access('write', 0, 4, undefined, caps)).toBeUndefined();
    expect(skb.access('read', 76, 2, undefined, caps)).toBeUndefined();
    const xdp = PROGRAMS.xdp.context;
    expect(xdp.access('read', 20, 4, 'xdp', caps)).toBeUndefined();
    expect(xdp.access('read', 20, 4, 'xdp_devmap', caps)).toMatchObject({ name: 'egress_ifindex' });
    const cgroup = PROGRAMS.cgroup_skb.context;
    expect(cgroup.access('read', 76, 4, 'cgroup_inet_ingress', caps)).toMatchObject({ value: 'packet' });
    expect(cgroup.access('read', 76, 4, 'cgroup_inet_ingress', new Set())).toBeUndefined();
  });

  it('give helpers by capability', () => {
    const none = helpersOf({ type: 'socket_filter', caps: new Set() });
    expect(none.has('map_lookup_elem')).toBe(true);
    expect(none.has('spin_lock')).toBe(false);
    const bpf = helpersOf({ type: 'socket_filter', caps: new Set(['bpf'] as const) });
    expect(bpf.has('spin_lock')).toBe(true);
    expect(bpf.has('trace_printk')).toBe(false);
    expect(helpersOf({ type: 'socket_filter', caps: root }).has('trace_printk')).toBe(true);
  });

  it('know which attach type and return range hold', () => {
    expect(effectiveAttachType('cgroup_sock', 'cgroup_inet_ingress')).toBe('cgroup_inet_sock_create');
    expect(effectiveAttachType('sk_lookup', 'xdp')).toBeUndefined();
    expect(effectiveAttachType('xdp', 'sk_lookup')).toBe('sk_lookup');
    expect(returnRange('cgroup_skb', 'cgroup_inet_egress')).toMatchObject({ min: 0, max: 3 });
    expect(returnRange('xdp', 'xdp')).toBeUndefined();
  });
});
