/**
 * What reaches a network hook by rtnetlink(7) and not by bpf(2): devices and their XDP programs, queueing disciplines and
 * classifiers, routes. Names are of what is done to what; constants are in tables.
 *
 * @see include/uapi/linux/if_link.h, rtnetlink.h, pkt_cls.h, lwtunnel.h
 */
import type { Fd } from './kernel.ts';

/** Where XDP programs run: in the network stack, in the driver, in the hardware. */
export const XDP_MODES = {
  /** `XDP_FLAGS_SKB_MODE`, `XDP_ATTACHED_SKB` */
  generic: { flag: 1 << 1, attached: 2 },
  /** `XDP_FLAGS_DRV_MODE`, `XDP_ATTACHED_DRV` */
  native: { flag: 1 << 2, attached: 1 },
  /** `XDP_FLAGS_HW_MODE`, `XDP_ATTACHED_HW` */
  offload: { flag: 1 << 3, attached: 3 },
} as const;
export type XdpMode = keyof typeof XDP_MODES;
export const xdpModeNames = Object.keys(XDP_MODES) as readonly XdpMode[];

/** Bits of a device's flags. @see include/uapi/linux/if.h */
export const DEVICE_FLAGS = {
  IFF_UP: 1 << 0,
  IFF_BROADCAST: 1 << 1,
  IFF_LOOPBACK: 1 << 3,
  IFF_POINTOPOINT: 1 << 4,
  IFF_RUNNING: 1 << 6,
  IFF_NOARP: 1 << 7,
  IFF_PROMISC: 1 << 8,
  IFF_MULTICAST: 1 << 12,
} as const;

/** Where a classifier hangs: the two sides of `clsact`, `ingress` of the discipline of that name. */
export const TC_PARENTS = { ingress: 0xffff_fff2, egress: 0xffff_fff3, clsact: 0xffff_fff1 } as const;
export type TcParent = keyof typeof TC_PARENTS;

