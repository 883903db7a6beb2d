/** Where packets would go. @see net/core/filter.c, bpf_ipv4_fib_lookup, bpf_skb_check_mtu and behind them */
import { TC_ACTIONS } from '../../../sys/actions.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import type { Addr } from '../../memory/index.ts';
import type { Route } from '../../net/routes.ts';
import { SkBuff } from '../../net/sk-buff.ts';
import { packetAt } from './packet.ts';
import { addr, err, s32, u32 } from './values.ts';

/** `struct bpf_fib_lookup`: offsets in bytes. */
const FIB = {
  family: 0,
  mtu: 6,
  ifindex: 8,
  metric: 12,
  source: 16,
  destination: 32,
  vlan: 48,
  table: 48,
  smac: 52,
  dmac: 58,
  size: 64,
} as const;
const DIRECT = 1n;
const OUTPUT = 2n;
const SKIP_NEIGHBOUR = 4n;
const TABLE = 8n;
const SOURCE = 16n;
const MARK = 32n;
const AF_INET = 2;
const AF_INET6 = 10;

/** `BPF_FIB_LKUP_RET_*`. */
const RESULT = {
  success: 0,
  blackhole: 1,
  unreachable: 2,
  prohibit: 3,
  notForwarded: 4,
  forwardingDisabled: 5,
  noNeighbour: 7,
  tooLong: 8,
} as const;

const REFUSED: Readonly<Record<Exclude<NonNullable<Route['type']>, 'unicast'>, number>> = {
  blackhole: RESULT.blackhole,
  unreachable: RESULT.unreachable,
  prohibit: RESULT.prohibit,
  local: RESULT.notForwarded,
};

export const fib_lookup: HelperImpl = (run, _context, params, length, flags) => {
  const { memory } = run.machine;
  const at = addr(params);
  if (u32(length) < FIB.size) return err('EINVAL');
  if (flags & ~(DIRECT | OUTPUT | SKIP_NEIGHBOUR | TABLE | SOURCE | MARK)) return err('EINVAL');
  const family = memory.u8[at]!;
  if (family !== AF_INET && family !== AF_INET6) return err('EAFNOSUPPORT');
  return lookUp(run, at, family === AF_INET ? 4 : 16, flags);
};

function lookUp(run: HelperRun, at: Addr, bytes: 4 | 16, flags: bigint): number {
  const { devices, routes } = run.kernel;
  const { memory } = run.machine;
  if (!devices.get(memory.readU32(at + FIB.ifindex))) return err('ENODEV');
  if (!routes.forwarding) return RESULT.forwardingDisabled;
  const address = (offset: number) => memory.read((at + offset) as Addr, bytes);
  const table = flags & DIRECT && flags & TABLE ? memory.readU32(at + FIB.table) : undefined;
  const destination = address(FIB.destination);
  const route = table ? routes.find(destination, table) : routes.find(destination);
  // A table of IPv4 without a route says so in another way than one of IPv6.
  if (!route) return bytes === 4 ? RESULT.unreachable : RESULT.notForwarded;
  if (route.type !== undefined && route.type !== 'unicast') return REFUSED[route.type];
  const device = devices.get(route.ifindex);
  if (!device) return err('ENODEV');
  const total = memory.view.getUint16(at + FIB.mtu, true);
  memory.writeU32(at + FIB.metric, route.metric ?? 0);
  memory.writeU32(at + FIB.ifindex, device.ifindex);
  if (total > device.mtu) {
    memory.view.setUint16(at + FIB.mtu, device.mtu, true);
    return RESULT.tooLong;
  }
  if (flags & SOURCE && route.source) memory.write((at + FIB.source) as Addr, route.source);
  const next = route.gateway ?? destination;
  memory.write((at + FIB.destination) as Addr, next);
  if ((flags & SKIP_NEIGHBOUR) === 0n) {
    const neighbour = routes.neighbour(device.ifindex, next);
    if (!neighbour) return RESULT.noNeighbour;
    memory.write((at + FIB.dmac) as Addr, neighbour.hardware);
    memory.write((at + FIB.smac) as Addr, device.address);
  }
  memory.writeU32(at + FIB.vlan, 0);
  if (total > 0) memory.view.setUint16(at + FIB.mtu, device.mtu, true);
  return RESULT.success;
}

/** Bytes of the link layer header of every device here. */
const LINK_HEADER = 14;
/** `BPF_MTU_CHK_SEGS`, and what is answered for a packet that is too long. */
const SEGMENTS = 1n;
const FRAGMENT_NEEDED = 1;

export const check_mtu: HelperImpl = (run, context, ifindex, length, difference, flags) => {
  const { memory } = run.machine;
  const packet = packetAt(run, context);
  const onSkb = packet instanceof SkBuff;
  const given = memory.readU32(addr(length));
  if (flags & ~(onSkb ? SEGMENTS : 0n)) return err('EINVAL');
  if (flags & SEGMENTS && (s32(difference) !== 0 || given !== 0)) return err('EINVAL');
  const { devices } = run.kernel;
  const device = u32(ifindex) === 0 ? devices.at(packet.device) : devices.get(u32(ifindex));
  if (!device) return err('ENODEV');
  const own = onSkb ? packet.len : packet.dataEnd - packet.data;
  const total = (given === 0 ? own : given + LINK_HEADER) + s32(difference);
  memory.writeU32(addr(length), device.mtu);
  // A packet that is to be cut in segments is let pass.
  if (total <= device.mtu + LINK_HEADER || (onSkb && packet.isGso)) return 0;
  return FRAGMENT_NEEDED;
};

/** Notes where the packet is to go; who runs the program sees to it. */
function note(run: HelperRun, ifindex: bigint, flags: bigint): number {
  const { redirect } = run.kernel;
  redirect.target = u32(ifindex);
  redirect.flags = flags;
  redirect.map = undefined;
  return TC_ACTIONS.TC_ACT_REDIRECT.id;
}

/** Marks of Linux's own in the flags of a redirect. @see include/linux/filter.h */
const NEIGHBOUR = 1n << 16n;
const PEER = 1n << 17n;
const NEXT_HOP = 1n << 18n;
/** `sizeof(struct bpf_redir_neigh)`. */
const NEXT_HOP_BYTES = 20;

export const redirect_neigh: HelperImpl = (run, ifindex, _params, length, flags) => {
  const bytes = s32(length);
  if (flags !== 0n || (bytes !== 0 && bytes < NEXT_HOP_BYTES)) return TC_ACTIONS.TC_ACT_SHOT.id;
  return note(run, ifindex, NEIGHBOUR | (bytes === 0 ? 0n : NEXT_HOP));
};

export const redirect_peer: HelperImpl = (run, ifindex, flags) =>
  flags === 0n ? note(run, ifindex, PEER) : TC_ACTIONS.TC_ACT_SHOT.id;
