/** Attaching to hooks that are only remembered: of control groups, network devices, the network namespace, socket maps. */

import type { AttachType } from '../../sys/attach-types.ts';
import { ATTACH_FLAGS, QUERY_FLAGS } from '../../sys/flags.ts';
import type {
  Fd,
  LinkCreateAttr,
  LinkId,
  LinkUpdateAttr,
  ProgAttachAttr,
  ProgDetachAttr,
  ProgId,
  ProgQueryAttr,
  ProgQueryResult,
} from '../../sys/kernel.ts';
import type { ProgType } from '../../sys/prog-types.ts';
import { BpfMap } from '../maps/index.ts';
import {
  type Entry,
  type Hook,
  type HookFailure,
  HookLink,
  type HookPlace,
  type Position,
} from '../objects/hook.ts';
import { Link } from '../objects/link.ts';
import { Cgroup, NetNamespace } from '../objects/place.ts';
import { Program } from '../objects/program.ts';
import { type Call, fail, openFile } from './failure.ts';
import type { KernelState } from './state.ts';

const {
  BPF_F_ALLOW_MULTI,
  BPF_F_ALLOW_OVERRIDE,
  BPF_F_REPLACE,
  BPF_F_BEFORE,
  BPF_F_AFTER,
  BPF_F_ID,
  BPF_F_LINK,
  BPF_F_PREORDER,
} = ATTACH_FLAGS;
const MODES = BPF_F_ALLOW_MULTI | BPF_F_ALLOW_OVERRIDE;
const ORDER = BPF_F_BEFORE | BPF_F_AFTER | BPF_F_ID | BPF_F_LINK;

type Family = 'cgroup' | 'device' | 'xdp' | 'netns' | 'sockmap' | 'netfilter';

interface HookFact {
  readonly family: Family;
  readonly type: ProgType;
  /** The program must have been loaded for this hook. */
  readonly exact?: boolean;
}

const addr: HookFact = { family: 'cgroup', type: 'cgroup_sock_addr', exact: true };
const sock: HookFact = { family: 'cgroup', type: 'cgroup_sock', exact: true };
const skb: HookFact = { family: 'cgroup', type: 'cgroup_skb' };
const sockopt: HookFact = { family: 'cgroup', type: 'cgroup_sockopt', exact: true };
const device: HookFact = { family: 'device', type: 'sched_cls' };
const verdict: HookFact = { family: 'sockmap', type: 'sk_skb' };

/** The hooks, and whose programs they run. */
const HOOKS: { readonly [A in AttachType]?: HookFact } = {
  cgroup_inet_ingress: skb,
  cgroup_inet_egress: skb,
  cgroup_inet_sock_create: sock,
  cgroup_inet_sock_release: sock,
  cgroup_inet4_post_bind: sock,
  cgroup_inet6_post_bind: sock,
  cgroup_inet4_bind: addr,
  cgroup_inet6_bind: addr,
  cgroup_inet4_connect: addr,
  cgroup_inet6_connect: addr,
  cgroup_unix_connect: addr,
  cgroup_udp4_sendmsg: addr,
  cgroup_udp6_sendmsg: addr,
  cgroup_unix_sendmsg: addr,
  cgroup_udp4_recvmsg: addr,
  cgroup_udp6_recvmsg: addr,
  cgroup_unix_recvmsg: addr,
  cgroup_inet4_getpeername: addr,
  cgroup_inet6_getpeername: addr,
  cgroup_unix_getpeername: addr,
  cgroup_inet4_getsockname: addr,
  cgroup_inet6_getsockname: addr,
  cgroup_unix_getsockname: addr,
  cgroup_getsockopt: sockopt,
  cgroup_setsockopt: sockopt,
  cgroup_sock_ops: { family: 'cgroup', type: 'sock_ops' },
  cgroup_device: { family: 'cgroup', type: 'cgroup_device' },
  cgroup_sysctl: { family: 'cgroup', type: 'cgroup_sysctl' },
  lsm_cgroup: { family: 'cgroup', type: 'lsm', exact: true },
  tcx_ingress: device,
  tcx_egress: device,
  xdp: { family: 'xdp', type: 'xdp' },
  netfilter: { family: 'netfilter', type: 'netfilter' },
  sk_lookup: { family: 'netns', type: 'sk_lookup', exact: true },
  flow_dissector: { family: 'netns', type: 'flow_dissector' },
  sk_skb_stream_parser: verdict,
  sk_skb_stream_verdict: verdict,
  sk_skb_verdict: verdict,
  sk_msg_verdict: { family: 'sockmap', type: 'sk_msg' },
};

