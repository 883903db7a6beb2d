/** Hooks of network devices, namespaces, routes and sockets. */
import {
  type AttachType,
  type Fd,
  type FilterAttr,
  type LwtPoint,
  type Prefix,
  type ProgType,
  XDP_MODES,
  type XdpMode,
} from '../../sys/index.ts';
import { parsePrefix } from '../address.ts';
import type { LoadedProgram } from '../program.ts';
import { Attachment, type BpfLink, type Link } from './link.ts';
import {
  type Anchor,
  anchorAttr,
  attachError,
  attachTypeOf,
  type DeviceRef,
  deviceIndex,
  needType,
  type PathRef,
  programName,
  withPath,
} from './place.ts';

export interface XdpOptions {
  /** Default: the driver's where it can, else the network stack's. */
  readonly mode?: XdpMode;
}

export function attachXdp(program: LoadedProgram, device: DeviceRef, options: XdpOptions = {}): BpfLink {
  needType(program, ['xdp'], 'network devices as XDP');
  const target_ifindex = deviceIndex(program, device);
  const flags = options.mode === undefined ? 0 : XDP_MODES[options.mode].flag;
  return program.link({ target_ifindex, attach_type: 'xdp', flags });
}

export interface XdpNetlinkOptions extends XdpOptions {
  /** The program to take the place of; `none`: fail if there is one. Default: whatever is there. */
  readonly replace?: LoadedProgram | 'none';
}

/** As `ip link set dev DEVICE xdp`: without a link, until it is taken off. */
export function attachXdpNetlink(
  program: LoadedProgram,
  device: DeviceRef,
  options: XdpNetlinkOptions = {},
): Attachment {
  needType(program, ['xdp'], 'network devices as XDP');
  const { net } = program.kernel;
  const ifindex = deviceIndex(program, device);
  const mode = options.mode === undefined ? {} : { mode: options.mode };
  const { replace } = options;
  const expected = replace === undefined ? {} : { expected: replace === 'none' ? replace : replace.fd };
  net.xdp_set({ ifindex, prog_fd: program.fd, ...mode, ...expected });
  let current = program.fd;
  return new Attachment(
    'netlink',
    programName(program),
    {
      detach: () => net.xdp_set({ ifindex, ...mode, expected: current }),
      update: (other) => {
        net.xdp_set({ ifindex, prog_fd: other.fd, ...mode, expected: current });
        current = other.fd;
      },
    },
    program.owner,
  );
}

export interface DirectionOptions {
  /** Default: what the section says. */
  readonly direction?: 'ingress' | 'egress';
}

export function attachTcx(
  program: LoadedProgram,
  device: DeviceRef,
  options: Anchor & DirectionOptions = {},
): BpfLink {
  needType(program, ['sched_cls'], 'network devices by tcx');
  const { direction } = options;
  const given = direction && (`tcx_${direction}` as const);
  const attach_type = attachTypeOf(program, given, (type) => type.startsWith('tcx_'), 'tcx');
  return program.link({ target_ifindex: deviceIndex(program, device), attach_type, ...anchorAttr(options) });
}

export interface NetkitOptions extends Anchor {
  /** The end that packets are sent from; default what the section says. */
  readonly end?: 'primary' | 'peer';
}

export function attachNetkit(
  program: LoadedProgram,
  device: DeviceRef,
  options: NetkitOptions = {},
): BpfLink {
  needType(program, ['sched_cls'], 'netkit devices');
  const given = options.end && (`netkit_${options.end}` as const);
  const attach_type = attachTypeOf(program, given, (type) => type.startsWith('netkit_'), 'netkit devices');
  return program.link({ target_ifindex: deviceIndex(program, device), attach_type, ...anchorAttr(options) });
}

export interface ClassifierOptions
  extends DirectionOptions,
    Pick<FilterAttr, 'priority' | 'handle' | 'chain' | 'protocol'> {
  /** What it is listed as; default the program's name. */
  readonly name?: string;
  /** The program's answer is the action; default true. */
  readonly directAction?: boolean;
  readonly classid?: number;
  /** Takes the place of one of the same priority and handle; default false. */
  readonly replace?: boolean;
}

