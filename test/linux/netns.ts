/** What `links.test.ts` does inside a network namespace of its own; prints what it saw as JSON. */
import { closeSync, openSync } from 'node:fs';
import { InputError } from '../../src/base/error.ts';
import { assembleLlvm } from '../../src/isa/index.ts';
import { openLinux } from '../../src/linux/index.ts';
import { ATTACH_FLAGS, type Fd, type ProgLoadAttr } from '../../src/sys/index.ts';

const LOOPBACK = 1;
const kernel = openLinux();
const { bpf } = kernel;
const load = (attr: Partial<ProgLoadAttr>, result = 1): Fd =>
  bpf.prog_load({
    prog_type: 'xdp',
    insns: assembleLlvm(`r0 = ${result}\nexit`).bytes,
    license: 'GPL',
    ...attr,
  }).fd;

function link(fd: Fd): { type: string; tail: DataView; prog_id: number } {
  const info = bpf.obj_get_info_by_fd({ bpf_fd: fd });
  if (info.kind !== 'link') throw new Error(info.kind);
  return { type: info.type, tail: new DataView(info.raw.buffer, info.raw.byteOffset), prog_id: info.prog_id };
}

function progName(id: number): string {
  const fd = bpf.prog_get_fd_by_id({ prog_id: id as never });
  const info = bpf.obj_get_info_by_fd({ bpf_fd: fd });
  kernel.closeFd(fd);
  return info.kind === 'prog' ? info.name : info.kind;
}

function errnoOf(call: () => unknown): string | undefined {
  try {
    call();
  } catch (error) {
    if (error instanceof InputError) return error.errno;
    throw error;
  }
  return undefined;
}

const scenarios: Readonly<Record<string, () => unknown>> = {
  xdp() {
    const target = { target_ifindex: LOOPBACK, attach_type: 'xdp' } as const;
    const fd = bpf.link_create({ prog_fd: load({}, 2), ...target });
    const { type, tail, prog_id } = link(fd);
    const busy = errnoOf(() => bpf.link_create({ prog_fd: load({}, 2), ...target }));
    bpf.link_update({ link_fd: fd, new_prog_fd: load({}, 1) });
    return { type, ifindex: tail.getUint32(0, true), updated: link(fd).prog_id !== prog_id, busy };
  },

  tcx() {
    const target = { target_ifindex: LOOPBACK, attach_type: 'tcx_ingress' } as const;
    const [first, second] = ['first', 'second'].map((prog_name) =>
      load({ prog_type: 'sched_cls', prog_name }, -1),
    ) as [Fd, Fd];
    const one = bpf.link_create({ prog_fd: first, ...target });
    bpf.link_create({
      prog_fd: second,
      ...target,
      flags: ATTACH_FLAGS.BPF_F_BEFORE,
      anchor: { relative_fd: first, expected_revision: bpf.prog_query(target).revision },
    });
    const query = bpf.prog_query(target);
    return {
      type: link(one).type,
      order: query.prog_ids.map(progName),
      links: query.link_ids.filter((id) => id > 0).length,
      revision: query.revision > 1n,
    };
  },

  others() {
    const netfilter = bpf.link_create({
      prog_fd: load({ prog_type: 'netfilter', expected_attach_type: 'netfilter' }),
      attach_type: 'netfilter',
      netfilter: { pf: 2, hooknum: 1, priority: -128 },
    });
    const nf = link(netfilter);
    const netns = openSync('/proc/self/ns/net', 'r');
    const lookup = bpf.link_create({
      prog_fd: load({ prog_type: 'sk_lookup', expected_attach_type: 'sk_lookup' }),
      target_fd: netns,
      attach_type: 'sk_lookup',
    });
    const dissector = load({ prog_type: 'flow_dissector' }, 0);
    bpf.prog_attach({ attach_bpf_fd: dissector, attach_type: 'flow_dissector' });
    const count = () => bpf.prog_query({ target_fd: netns, attach_type: 'flow_dissector' }).prog_ids.length;
    const attached = count();
    bpf.prog_detach({ attach_bpf_fd: dissector, attach_type: 'flow_dissector' });
    const detached = count();
    closeSync(netns);
    return {
      netfilter: {
        type: nf.type,
        pf: nf.tail.getUint32(0, true),
        hooknum: nf.tail.getUint32(4, true),
        priority: nf.tail.getInt32(8, true),
      },
      sk_lookup: link(lookup).type,
      flow_dissector: [attached, detached],
    };
  },
};

console.log(JSON.stringify(scenarios[process.argv[2] ?? '']?.()));
