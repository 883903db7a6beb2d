import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CgroupOptions } from '../../../src/loader/index.ts';
import { AF, connection, datagram, inet6, peerOf, portOf, SOCK, sys } from './sockets.ts';
import { type Case, load, measure, must, runsOf, type World } from './world.ts';

const inFolder = (world: World) => {
  const paths = ['there', 'here'].map((name) => join(world.folder, name)) as [string, string];
  for (const path of paths) rmSync(path, { force: true });
  datagram('unix', paths);
  for (const path of paths) rmSync(path, { force: true });
};

function tcp4(): void {
  const { client, close } = connection();
  peerOf(client);
  portOf(client);
  close();
}

function tcp6(): void {
  const listener = sys.socket(AF.INET6, SOCK.STREAM, 0);
  const any = inet6(0);
  sys.bind(listener, any, any.length);
  sys.listen(listener, 1);
  const there = inet6(portOf(listener));
  const client = sys.socket(AF.INET6, SOCK.STREAM, 0);
  sys.connect(client, there, there.length);
  peerOf(client);
  portOf(client);
  sys.close(client);
  sys.close(listener);
}

const EVENTS: Readonly<Record<string, readonly [event: string, fire: (world: World) => unknown]>> = {
  tcp4: ['a TCP connection in the group', tcp4],
  tcp6: ['a TCP connection over IPv6 in the group', tcp6],
  udp4: ['a UDP datagram in the group', () => datagram('inet')],
  udp6: ['a UDP datagram over IPv6 in the group', () => datagram('inet6')],
  unix: ['a datagram over a Unix socket in the group', inFolder],
  sysctl: ['reading /proc/sys in the group', () => readFileSync('/proc/sys/net/ipv4/ip_forward')],
  device: ['opening /dev/null in the group', () => closeSync(openSync('/dev/null', 'r'))],
};

const HOOKS: readonly (readonly [name: string, program: string, event: keyof typeof EVENTS])[] = [
  ['cgroup_inet_ingress', 'count_skb_ingress', 'udp4'],
  ['cgroup_inet_egress', 'count_skb_egress', 'udp4'],
  ['cgroup_inet_sock_create', 'count_sock_create', 'udp4'],
  ['cgroup_inet_sock_release', 'count_sock_release', 'udp4'],
  ['cgroup_inet4_post_bind', 'count_post_bind4', 'udp4'],
  ['cgroup_inet6_post_bind', 'count_post_bind6', 'udp6'],
  ['cgroup_inet4_bind', 'count_bind4', 'tcp4'],
  ['cgroup_inet6_bind', 'count_bind6', 'tcp6'],
  ['cgroup_inet4_connect', 'count_connect4', 'tcp4'],
  ['cgroup_inet6_connect', 'count_connect6', 'tcp6'],
  ['cgroup_unix_connect', 'count_connect_unix', 'unix'],
  ['cgroup_udp4_sendmsg', 'count_sendmsg4', 'udp4'],
  ['cgroup_udp6_sendmsg', 'count_sendmsg6', 'udp6'],
  ['cgroup_unix_sendmsg', 'count_sendmsg_unix', 'unix'],
  ['cgroup_udp4_recvmsg', 'count_recvmsg4', 'udp4'],
  ['cgroup_udp6_recvmsg', 'count_recvmsg6', 'udp6'],
  ['cgroup_unix_recvmsg', 'count_recvmsg_unix', 'unix'],
  ['cgroup_inet4_getpeername', 'count_getpeername4', 'tcp4'],
  ['cgroup_inet6_getpeername', 'count_getpeername6', 'tcp6'],
  ['cgroup_unix_getpeername', 'count_getpeername_unix', 'unix'],
  ['cgroup_inet4_getsockname', 'count_getsockname4', 'tcp4'],
  ['cgroup_inet6_getsockname', 'count_getsockname6', 'tcp6'],
  ['cgroup_unix_getsockname', 'count_getsockname_unix', 'unix'],
  ['cgroup_getsockopt', 'count_getsockopt', 'udp4'],
  ['cgroup_setsockopt', 'count_setsockopt', 'udp4'],
  ['cgroup_sysctl', 'count_sysctl', 'sysctl'],
  ['cgroup_device', 'count_device', 'device'],
  ['cgroup_sock_ops', 'count_sockops', 'tcp4'],
];

const hook = (
  name: string,
  program: string,
  event: keyof typeof EVENTS,
  road: string,
  options: CgroupOptions,
): Case => {
  const [text, fire] = EVENTS[event]!;
  return {
    group: 'control group',
    name,
    road,
    event: text,
    run: (world) =>
      measure(world, {
        program,
        attach: (loaded) => loaded.attachCgroup(world.cgroup, options),
        fire: () => fire(world),
      }),
  };
};

export const CGROUP: readonly Case[] = [
  ...HOOKS.map(([name, program, event]) => hook(name, program, event, 'link', {})),
  hook('cgroup_inet4_connect', 'count_connect4', 'tcp4', 'PROG_ATTACH, BPF_F_ALLOW_MULTI', { mode: 'multi' }),
  hook('cgroup_inet4_connect', 'count_connect4', 'tcp4', 'PROG_ATTACH, BPF_F_ALLOW_OVERRIDE', {
    mode: 'override',
  }),
  hook('cgroup_inet4_connect', 'count_connect4', 'tcp4', 'PROG_ATTACH', { mode: 'exclusive' }),
  {
    group: 'control group',
    name: 'cgroup_inet4_connect, one before another',
    road: 'link, BPF_F_BEFORE; PROG_ATTACH, BPF_F_REPLACE',
    event: EVENTS.tcp4![0],
    run: (world) => {
      using one = load(world, 'count_connect4');
      using two = load(world, 'count_connect4');
      using three = load(world, 'count_connect4');
      const [first, second, third] = [one, two, three].map((object) => object.program('count_connect4'));
      const a = first!.attachCgroup(world.cgroup);
      const b = second!.attachCgroup(world.cgroup, { before: a });
      const fd = world.kernel.files.open(world.cgroup);
      const order = world.kernel.bpf.prog_query({ target_fd: fd, attach_type: 'cgroup_inet4_connect' });
      world.kernel.closeFd(fd);
      must(order.prog_ids[0] === second!.info().id, 'the second does not stand before the first');
      b.update(third!);
      tcp4();
      must(runsOf(two) === 0 && runsOf(one) === 1, 'what was replaced still runs');
      const fired = runsOf(three);
      b.close();
      a.close();
      tcp4();
      return { before: 0, fired, after: runsOf(three) - fired };
    },
  },
  {
    group: 'control group',
    name: 'a group below',
    road: 'link',
    event: EVENTS.tcp4![0],
    run: async (world) => {
      const below = join(world.cgroup, 'below');
      mkdirSync(below);
      try {
        using object = load(world, 'count_connect4');
        using _link = object.program('count_connect4').attachCgroup(below);
        tcp4();
        must(runsOf(object) === 0, 'it runs in the group above');
      } finally {
        rmdirSync(below);
      }
      return { before: 0, fired: 1, after: 0, note: 'not run in the group above' };
    },
  },
  {
    group: 'control group',
    name: 'lsm_cgroup',
    road: 'link',
    event: 'making a socket in the group',
    config: 'CONFIG_BPF_LSM',
    forbidden: 'EPERM',
    run: (world) =>
      measure(world, {
        program: 'count_lsm_cgroup',
        attach: (program) => program.attachCgroup(world.cgroup),
        fire: () => datagram('inet'),
      }),
  },
];