/** Whether attachments of the kind are remembered. */
export const isHook = (type: AttachType): boolean => HOOKS[type] !== undefined;

interface Target {
  readonly target_fd?: number;
  readonly target_ifindex?: number;
  readonly attach_type: AttachType;
}

interface Found {
  readonly fact: HookFact;
  readonly hook: Hook;
  readonly place: HookPlace;
  readonly cgroup?: Cgroup;
}

export class HookCommands {
  readonly #state: KernelState;

  constructor(state: KernelState) {
    this.#state = state;
  }

  attach(call: Call, attr: ProgAttachAttr): void {
    const program = openFile(this.#state, call, 'prog', attr.attach_bpf_fd).object;
    const found = this.#find(call, attr);
    const { fact, hook } = found;
    this.#checkProgram(call, fact, program, attr.attach_type);
    const flags = attr.attach_flags ?? 0;
    const revision = attr.expected_revision ?? 0n;
    if (fact.family === 'xdp' || fact.family === 'netfilter' || attr.attach_type === 'sk_lookup') {
      throw fail(call, 'EINVAL', 'programs of this kind are attached by links');
    }
    if (fact.family === 'netns' || fact.family === 'sockmap') {
      if (flags !== 0) throw fail(call, 'EINVAL', 'there are no flags for this hook');
      this.#alone(call, hook, { program, link: undefined, flags: 0 });
      return;
    }
    this.#checkRevision(call, hook, revision);
    if (found.cgroup) this.#checkModes(call, found.cgroup, hook, flags);
    const mode = flags & MODES;
    const entry: Entry = { program, link: undefined, flags: flags & BPF_F_PREORDER };
    if (fact.family === 'cgroup' && (flags & BPF_F_ALLOW_MULTI) === 0) {
      this.#alone(call, hook, entry);
      hook.mode = mode;
      return;
    }
    if (fact.family === 'device') this.#checkNew(call, hook, program);
    else if (hook.entries.some((other) => other.program === program && other.link === undefined)) {
      throw fail(call, 'EINVAL', 'the program is attached there already');
    }
    if (flags & BPF_F_REPLACE) {
      const old = attr.replace_bpf_fd === undefined ? undefined : this.#state.objectAt(attr.replace_bpf_fd);
      const place = hook.entries.find((other) => other.program === old && other.link === undefined);
      if (!place) throw fail(call, 'ENOENT', 'the program that it should replace is not attached there');
      hook.replace(place, entry);
    } else {
      this.#insert(call, hook, entry, this.#position(call, flags, attr));
    }
    hook.mode = mode;
  }

  detach(call: Call, attr: ProgDetachAttr): void {
    const { hook, fact } = this.#find(call, attr);
    const wanted = attr.attach_bpf_fd
      ? openFile(this.#state, call, 'prog', attr.attach_bpf_fd).object
      : undefined;
    this.#checkRevision(call, hook, attr.expected_revision ?? 0n);
    const free = hook.entries.filter(({ link }) => link === undefined);
    const multi = (hook.mode & BPF_F_ALLOW_MULTI) !== 0 || fact.family === 'device';
    if (multi && wanted === undefined && fact.family === 'cgroup') {
      throw fail(call, 'EINVAL', 'several programs may be attached there: name the one to detach');
    }
    const entry = multi && wanted ? free.find(({ program }) => program === wanted) : free[0];
    if (!entry) throw fail(call, 'ENOENT', 'no such program is attached there');
    hook.remove(entry);
  }

  query(call: Call, attr: ProgQueryAttr): ProgQueryResult {
    const { hook, cgroup, fact } = this.#find(call, attr);
    const effective = ((attr.query_flags ?? 0) & QUERY_FLAGS.BPF_F_QUERY_EFFECTIVE) !== 0;
    const entries = effective && cgroup ? this.#effective(cgroup, attr.attach_type) : hook.entries;
    return {
      attach_flags: effective ? 0 : hook.mode,
      prog_ids: entries.map(({ program }) => program.id as ProgId),
      prog_attach_flags:
        effective || (!cgroup && fact.family !== 'device')
          ? []
          : entries.map(({ flags }) => (cgroup ? hook.mode | flags : 0)),
      link_ids: fact.family !== 'device' ? [] : entries.map(({ link }) => (link?.id ?? 0) as LinkId),
      revision: hook.revision,
    };
  }

  create(call: Call, attr: LinkCreateAttr): Fd {
    const state = this.#state;
    const program = openFile(state, call, 'prog', attr.prog_fd).object;
    const { fact, hook, place, cgroup } = this.#find(call, attr);
    this.#checkProgram(call, fact, program, attr.attach_type);
    const flags = attr.flags ?? 0;
    this.#checkRevision(call, hook, attr.anchor?.expected_revision ?? 0n);
    if (fact.family === 'xdp' && (hook.entries.length > 0 || this.#hasXdp(attr.target_ifindex ?? 0))) {
      throw fail(call, 'EBUSY', 'the device runs an XDP program already');
    }
    const single = fact.family === 'sockmap' || attr.attach_type === 'flow_dissector';
    if (single && hook.entries.length > 0) throw fail(call, 'EBUSY', 'there is a program already');
    if (cgroup) this.#checkModes(call, cgroup, hook, BPF_F_ALLOW_MULTI);
    if (fact.family === 'device') this.#checkNew(call, hook, program);
    const link = new HookLink(hook, place, program);
    // Held until its descriptor holds it: a failure ends it.
    link.hold();
    try {
      const failed = link.attach(this.#position(call, flags, attr.anchor ?? {}), flags & BPF_F_PREORDER);
      if (failed) throw this.#failure(call, failed);
      if (cgroup) hook.mode = BPF_F_ALLOW_MULTI;
      state.links.publish(link);
      return state.fds.open(link);
    } finally {
      link.release();
    }
  }

  update(call: Call, attr: LinkUpdateAttr): void {
    const link = this.#link(call, attr.link_fd);
    const program = openFile(this.#state, call, 'prog', attr.new_prog_fd).object;
    if (program.facts.type !== link.program.facts.type) {
      throw fail(
        call,
        'EINVAL',
        `the new program is of type ${program.facts.type}, not ${link.program.facts.type}`,
      );
    }
    const replace = ((attr.flags ?? 0) & BPF_F_REPLACE) !== 0;
    if (replace && openFile(this.#state, call, 'prog', attr.old_prog_fd).object !== link.program) {
      throw fail(call, 'EPERM', 'another program runs than the one that was expected');
    }
    if (!(link instanceof HookLink)) throw fail(call, 'EINVAL', `${link.type} links keep their program`);
    if (!link.attached) throw fail(call, 'ENOLINK', 'the link is detached');
    link.update(program);
  }

  detachLink(call: Call, fd: Fd): void {
    const link = this.#link(call, fd);
    if (!(link instanceof HookLink) || link.type === 'netfilter') {
      throw fail(call, 'EOPNOTSUPP', `${link.type} links end when they are closed`);
    }
    link.detach();
  }

  #link(call: Call, fd: Fd): Link {
    const object = this.#state.objectAt(fd);
    if (object === undefined) throw fail(call, 'EBADF', `file descriptor ${fd} is not open`);
    if (object instanceof Link) return object;
    throw fail(call, 'EINVAL', `file descriptor ${fd} is a ${object.kind}, not a link`);
  }

  #find(call: Call, attr: Target): Found {
    const state = this.#state;
    const fact = HOOKS[attr.attach_type];
    if (!fact) throw fail(call, 'EINVAL', `nothing is attached as ${attr.attach_type} that way`);
    if (!state.capabilities.netAdmin) throw fail(call, 'EPERM', 'the caller lacks CAP_NET_ADMIN');
    const { attach_type, target_fd, target_ifindex } = attr;
    const object = target_fd === undefined ? undefined : state.objectAt(target_fd);
    switch (fact.family) {
      case 'cgroup':
        if (!(object instanceof Cgroup)) throw fail(call, 'EBADF', 'the target is no control group');
        return {
          fact,
          hook: state.hooks.at(object.place, attach_type),
          place: { type: 'cgroup', cgroup_id: BigInt(object.id) },
          cgroup: object,
        };
      case 'device':
      case 'xdp': {
        const ifindex = target_ifindex ?? target_fd ?? 0;
        if (!state.hasDevice(ifindex)) throw fail(call, 'ENODEV', `there is no network device ${ifindex}`);
        const type = fact.family === 'xdp' ? 'xdp' : 'tcx';
        return { fact, hook: state.hooks.at(`device ${ifindex}`, attach_type), place: { type, ifindex } };
      }
      case 'netns': {
        // The flow dissector of the caller's own namespace is attached without naming it.
        const own = attach_type === 'flow_dissector' && !target_fd;
        if (!own && !(object instanceof NetNamespace))
          throw fail(call, 'EINVAL', 'the target is no network namespace');
        const { place, ino } = state.netns;
        return { fact, hook: state.hooks.at(place, attach_type), place: { type: 'netns', ino } };
      }
      case 'sockmap': {
        const map = object instanceof BpfMap ? object : undefined;
        if (map === undefined || (map.shape.type !== 'sockmap' && map.shape.type !== 'sockhash')) {
          throw fail(
            call,
            map === undefined ? 'EBADF' : 'EOPNOTSUPP',
            'the target is no sockmap or sockhash',
          );
        }
        return {
          fact,
          hook: state.hooks.at(`map ${map.id}`, attach_type),
          place: { type: 'sockmap', map_id: map.id },
        };
      }
      case 'netfilter': {
        const { pf = 0, hooknum = 0, priority = 0, flags = 0 } = (attr as LinkCreateAttr).netfilter ?? {};
        if ((pf !== 2 && pf !== 10) || hooknum > 4) {
          throw fail(call, 'EAFNOSUPPORT', 'netfilter runs programs for IPv4 and IPv6, at hooks 0 to 4');
        }
        return {
          fact,
          hook: state.hooks.at(`netfilter ${pf} ${hooknum}`, attach_type),
          place: { type: 'netfilter', pf, hooknum, priority, flags },
        };
      }
    }
  }

  #checkProgram(call: Call, fact: HookFact, program: Program, attach: AttachType): void {
    const { type, expectedAttachType } = program.facts;
    if (type !== fact.type) {
      throw fail(call, 'EINVAL', `the program is of type ${type}, and ${attach} takes ${fact.type} programs`);
    }
    // Attach type 0 is not told from none.
    if (fact.exact && (expectedAttachType ?? 'cgroup_inet_sock_create') !== attach) {
      throw fail(
        call,
        'EINVAL',
        `the program was loaded to be attached as ${expectedAttachType ?? 'something else'}`,
      );
    }
  }

  /** A device's hook has a program once, by whatever it is attached. */
  #checkNew(call: Call, hook: Hook, program: Program): void {
    if (!hook.entries.some((other) => other.program === program)) return;
    throw fail(call, 'EEXIST', 'the program is attached there already');
  }

  #checkRevision(call: Call, hook: Hook, revision: bigint): void {
    if (revision === 0n || revision === hook.revision) return;
    throw fail(call, 'ESTALE', `the hook is at revision ${hook.revision}, not ${revision}`);
  }

  /** How control groups of a hierarchy get on. @see kernel/bpf/cgroup.c, hierarchy_allows_attach */
  #checkModes(call: Call, cgroup: Cgroup, hook: Hook, flags: number): void {
    if ((flags & MODES) === MODES) throw fail(call, 'EINVAL', 'override and multi exclude each other');
    if (flags & BPF_F_REPLACE && !(flags & BPF_F_ALLOW_MULTI)) {
      throw fail(call, 'EINVAL', 'BPF_F_REPLACE goes with BPF_F_ALLOW_MULTI');
    }
    for (let above = cgroup.parent; above; above = above.parent) {
      const other = this.#state.hooks.at(above.place, hook.attachType);
      if (other.mode & BPF_F_ALLOW_MULTI || other.entries.length === 0) continue;
      if (other.mode & BPF_F_ALLOW_OVERRIDE) break;
      throw fail(call, 'EPERM', 'a group above has a program that allows none below');
    }
    if (hook.entries.length > 0 && hook.mode !== (flags & MODES)) {
      throw fail(call, 'EPERM', 'what is attached there was attached with other flags');
    }
  }