/** As `tc filter add … bpf direct-action`: a classifier of cls_bpf. The device is given a `clsact` if it has none. */
export function attachClassifier(
  program: LoadedProgram,
  device: DeviceRef,
  options: ClassifierOptions = {},
): Attachment {
  needType(program, ['sched_cls'], 'network devices as classifiers');
  const { net } = program.kernel;
  const ifindex = deviceIndex(program, device);
  const parent = options.direction ?? (program.attachType === 'tcx_egress' ? 'egress' : 'ingress');
  const {
    priority,
    handle,
    chain,
    protocol,
    name = program.name,
    directAction = true,
    classid,
    replace,
  } = options;
  const made = !net.qdisc_list({ ifindex }).some(({ kind }) => kind === 'clsact' || kind === 'ingress');
  if (made) net.qdisc_add({ ifindex, kind: 'clsact' });
  const add = (fd: Fd, place: FilterAttr, mode: 'create' | 'replace') =>
    net.filter_add({
      ...place,
      prog_fd: fd,
      name,
      direct_action: directAction,
      ...(classid !== undefined && { classid }),
      mode,
    });
  const wanted: FilterAttr = {
    ifindex,
    parent,
    ...(priority !== undefined && { priority }),
    ...(handle !== undefined && { handle }),
    ...(chain !== undefined && { chain }),
    ...(protocol !== undefined && { protocol }),
  };
  let filter: ReturnType<typeof add>;
  try {
    filter = add(program.fd, wanted, replace ? 'replace' : 'create');
  } catch (error) {
    if (made) net.qdisc_delete({ ifindex, kind: 'clsact' });
    throw error;
  }
  const place: FilterAttr = { ...wanted, priority: filter.priority, handle: filter.handle };
  return new Attachment(
    'netlink',
    programName(program),
    {
      detach: () => net.filter_delete(place),
      update: (other) => {
        add(other.fd, place, 'replace');
      },
    },
    program.owner,
  );
}

/** Points of the IP stack, by their number. @see enum nf_inet_hooks */
export const NETFILTER_HOOKS = {
  pre_routing: 0,
  local_in: 1,
  forward: 2,
  local_out: 3,
  post_routing: 4,
} as const;
const NETFILTER_FAMILIES = { ipv4: 2, ipv6: 10 } as const;

export interface NetfilterOptions {
  /** Default `ipv4`. */
  readonly family?: keyof typeof NETFILTER_FAMILIES;
  readonly hook: keyof typeof NETFILTER_HOOKS;
  /** Lower runs first; default 0. The kernel keeps the two ends of the range for itself. */
  readonly priority?: number;
  /** Fragments are put together before; then the priority must be above -400. */
  readonly defragment?: boolean;
}

/** Attaches to the network namespace that the process is in. */
export function attachNetfilter(program: LoadedProgram, options: NetfilterOptions): BpfLink {
  needType(program, ['netfilter'], 'netfilter');
  const { family = 'ipv4', hook, priority = 0, defragment = false } = options;
  return program.link({
    attach_type: 'netfilter',
    netfilter: {
      pf: NETFILTER_FAMILIES[family],
      hooknum: NETFILTER_HOOKS[hook],
      priority,
      flags: defragment ? 1 : 0,
    },
  });
}

const NETNS_TYPES: readonly ProgType[] = ['sk_lookup', 'flow_dissector'];

/** Attaches to a network namespace; default the process's own. */
export function attachNetns(program: LoadedProgram, netns: PathRef = '/proc/self/ns/net'): BpfLink {
  needType(program, NETNS_TYPES, 'network namespaces');
  const attach_type = program.type === 'sk_lookup' ? 'sk_lookup' : 'flow_dissector';
  return withPath(program.kernel, netns, (target_fd) => program.link({ target_fd, attach_type }));
}

export interface SockmapOptions {
  /** Default: what the section says. */
  readonly type?: AttachType;
  /** `program`: as before Linux 6.10, without a link; default `link`. */
  readonly mode?: 'link' | 'program';
}

