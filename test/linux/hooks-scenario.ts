/** What hooks answer, step by step, in words that are the same for every kernel. Run as a program: on Linux, with devices. */
import { InputError } from '../../src/base/error.ts';
import { assembleLlvm } from '../../src/isa/index.ts';
import { openLinux } from '../../src/linux/index.ts';
import {
  ATTACH_FLAGS,
  type AttachType,
  type Fd,
  type Kernel,
  linkDetails,
  type ProgType,
} from '../../src/sys/index.ts';

const {
  BPF_F_ALLOW_MULTI,
  BPF_F_ALLOW_OVERRIDE,
  BPF_F_REPLACE,
  BPF_F_BEFORE,
  BPF_F_AFTER,
  BPF_F_ID,
  BPF_F_LINK,
} = ATTACH_FLAGS;

class Scenario {
  readonly kernel: Kernel;
  readonly log: string[] = [];
  readonly #names = new Map<number, string>();

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  load(name: string, prog_type: ProgType, expected_attach_type?: AttachType): Fd {
    const { fd } = this.kernel.bpf.prog_load({
      prog_type,
      insns: assembleLlvm('r0 = 1\nexit').bytes,
      license: 'GPL',
      ...(expected_attach_type && { expected_attach_type }),
    });
    const info = this.kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
    if (info.kind === 'prog') this.#names.set(info.id, name);
    return fd;
  }

  id(fd: Fd): number {
    const info = this.kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
    return info.kind === 'btf' ? 0 : info.id;
  }

  /** Does it, and writes down the errno. */
  step<T>(what: string, call: () => T): T | undefined {
    try {
      const result = call();
      this.log.push(`${what}: done`);
      return result;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.log.push(`${what}: ${error.errno}`);
      return undefined;
    }
  }

