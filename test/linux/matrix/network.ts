import { AF, inet, option, packet, portOf, receive, SOCK, SOL_SOCKET, sys } from './sockets.ts';
import { type Case, load, measure, must, runsOf, settle } from './world.ts';

const NET = { group: 'network', event: 'a frame through a veth pair' } as const;
/** Where routes with programs lead. */
const FAR = [10, 77, 0, 1];

export const NETWORK: readonly Case[] = [
  {
    ...NET,
    name: 'xdp',
    road: 'link',
    run: (world) =>
      measure(world, {
        program: 'count_xdp',
        attach: (program) => program.attachXdp('skep0'),
        fire: () => world.frame(),
        check: (_, link) => {
          const info = link.info();
          must(
            info?.type === 'xdp' && info.ifindex === world.device.ifindex,
            'the link names another device',
          );
          return undefined;
        },
      }),
  },
  {
    ...NET,
    name: 'xdp, in the stack',
    road: 'link, XDP_FLAGS_SKB_MODE',
    run: (world) =>
      measure(world, {
        program: 'count_xdp',
        attach: (program) => program.attachXdp(world.device.ifindex, { mode: 'generic' }),
        fire: () => world.frame(),
        check: () => {
          const { xdp } = world.kernel.net.device_get({ name: 'skep0' })!;
          must(xdp[0]?.mode === 'generic', 'the device runs it elsewhere');
          return undefined;
        },
      }),
  },
  {
    ...NET,
    name: 'xdp, replaced',
    road: 'link update',
    run: async (world) => {
      using first = load(world, 'count_xdp');
      using second = load(world, 'count_xdp');
      const link = first.program('count_xdp').attachXdp('skep0');
      link.update(second.program('count_xdp'), first.program('count_xdp'));
      world.frame();
      const fired = await settle(second, 0);
      must(runsOf(first) === 0, 'the first still runs');
      link.detach();
      world.frame();
      return { before: 0, fired, after: runsOf(second) - fired };
    },
  },
  {
    ...NET,
    name: 'xdp',
    road: 'netlink',
    run: (world) =>
      measure(world, {
        program: 'count_xdp',
        attach: (program) => program.attachXdpNetlink('skep0', { replace: 'none' }),
        fire: () => world.frame(),
      }),
  },
  {
    ...NET,
    name: 'tcx ingress',
    road: 'link',
    run: (world) =>
      measure(world, {
        program: 'count_tcx',
        attach: (program) => program.attachTcx('skep0'),
        fire: () => world.frame(),
      }),
  },
  {
    ...NET,
    name: 'tcx egress',
    road: 'link',
    run: (world) =>
      measure(world, {
        program: 'count_tcx_egress',
        attach: (program) => program.attachTcx('skep1'),
        fire: () => world.frame(),
      }),
  },
  {
    ...NET,
    name: 'tcx, one before another',
    road: 'link, BPF_F_BEFORE, revision',
    run: async (world) => {
      using dropping = load(world, 'drop_tcx');
      using counting = load(world, 'count_tcx');
      const first = dropping.program('drop_tcx').attachTcx('skep0');
      const { revision } = world.kernel.bpf.prog_query({
        target_ifindex: world.device.ifindex,
        attach_type: 'tcx_ingress',
      });
      const link = counting.program('count_tcx').attachTcx('skep0', { before: first, revision });
      world.frame();
      const fired = await settle(counting, 0);
      must((await settle(dropping, 0)) === fired, 'the second did not run after the first');
      link.close();
      world.frame();
      const after = runsOf(counting) - fired;
      const behind = counting.program('count_tcx').attachTcx('skep0', { after: first });
      world.frame();
      must(runsOf(counting) === fired + after, 'it ran behind one that drops');
      behind.close();
      first.close();
      return { before: 0, fired, after };
    },
  },
  {
    ...NET,
    name: 'cls_bpf, direct action',
    road: 'netlink',
    run: (world) =>
      measure(world, {
        program: 'count_classifier',
        attach: (program) => program.attachClassifier('skep0', { priority: 7, handle: 3 }),
        fire: () => world.frame(),
        check: () => {
          const filters = world.kernel.net.filter_list({ ifindex: world.device.ifindex, parent: 'ingress' });
          const found = filters.find(({ priority, handle }) => priority === 7 && handle === 3);
          must(found?.bpf?.direct_action === true, 'it is not listed as it was added');
          return undefined;
        },
      }),
  },
  {
    ...NET,
    name: 'netkit',
    road: 'link',
    config: 'CONFIG_NETKIT',
    run: (world) => {
      world.kernel.net.device_add({ name: 'skepnk0', kind: 'netkit', peer: 'skepnk1' });
      const device = world.kernel.net.device_get({ name: 'skepnk0' })!;
      const other = world.kernel.net.device_get({ name: 'skepnk1' })!;
      for (const { ifindex } of [device, other]) world.kernel.net.device_set({ ifindex, up: true });
      const raw = sys.socket(AF.PACKET, SOCK.RAW, 0);
      const to = packet(other.ifindex);
      const frame = new Uint8Array(new ArrayBuffer(64));
      return measure(world, {
        program: 'count_netkit',
        attach: (program) => program.attachNetkit('skepnk0'),
        fire: () => sys.sendto(raw, frame, frame.length, 0, to, to.length),
      });
    },
  },
  {
    ...NET,
    name: 'netfilter',
    road: 'link',
    config: 'CONFIG_NETFILTER_BPF_LINK',
    run: (world) =>
      measure(world, {
        program: 'count_netfilter',
        attach: (program) => program.attachNetfilter({ hook: 'pre_routing', priority: -10 }),
        fire: () => world.frame(),
      }),
  },
  {
    group: 'network',
    name: 'sk_lookup',
    road: 'link to a network namespace',
    event: 'a UDP datagram over loopback',
    run: (world) =>
      measure(world, {
        program: 'count_lookup',
        attach: (program) => program.attachNetns(),
        fire: sendDatagram,
      }),
  },
  {
    ...NET,
    name: 'flow dissector',
    road: 'link to a network namespace',
    run: async (world) => {
      using asking = load(world, 'ask_hash');
      using _link = asking.program('ask_hash').attachTcx('skep0');
      return measure(world, {
        program: 'count_dissector',
        attach: (program) => program.attachNetns(),
        fire: () => world.frame(),
      });
    },
  },
  ...(['in', 'out', 'xmit'] as const).map(
    (point): Case => ({
      group: 'network',
      name: `lwt ${point}`,
      road: 'netlink, ip route encap bpf',
      event: point === 'in' ? 'a frame that is forwarded' : 'a datagram that is sent',
      config: 'CONFIG_LWTUNNEL_BPF',
      run: (world) =>
        measure(world, {
          program: `count_lwt_${point}`,
          attach: (program) => program.attachRoute({ to: '10.77.0.0/24', device: 'skep0' }),
          fire: () => (point === 'in' ? world.frame(FAR) : sendFar()),
        }),
    }),
  ),
  {
    group: 'network',
    name: 'seg6local End.BPF',
    road: 'netlink, ip -6 route encap seg6local',
    event: 'none: the route is made and removed',
    config: 'CONFIG_IPV6_SEG6_BPF',
    run: (world) => {
      using object = load(world, 'count_seg6local');
      const link = object.program('count_seg6local').attachRoute({ to: 'fd77::/64', device: 'skep0' });
      const routes = () =>
        world.kernel.net.route_list({ family: AF.INET6 }).filter((r) => r.to.address[1] === 0x77);
      must(routes().length === 1, 'there is no such route');
      link.close();
      must(routes().length === 0, 'the route is still there');
      return { before: 0, fired: 1, after: 0, note: 'route made and removed; no packet' };
    },
  },
];

/** The far side has no way back, so that sending fails once the route is gone. */
function sendFar(): void {
  const fd = sys.socket(AF.INET, SOCK.DGRAM, 0);
  const to = inet(4097, FAR);
  try {
    sys.sendto(fd, new Uint8Array(new ArrayBuffer(4)), 4, 0, to, to.length);
  } catch {
    // Unreachable.
  } finally {
    sys.close(fd);
  }
}

function sendDatagram(): void {
  const to = sys.socket(AF.INET, SOCK.DGRAM, 0);
  const any = inet(0);
  sys.bind(to, any, any.length);
  const there = inet(portOf(to));
  const from = sys.socket(AF.INET, SOCK.DGRAM, 0);
  sys.sendto(from, new Uint8Array(new ArrayBuffer(4)), 4, 0, there, there.length);
  receive(to);
  sys.close(from);
  sys.close(to);
}

/** A socket that shares its port. */
export function sharedPort(): { readonly fd: number; readonly port: number } {
  const fd = sys.socket(AF.INET, SOCK.DGRAM, 0);
  option(fd, SOL_SOCKET, 15, Uint8Array.of(1, 0, 0, 0));
  const any = inet(0);
  sys.bind(fd, any, any.length);
  return { fd, port: portOf(fd) };
}