/** Runs on the messages or packets of sockets in a sockmap or sockhash. */
export function attachSockmap(
  program: LoadedProgram,
  map: Fd | { readonly fd: Fd },
  options: SockmapOptions = {},
): Link {
  needType(program, ['sk_skb', 'sk_msg'], 'sockmaps');
  const attach_type = attachTypeOf(
    program,
    options.type,
    (type) => type.startsWith('sk_skb_') || type === 'sk_msg_verdict',
    'a sockmap',
  );
  const target_fd = typeof map === 'number' ? map : map.fd;
  if (options.mode !== 'program') return program.link({ target_fd, attach_type });
  const { bpf } = program.kernel;
  bpf.prog_attach({ target_fd, attach_bpf_fd: program.fd, attach_type });
  let current = program.fd;
  return new Attachment(
    'prog_attach',
    programName(program),
    {
      detach: () => bpf.prog_detach({ target_fd, attach_bpf_fd: current, attach_type }),
      update: ({ fd }) => {
        bpf.prog_attach({ target_fd, attach_bpf_fd: fd, attach_type });
        current = fd;
      },
    },
    program.owner,
  );
}

/** Filters what a socket of this process receives, or spreads connections over sockets that share a port. */
export function attachSocket(program: LoadedProgram, socket: number): Attachment {
  needType(program, ['socket_filter', 'sk_reuseport'], 'sockets');
  const option = program.type === 'sk_reuseport' ? 'SO_ATTACH_REUSEPORT_EBPF' : 'SO_ATTACH_BPF';
  const { hooks } = program.kernel;
  hooks.socket_attach(socket, option, program.fd);
  return new Attachment(
    'setsockopt',
    programName(program),
    {
      detach: () => hooks.socket_detach(socket, option),
      update: (other) => hooks.socket_attach(socket, option, other.fd),
    },
    program.owner,
  );
}

export interface RouteOptions {
  /** `10.1.0.0/16`, `fd00::/64`, or bytes. */
  readonly to: string | Prefix;
  readonly device?: DeviceRef;
  readonly via?: string;
  readonly table?: number;
  readonly metric?: number;
  /** Bytes that a program of `lwt_xmit` may put before the packet. */
  readonly headroom?: number;
  /** Takes the place of a route that is there; default false. */
  readonly replace?: boolean;
}

const LWT_POINT: { readonly [T in ProgType]?: LwtPoint } = { lwt_in: 'in', lwt_out: 'out', lwt_xmit: 'xmit' };

/** As `ip route add … encap bpf`: adds a route whose packets the program sees. */
export function attachRoute(program: LoadedProgram, options: RouteOptions): Attachment {
  needType(program, ['lwt_in', 'lwt_out', 'lwt_xmit', 'lwt_seg6local'], 'routes');
  const { net } = program.kernel;
  const { device, via, table, metric, headroom } = options;
  const to = typeof options.to === 'string' ? parsePrefix(options.to) : options.to;
  const route = {
    to,
    ...(device !== undefined && { ifindex: deviceIndex(program, device) }),
    ...(via !== undefined && { via: parsePrefix(via).address }),
    ...(table !== undefined && { table }),
    ...(metric !== undefined && { metric }),
  };
  const point = LWT_POINT[program.type];
  if (point === 'in' && device === undefined && via === undefined) {
    throw attachError(program, 'a route needs a device or a gateway', 'EINVAL');
  }
  const add = (other: LoadedProgram, mode: 'create' | 'replace') => {
    const named = { prog_fd: other.fd, name: other.name };
    net.route_add({
      ...route,
      mode,
      ...(point === undefined
        ? { seg6local: named }
        : { bpf: { [point]: named, ...(headroom !== undefined && { headroom }) } }),
    });
  };
  add(program, options.replace ? 'replace' : 'create');
  return new Attachment(
    'netlink',
    programName(program),
    { detach: () => net.route_delete(route), update: (other) => add(other, 'replace') },
    program.owner,
  );
}
