/**
 * What rtnetlink(7) would do, as far as it is only remembered: programs on devices, classifiers and routes are recorded
 * with the programs that they hold, listed and removed. Nothing runs them yet.
 */
import { InputError } from '../../base/error.ts';
import type { Errno } from '../../sys/errno.ts';
import type { Fd } from '../../sys/kernel.ts';
import {
  ADDRESS_FAMILIES,
  DEVICE_FLAGS,
  ETH_PROTOCOLS,
  type Filter,
  type FilterAttr,
  type FilterPlace,
  LWT_POINTS,
  type LwtPoint,
  type NetCommands,
  type NetDevice,
  type Prefix,
  type Qdisc,
  type Route,
  TC_PARENTS,
  type XdpMode,
  xdpModeNames,
} from '../../sys/net.ts';
import type { ProgType } from '../../sys/prog-types.ts';
import type { NetDevice as Device, Devices } from '../net/device.ts';
import { LOOPBACK } from '../net/device.ts';
import { Program } from '../objects/program.ts';
import type { KernelState } from './state.ts';

interface HeldFilter {
  readonly filter: Filter;
  readonly program: Program;
}

interface HeldRoute {
  readonly route: Route;
  readonly programs: readonly Program[];
}

const RT_TABLE_MAIN = 254;
const CLASSIFIER_TYPES: readonly ProgType[] = ['sched_cls'];
const LWT_TYPES = { in: 'lwt_in', out: 'lwt_out', xmit: 'lwt_xmit' } as const satisfies Record<
  LwtPoint,
  ProgType
>;
const POINTS = Object.keys(LWT_POINTS) as readonly LwtPoint[];
/** What Linux gives a classifier without a priority, counting down. */
const FIRST_PRIORITY = 0xc000;

function refuse(doing: string, errno: Errno, reason: string): InputError {
  return new InputError('kernel-net', `${doing}: ${reason} (${errno})`, { errno });
}

/** The recorded state; `close` lets go of its programs. */
export class EmbeddedNet implements NetCommands {
  readonly #state: KernelState;
  readonly #devices: Devices;
  readonly #xdp = new Map<number, Map<XdpMode, Program>>();
  readonly #qdiscs = new Map<number, 'clsact' | 'ingress'>();
  #filters: HeldFilter[] = [];
  #routes: HeldRoute[] = [];

  constructor(state: KernelState, devices: Devices) {
    this.#state = state;
    this.#devices = devices;
  }

  device_list = (): readonly NetDevice[] => this.#devices.list().map((device) => this.#describe(device));

  device_get = (which: { readonly name: string } | { readonly ifindex: number }): NetDevice | undefined =>
    this.device_list().find((device) =>
      'name' in which ? device.name === which.name : device.ifindex === which.ifindex,
    );

  device_add: NetCommands['device_add'] = ({ name, kind }) => {
    throw refuse(
      `making ${kind} device ${name}`,
      'EOPNOTSUPP',
      'the embedded kernel has the devices that it was created with',
    );
  };

  device_set: NetCommands['device_set'] = ({ ifindex, netns_fd }) => {
    const doing = `changing network device ${ifindex}`;
    this.#device(ifindex, doing);
    if (netns_fd !== undefined) throw refuse(doing, 'EOPNOTSUPP', 'there is one network namespace');
  };

  device_delete: NetCommands['device_delete'] = ({ ifindex }) => {
    const doing = `removing network device ${ifindex}`;
    this.#device(ifindex, doing);
    throw refuse(doing, 'EOPNOTSUPP', 'the embedded kernel keeps the devices that it was created with');
  };

  address_add: NetCommands['address_add'] = ({ ifindex }) => {
    const doing = `giving network device ${ifindex} an address`;
    this.#device(ifindex, doing);
    throw refuse(doing, 'EOPNOTSUPP', 'the embedded kernel has no addresses yet');
  };