/** Protocols that a classifier may be limited to. @see include/uapi/linux/if_ether.h */
export const ETH_PROTOCOLS = { all: 0x0003, ip: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;

/** What iproute2 calls the points of a route where `encap bpf` runs programs. @see enum LWT_BPF_* */
export const LWT_POINTS = { in: 1, out: 2, xmit: 3 } as const;
export type LwtPoint = keyof typeof LWT_POINTS;

/** `struct sockaddr` families that routes and addresses are of. */
export const ADDRESS_FAMILIES = { inet: 2, inet6: 10 } as const;

/** A network device. */
export interface NetDevice {
  readonly ifindex: number;
  readonly name: string;
  /** Bits of {@link DEVICE_FLAGS}. */
  readonly flags: number;
  readonly mtu: number;
  /** Of its link layer. */
  readonly address: Uint8Array;
  /** What made it (`veth`, `netkit`, `bridge`); absent for hardware. */
  readonly kind?: string;
  /** The device at its other end, or below it; its index is of {@link peer_netns_id}'s namespace where that is given. */
  readonly peer?: number;
  readonly peer_netns_id?: number;
  /** The device that it is a port of. */
  readonly master?: number;
  /** The XDP programs that run on it: one, or one of each mode. */
  readonly xdp: readonly { readonly mode: XdpMode; readonly prog_id: number }[];
}

export interface XdpSetAttr {
  readonly ifindex: number;
  /** Absent: what is attached is removed. */
  readonly prog_fd?: Fd;
  /** Absent: the driver's where it can, else the stack's. */
  readonly mode?: XdpMode;
  /** Fails unless no program (`none`) or this one is attached. */
  readonly expected?: Fd | 'none';
}

/** A queueing discipline. */
export interface Qdisc {
  readonly ifindex: number;
  readonly kind: string;
  readonly handle: number;
  readonly parent: number;
}

/** Which classifiers. */
export interface FilterPlace {
  readonly ifindex: number;
  /** Or a number: another discipline's class (`1:2` is 0x00010002). */
  readonly parent: TcParent | number;
  readonly chain?: number;
}

export interface FilterAttr extends FilterPlace {
  /** Lower numbers run first; 0 lets the kernel choose. */
  readonly priority?: number;
  /** Default `all`; or a number. */
  readonly protocol?: keyof typeof ETH_PROTOCOLS | number;
  readonly handle?: number;
}

export interface FilterAddAttr extends FilterAttr {
  readonly prog_fd: Fd;
  /** What it is listed as. */
  readonly name?: string;
  /** The program's answer is the action (`da`); default true. */
  readonly direct_action?: boolean;
  /** Of packets that it matches, without direct action. */
  readonly classid?: number;
  /** `create` fails where there is one, `replace` does not; default `create`. */
  readonly mode?: 'create' | 'replace';
}

/** A classifier. */
export interface Filter {
  readonly ifindex: number;
  readonly kind: string;
  readonly parent: number;
  readonly priority: number;
  readonly protocol: number;
  readonly chain: number;
  readonly handle: number;
  /** Of `bpf` classifiers. */
  readonly bpf?: {
    readonly prog_id: number;
    readonly name: string;
    readonly tag: Uint8Array;
    readonly direct_action: boolean;
    readonly classid: number;
    readonly offloaded: boolean;
  };
}

/** An address of IPv4 or IPv6 in bytes, and how many bits of it count. */
export interface Prefix {
  readonly address: Uint8Array;
  readonly length: number;
}

export interface RouteAttr {
  /** `0.0.0.0/0` is the default route. */
  readonly to: Prefix;
  readonly ifindex?: number;
  readonly via?: Uint8Array;
  /** Default `main`, 254. */
  readonly table?: number;
  readonly metric?: number;
}

export interface RouteAddAttr extends RouteAttr {
  /** Programs that run on the route's packets. */
  readonly bpf?: {
    readonly [P in LwtPoint]?: { readonly prog_fd: Fd; readonly name: string };
  } & {
    /** Bytes that `xmit` may put before the packet. */
    readonly headroom?: number;
  };
  /** A segment routing endpoint that runs a program (`End.BPF`); IPv6 only. */
  readonly seg6local?: { readonly prog_fd: Fd; readonly name: string };
  readonly mode?: 'create' | 'replace';
}

export interface Route {
  readonly family: number;
  readonly to: Prefix;
  readonly ifindex: number;
  readonly table: number;
  readonly metric: number;
  /** Names of the programs that run on its packets, by point. */
  readonly bpf?: { readonly [P in LwtPoint]?: string };
}

export interface DeviceAddAttr {
  readonly name: string;
  /** `veth`, `dummy`, `netkit`, `ifb`, `bridge`, … */
  readonly kind: string;
  /** The name of the other end, of kinds that have one. */
  readonly peer?: string;
  /** Namespace that the other end goes to. */
  readonly peer_netns_fd?: Fd;
  /** Of netkit: packets of layer 2 or 3; default 3. */
  readonly netkit_mode?: 'l2' | 'l3';
}

export interface DeviceSetAttr {
  readonly ifindex: number;
  readonly up?: boolean;
  readonly mtu?: number;
  readonly netns_fd?: Fd;
}

/** rtnetlink(7). Failures throw an `InputError` with the errno and the kernel's own words where it has some. */
export interface NetCommands {
  device_list(): readonly NetDevice[];
  /** `undefined` where there is none. */
  device_get(which: { readonly name: string } | { readonly ifindex: number }): NetDevice | undefined;
  device_add(attr: DeviceAddAttr): void;
  device_set(attr: DeviceSetAttr): void;
  device_delete(attr: { readonly ifindex: number }): void;
  address_add(attr: { readonly ifindex: number; readonly prefix: Prefix }): void;
  xdp_set(attr: XdpSetAttr): void;
  qdisc_list(attr?: { readonly ifindex?: number }): readonly Qdisc[];
  /** `clsact` and `ingress` are where classifiers without a queue hang. */
  qdisc_add(attr: { readonly ifindex: number; readonly kind: 'clsact' | 'ingress' }): void;
  qdisc_delete(attr: { readonly ifindex: number; readonly kind: 'clsact' | 'ingress' }): void;
  filter_list(attr: FilterPlace): readonly Filter[];
  /** @returns the classifier as the kernel has it now, with the handle and priority that it chose */
  filter_add(attr: FilterAddAttr): Filter;
  /** Removes one classifier, or without a handle all of the priority, or without a priority all. */
  filter_delete(attr: FilterAttr): void;
  route_list(attr?: { readonly family?: number }): readonly Route[];
  route_add(attr: RouteAddAttr): void;
  route_delete(attr: RouteAttr): void;
}