  #position(
    call: Call,
    flags: number,
    relative: { readonly relative_fd?: Fd; readonly relative_id?: number },
  ): Position {
    const before = (flags & BPF_F_BEFORE) !== 0;
    const after = (flags & BPF_F_AFTER) !== 0;
    const { relative_fd, relative_id } = relative;
    const { objectAt, links, progs } = this.#state;
    let object: Program | Link | undefined;
    if ((flags & ORDER) !== 0) {
      if (relative_fd) {
        const found = objectAt(relative_fd);
        if (!(found instanceof Program) && !(found instanceof Link)) {
          throw fail(call, 'EBADF', 'what it should stand beside is no program or link');
        }
        object = found;
      } else if (relative_id) {
        object = flags & BPF_F_LINK ? links.get(relative_id) : progs.get(relative_id);
        if (object === undefined) throw fail(call, 'ENOENT', `there is no id ${relative_id}`);
      }
    }
    return { before, after, relative: object };
  }

  /** The one program of the hook: it takes the place of what is there. */
  #alone(call: Call, hook: Hook, entry: Entry): void {
    const [old] = hook.entries;
    if (old?.link) throw fail(call, 'EEXIST', 'a link is attached there');
    if (old) hook.replace(old, entry);
    else this.#insert(call, hook, entry, { before: false, after: false, relative: undefined });
  }

  #insert(call: Call, hook: Hook, entry: Entry, position: Position): void {
    const failed = hook.insert(entry, position);
    if (failed) throw this.#failure(call, failed);
  }

  #failure(call: Call, { errno, reason }: HookFailure): Error {
    return fail(call, errno, reason);
  }

  #hasXdp(ifindex: number): boolean {
    return this.#state.hasXdp(ifindex);
  }

  /** The group's own programs first, then those above that let it have some. */
  #effective(cgroup: Cgroup, type: AttachType): readonly Entry[] {
    const entries: Entry[] = [];
    for (let at: Cgroup | undefined = cgroup; at; at = at.parent) {
      const hook = this.#state.hooks.at(at.place, type);
      if (entries.length > 0 && !(hook.mode & BPF_F_ALLOW_MULTI)) continue;
      entries.push(...hook.entries);
    }
    return entries;
  }
}