  xdp_set: NetCommands['xdp_set'] = ({ ifindex, prog_fd, mode = 'native', expected }) => {
    const verb = prog_fd === undefined ? 'removing the XDP program of' : `putting program fd ${prog_fd} on`;
    const doing = `${verb} network device ${ifindex} as ${mode} XDP`;
    this.#device(ifindex, doing);
    const program = prog_fd === undefined ? undefined : this.#program(prog_fd, doing, ['xdp']);
    if (mode === 'offload') throw refuse(doing, 'EOPNOTSUPP', 'the device runs no programs itself');
    const modes = this.#xdp.get(ifindex) ?? new Map<XdpMode, Program>();
    const other = mode === 'native' ? 'generic' : 'native';
    if (prog_fd !== undefined && modes.has(other)) {
      throw refuse(doing, 'EEXIST', 'native and generic XDP can not be active at the same time');
    }
    const old = modes.get(mode);
    if (this.#linked(ifindex)) throw refuse(doing, 'EBUSY', 'a link holds the XDP program of the device');
    if (expected === 'none' && old) throw refuse(doing, 'EBUSY', 'a program is attached already');
    if (expected !== undefined && expected !== 'none' && this.#program(expected, doing, ['xdp']) !== old) {
      throw refuse(doing, 'EEXIST', 'the active program is not the expected one');
    }
    if (program !== undefined) modes.set(mode, program.hold());
    else modes.delete(mode);
    old?.release();
    this.#xdp.set(ifindex, modes);
  };

  qdisc_list: NetCommands['qdisc_list'] = (attr = {}) =>
    [...this.#qdiscs]
      .filter(([ifindex]) => attr.ifindex === undefined || attr.ifindex === ifindex)
      .map(([ifindex, kind]): Qdisc => ({ ifindex, kind, handle: 0xffff_0000, parent: TC_PARENTS.clsact }));

  qdisc_add: NetCommands['qdisc_add'] = ({ ifindex, kind }) => {
    const doing = `giving network device ${ifindex} a ${kind} queueing discipline`;
    this.#device(ifindex, doing);
    if (this.#qdiscs.has(ifindex)) throw refuse(doing, 'EEXIST', 'Exclusivity flag on, cannot modify');
    this.#qdiscs.set(ifindex, kind);
  };

  qdisc_delete: NetCommands['qdisc_delete'] = ({ ifindex, kind }) => {
    const doing = `removing ${kind} from network device ${ifindex}`;
    this.#device(ifindex, doing);
    if (this.#qdiscs.get(ifindex) !== kind) throw refuse(doing, 'EINVAL', 'Cannot find specified qdisc');
    this.#qdiscs.delete(ifindex);
    this.#dropFilters((filter) => filter.ifindex === ifindex);
  };

  filter_list: NetCommands['filter_list'] = (attr) => {
    const doing = `listing the classifiers of network device ${attr.ifindex}`;
    this.#device(attr.ifindex, doing);
    return this.#filters.map(({ filter }) => filter).filter((filter) => sameFilters(filter, attr));
  };

  filter_add: NetCommands['filter_add'] = (attr) => {
    const doing = `putting program fd ${attr.prog_fd} as classifier at ${String(attr.parent)} of network device ${attr.ifindex}`;
    this.#device(attr.ifindex, doing);
    if (!this.#qdiscs.has(attr.ifindex)) {
      throw refuse(doing, 'EINVAL', 'the device has no such queueing discipline; add clsact first');
    }
    const program = this.#program(attr.prog_fd, doing, CLASSIFIER_TYPES);
    const others = this.#filters.map(({ filter }) => filter).filter((filter) => sameFilters(filter, attr));
    const priority = attr.priority || Math.min(FIRST_PRIORITY, ...others.map(({ priority: p }) => p - 1));
    const same = others.filter((filter) => filter.priority === priority);
    let handle = attr.handle ?? 0;
    // The lowest that is free.
    if (handle === 0)
      do handle += 1;
      while (same.some((filter) => filter.handle === handle));
    if (same.some((filter) => filter.handle === handle)) {
      if (attr.mode !== 'replace') throw refuse(doing, 'EEXIST', 'Filter already exists');
      this.#dropFilters(
        (filter) => sameFilters(filter, attr) && filter.priority === priority && filter.handle === handle,
      );
    }
    const { protocol = 'all', name, direct_action = true, classid = 0, chain = 0 } = attr;
    const filter: Filter = {
      ifindex: attr.ifindex,
      kind: 'bpf',
      parent: parentOf(attr),
      priority,
      protocol: typeof protocol === 'number' ? protocol : ETH_PROTOCOLS[protocol],
      chain,
      handle,
      bpf: {
        prog_id: program.id,
        name: name ?? program.facts.name,
        tag: program.facts.tag.slice(),
        direct_action,
        classid,
        offloaded: false,
      },
    };
    this.#filters.push({ filter, program: program.hold() });
    this.#filters.sort((a, b) => a.filter.priority - b.filter.priority || a.filter.handle - b.filter.handle);
    return filter;
  };

  filter_delete: NetCommands['filter_delete'] = (attr) => {
    const doing = `removing a classifier from network device ${attr.ifindex}`;
    this.#device(attr.ifindex, doing);
    const dropped = this.#dropFilters(
      (filter) =>
        sameFilters(filter, attr) &&
        (attr.priority === undefined || attr.priority === filter.priority) &&
        (attr.handle === undefined || attr.handle === filter.handle),
    );
    if (dropped === 0) throw refuse(doing, 'ENOENT', 'Filter with specified priority/protocol not found');
  };

  route_list: NetCommands['route_list'] = (attr = {}) =>
    this.#routes
      .map(({ route }) => route)
      .filter(({ family }) => attr.family === undefined || attr.family === family);

  route_add: NetCommands['route_add'] = (attr) => {
    const doing = 'adding a route';
    if (attr.ifindex !== undefined) this.#device(attr.ifindex, doing);
    if (this.#routes.some(({ route }) => sameRoute(route, attr))) {
      if (attr.mode !== 'replace') throw refuse(doing, 'EEXIST', 'there is one');
      this.route_delete(attr);
    }
    if (attr.bpf === undefined && attr.seg6local === undefined) {
      throw refuse(doing, 'EOPNOTSUPP', 'the embedded kernel records only routes that run programs');
    }
    const points = POINTS.flatMap((point) => {
      const given = attr.bpf?.[point];
      return given
        ? [{ point, name: given.name, program: this.#program(given.prog_fd, doing, [LWT_TYPES[point]]) }]
        : [];
    });
    const programs = points.map(({ program }) => program);
    if (attr.seg6local) programs.push(this.#program(attr.seg6local.prog_fd, doing, ['lwt_seg6local']));
    for (const program of programs) program.hold();
    const route: Route = {
      family: attr.to.address.length === 4 ? ADDRESS_FAMILIES.inet : ADDRESS_FAMILIES.inet6,
      to: attr.to,
      ifindex: attr.ifindex ?? 0,
      table: attr.table ?? RT_TABLE_MAIN,
      metric: attr.metric ?? 0,
      ...(points.length > 0 && { bpf: Object.fromEntries(points.map(({ point, name }) => [point, name])) }),
    };
    this.#routes.push({ route, programs });
  };

  route_delete: NetCommands['route_delete'] = (attr) => {
    const found = this.#routes.find(({ route }) => sameRoute(route, attr));
    if (!found) throw refuse('removing a route', 'ESRCH', 'there is none such');
    this.#routes = this.#routes.filter((route) => route !== found);
    for (const program of found.programs) program.release();
  };

  close(): void {
    for (const modes of this.#xdp.values()) for (const program of modes.values()) program.release();
    this.#xdp.clear();
    this.#dropFilters(() => true);
    for (const { programs } of this.#routes.splice(0)) for (const program of programs) program.release();
  }

  #describe({ ifindex, name, address }: Device): NetDevice {
    const loopback = ifindex === LOOPBACK.ifindex ? DEVICE_FLAGS.IFF_LOOPBACK : 0;
    const modes = this.#xdp.get(ifindex);
    const linked = this.#linked(ifindex);
    return {
      ifindex,
      name,
      flags: DEVICE_FLAGS.IFF_UP | DEVICE_FLAGS.IFF_RUNNING | loopback,
      mtu: this.#devices.get(ifindex)?.mtu ?? 0,
      address,
      xdp: xdpModeNames.flatMap((mode) => {
        const program = modes?.get(mode) ?? (mode === 'native' ? linked : undefined);
        return program ? [{ mode, prog_id: program.id }] : [];
      }),
    };
  }

  /** Whether a device was given an XDP program here. */
  hasXdp(ifindex: number): boolean {
    return (this.#xdp.get(ifindex)?.size ?? 0) > 0;
  }

  #linked(ifindex: number): Program | undefined {
    return this.#state.hooks.at(`device ${ifindex}`, 'xdp').entries[0]?.program;
  }

  #device(ifindex: number, doing: string): void {
    if (this.#devices.get(ifindex) === undefined) throw refuse(doing, 'ENODEV', 'there is no such device');
  }

  #program(fd: Fd, doing: string, types: readonly ProgType[]): Program {
    const object = this.#state.objectAt(fd);
    if (object === undefined) throw refuse(doing, 'EBADF', `file descriptor ${fd} is not open`);
    if (!(object instanceof Program)) {
      throw refuse(doing, 'EINVAL', `file descriptor ${fd} is a ${object.kind}, not a program`);
    }
    if (!types.includes(object.facts.type)) {
      throw refuse(doing, 'EINVAL', `the program is of type ${object.facts.type}, not ${types.join(' or ')}`);
    }
    return object;
  }

  #dropFilters(which: (filter: Filter) => boolean): number {
    const dropped = this.#filters.filter(({ filter }) => which(filter));
    this.#filters = this.#filters.filter(({ filter }) => !which(filter));
    for (const { program } of dropped) program.release();
    return dropped.length;
  }
}

const parentOf = ({ parent }: FilterPlace): number =>
  typeof parent === 'number' ? parent : TC_PARENTS[parent];

const sameFilters = (filter: Filter, attr: FilterAttr | FilterPlace): boolean =>
  filter.ifindex === attr.ifindex && filter.parent === parentOf(attr) && filter.chain === (attr.chain ?? 0);

const samePrefix = (a: Prefix, b: Prefix): boolean =>
  a.length === b.length &&
  a.address.length === b.address.length &&
  a.address.every((byte, i) => byte === b.address[i]);

const sameRoute = (
  route: Route,
  attr: { readonly to: Prefix; readonly table?: number; readonly metric?: number },
): boolean =>
  samePrefix(route.to, attr.to) &&
  route.table === (attr.table ?? RT_TABLE_MAIN) &&
  (attr.metric === undefined || route.metric === attr.metric);