  query(
    what: string,
    target: { target_fd?: number; target_ifindex?: number },
    attach_type: AttachType,
    query_flags = 0,
  ): void {
    this.step(`query ${what}`, () => {
      const { attach_flags, prog_ids, prog_attach_flags, link_ids, revision } = this.kernel.bpf.prog_query({
        ...target,
        attach_type,
        query_flags,
      });
      const names = prog_ids.map((id) => this.#names.get(id) ?? 'another');
      // The revision of a control group came with Linux 6.16.
      const links = link_ids.map((id) => (id === 0 ? 0 : 1));
      const more = target.target_ifindex === undefined ? '' : ` links ${links} revision ${revision}`;
      this.log.push(`  ${names.join(' ')} mode ${attach_flags} flags ${prog_attach_flags}${more}`);
    });
  }

  link(what: string, fd: Fd | undefined): void {
    if (fd === undefined) return;
    const info = this.kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
    if (info.kind !== 'link') throw new Error(`${what} is a ${info.kind}`);
    const details = linkDetails(info);
    const at = 'attach_type' in details ? details.attach_type : '';
    const ifindex = 'ifindex' in details ? (details.ifindex === 0 ? ' nowhere' : ' somewhere') : '';
    this.log.push(`  ${what}: ${info.type} ${at} of ${this.#names.get(info.prog_id)}${ifindex}`);
  }
}

/** @param path of a control group to be made; it is gone at the end */
export function groups(kernel: Kernel, path: string): readonly string[] {
  const s = new Scenario(kernel);
  const { bpf, files } = kernel;
  const fds: Fd[] = [];
  const keep = (fd: Fd): Fd => {
    fds.push(fd);
    return fd;
  };
  files.mkdir(path);
  files.mkdir(`${path}/below`);
  const target_fd = keep(files.open(path));
  const below = keep(files.open(`${path}/below`));
  const [a, b, c] = ['a', 'b', 'c'].map((name) => keep(s.load(name, 'cgroup_skb'))) as [Fd, Fd, Fd];
  const connect = keep(s.load('connect', 'cgroup_sock_addr', 'cgroup_inet4_connect'));
  const attach_type = 'cgroup_inet_egress' as const;
  const attach = (what: string, fd: Fd, attach_flags = 0, more = {}) =>
    s.step(what, () => bpf.prog_attach({ target_fd, attach_bpf_fd: fd, attach_type, attach_flags, ...more }));
  const detach = (what: string, fd?: Fd) =>
    s.step(what, () =>
      bpf.prog_detach({ target_fd, attach_type, ...(fd !== undefined && { attach_bpf_fd: fd }) }),
    );
  const query = (what: string) => s.query(what, { target_fd }, attach_type);
  try {
    query('nothing');
    detach('detach nothing', a);
    attach('another type', connect);
    s.step('another attach type', () =>
      bpf.prog_attach({ target_fd, attach_bpf_fd: connect, attach_type: 'cgroup_inet4_bind' }),
    );
    s.step('no group', () => bpf.prog_attach({ target_fd: a, attach_bpf_fd: a, attach_type }));
    attach('exclusive', a);
    query('exclusive');
    attach('exclusive again', a);
    attach('exclusive, another', b);
    query('another');
    attach('multi beside exclusive', c, BPF_F_ALLOW_MULTI);
    s.step('below exclusive', () => bpf.prog_attach({ target_fd: below, attach_bpf_fd: c, attach_type }));
    s.step('link beside exclusive', () => bpf.link_create({ prog_fd: c, target_fd, attach_type }));
    detach('detach exclusive');
    query('nothing');
    attach('override and multi', a, BPF_F_ALLOW_MULTI | BPF_F_ALLOW_OVERRIDE);
    attach('override', a, BPF_F_ALLOW_OVERRIDE);
    s.step('below override', () =>
      bpf.prog_attach({
        target_fd: below,
        attach_bpf_fd: b,
        attach_type,
        attach_flags: BPF_F_ALLOW_OVERRIDE,
      }),
    );
    s.query('effective below override', { target_fd: below }, attach_type, 1);
    s.step('detach below', () => bpf.prog_detach({ target_fd: below, attach_type }));
    detach('detach override');
    attach('multi', a, BPF_F_ALLOW_MULTI);
    attach('multi again', a, BPF_F_ALLOW_MULTI);
    attach('multi, another', b, BPF_F_ALLOW_MULTI);
    query('multi');
    attach('replace without multi', c, BPF_F_REPLACE, { replace_bpf_fd: a });
    attach('replace what is not there', c, BPF_F_REPLACE | BPF_F_ALLOW_MULTI, { replace_bpf_fd: c });
    attach('replace', c, BPF_F_REPLACE | BPF_F_ALLOW_MULTI, { replace_bpf_fd: a });
    query('replaced');
    detach('detach nobody');
    detach('detach who left', a);
    const link = s.step('link', () => keep(bpf.link_create({ prog_fd: a, target_fd, attach_type })));
    s.link('the link', link);
    const early = s.step('link before', () =>
      keep(
        bpf.link_create({
          prog_fd: b,
          target_fd,
          attach_type,
          flags: BPF_F_BEFORE | BPF_F_LINK,
          anchor: { relative_fd: link! },
        }),
      ),
    );
    query('links');
    s.query('effective below links', { target_fd: below }, attach_type, 1);
    detach('detach a link by its program', a);
    s.step('update', () => bpf.link_update({ link_fd: early!, new_prog_fd: c }));
    s.step('update from another', () =>
      bpf.link_update({ link_fd: early!, new_prog_fd: a, old_prog_fd: b, flags: BPF_F_REPLACE }),
    );
    s.step('update to another type', () => bpf.link_update({ link_fd: early!, new_prog_fd: connect }));
    query('updated');
    s.step('detach the link', () => bpf.link_detach({ link_fd: early! }));
    s.step('update what is detached', () => bpf.link_update({ link_fd: early!, new_prog_fd: a }));
    s.link('the detached link', early);
    query('one link less');
    kernel.closeFd(fds.splice(fds.indexOf(link!), 1)[0]!);
    query('two links less');
    detach('detach one', b);
    detach('detach the other', c);
    query('nothing');
    s.step('update no link', () => bpf.link_update({ link_fd: a, new_prog_fd: b }));
    s.step('detach no link', () => bpf.link_detach({ link_fd: a }));
    const orphan = s.step('a link below', () =>
      keep(bpf.link_create({ prog_fd: a, target_fd: below, attach_type })),
    );
    s.step('remove the group above', () => files.rmdir(path));
    s.step('remove the group below', () => files.rmdir(`${path}/below`));
    s.link('the link of a group that is gone', orphan);
  } finally {
    for (const fd of fds.reverse()) kernel.closeFd(fd);
    files.rmdir(path);
  }
  return s.log;
}

/** @param target_ifindex of a device */
export function devices(kernel: Kernel, target_ifindex: number): readonly string[] {
  const s = new Scenario(kernel);
  const { bpf, net } = kernel;
  const attach_type = 'tcx_ingress' as const;
  const [a, b, c] = ['a', 'b', 'c'].map((name) => s.load(name, 'sched_cls')) as [Fd, Fd, Fd];
  const xdp = s.load('xdp', 'xdp');
  const query = (what: string) => s.query(what, { target_ifindex }, attach_type);
  s.step('no device', () => bpf.link_create({ prog_fd: a, target_ifindex: 99, attach_type }));
  query('nothing');
  const first = s.step('tcx', () => bpf.link_create({ prog_fd: a, target_ifindex, attach_type }))!;
  s.link('the link', first);
  const second = s.step('tcx before all', () =>
    bpf.link_create({ prog_fd: b, target_ifindex, attach_type, flags: BPF_F_BEFORE }),
  )!;
  query('two');
  s.step('tcx after the first, by id', () =>
    bpf.prog_attach({
      target_ifindex,
      attach_bpf_fd: c,
      attach_type,
      attach_flags: BPF_F_AFTER | BPF_F_ID,
      relative_id: s.id(b),
    }),
  );
  query('three');
  s.step('the same again', () => bpf.prog_attach({ target_ifindex, attach_bpf_fd: c, attach_type }));
  s.step('at an old revision', () =>
    bpf.link_create({ prog_fd: c, target_ifindex, attach_type, anchor: { expected_revision: 1n } }),
  );
  s.step('beside what is not there', () =>
    bpf.link_create({
      prog_fd: c,
      target_ifindex,
      attach_type,
      flags: BPF_F_BEFORE,
      anchor: { relative_fd: xdp },
    }),
  );
  s.step('detach', () => bpf.prog_detach({ target_ifindex, attach_bpf_fd: c, attach_type }));
  s.step('detach the link', () => bpf.link_detach({ link_fd: first }));
  query('one');
  s.link('the detached link', first);
  kernel.closeFd(second);
  query('none');
  const fast = s.step('xdp', () => bpf.link_create({ prog_fd: xdp, target_ifindex, attach_type: 'xdp' }))!;
  s.link('the XDP link', fast);
  s.step('a second', () => bpf.link_create({ prog_fd: xdp, target_ifindex, attach_type: 'xdp' }));
  s.step('by netlink', () => net.xdp_set({ ifindex: target_ifindex, prog_fd: xdp }));
  s.log.push(`device: ${net.device_get({ ifindex: target_ifindex })!.xdp.map(({ mode }) => mode)}`);
  kernel.closeFd(fast);
  s.step('by netlink', () => net.xdp_set({ ifindex: target_ifindex, prog_fd: xdp, mode: 'native' }));
  s.step('a link beside it', () => bpf.link_create({ prog_fd: xdp, target_ifindex, attach_type: 'xdp' }));
  s.step('in both modes', () => net.xdp_set({ ifindex: target_ifindex, prog_fd: xdp, mode: 'generic' }));
  s.step('where there should be none', () =>
    net.xdp_set({ ifindex: target_ifindex, prog_fd: xdp, mode: 'native', expected: 'none' }),
  );
  s.step('off', () => net.xdp_set({ ifindex: target_ifindex, mode: 'native' }));
  const place = { ifindex: target_ifindex, parent: 'ingress' as const };
  s.step('a classifier without a discipline', () => net.filter_add({ ...place, prog_fd: a }));
  s.step('clsact', () => net.qdisc_add({ ifindex: target_ifindex, kind: 'clsact' }));
  s.step('clsact again', () => net.qdisc_add({ ifindex: target_ifindex, kind: 'clsact' }));
  for (const more of [{}, {}, { priority: 5, handle: 3 }, { priority: 5 }]) {
    const filter = s.step('a classifier', () => net.filter_add({ ...place, prog_fd: a, name: 'a', ...more }));
    s.log.push(`  priority ${filter?.priority} handle ${filter?.handle}`);
  }
  s.step('the same', () => net.filter_add({ ...place, prog_fd: a, priority: 5, handle: 3 }));
  s.step('in its place', () =>
    net.filter_add({ ...place, prog_fd: b, priority: 5, handle: 3, mode: 'replace' }),
  );
  s.step('another type', () => net.filter_add({ ...place, prog_fd: xdp, priority: 9 }));
  const list = () => net.filter_list(place).map(({ priority, handle }) => `${priority}:${handle}`);
  s.log.push(`classifiers: ${list()}`);
  s.step('one away', () => net.filter_delete({ ...place, priority: 5, handle: 3 }));
  s.step('what is not there', () => net.filter_delete({ ...place, priority: 5, handle: 77 }));
  s.log.push(`classifiers: ${list()}`);
  s.step('no clsact', () => net.qdisc_delete({ ifindex: target_ifindex, kind: 'clsact' }));
  s.step('no clsact again', () => net.qdisc_delete({ ifindex: target_ifindex, kind: 'clsact' }));
  const lookup = s.load('lookup', 'sk_lookup', 'sk_lookup');
  const netns = kernel.files.open('/proc/self/ns/net');
  const look = s.step('sk_lookup', () =>
    bpf.link_create({ prog_fd: lookup, target_fd: netns, attach_type: 'sk_lookup' }),
  );
  s.link('the lookup', look);
  s.query('lookups', { target_fd: netns }, 'sk_lookup');
  s.step('netfilter', () =>
    bpf.link_create({
      prog_fd: s.load('nf', 'netfilter', 'netfilter'),
      attach_type: 'netfilter',
      netfilter: { pf: 2, hooknum: 1, priority: -5 },
    }),
  );
  return s.log;
}

if (process.argv[1] === import.meta.filename) {
  const kernel = openLinux();
  kernel.net.device_add({ name: 'skep0', kind: 'veth', peer: 'skep1' });
  const { ifindex } = kernel.net.device_get({ name: 'skep0' })!;
  process.stdout.write(JSON.stringify(devices(kernel, ifindex)));
}
