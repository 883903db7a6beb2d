import type { LoadedObject } from '../../../src/loader/index.ts';
import { sharedPort } from './network.ts';
import { AF, connection, inet, option, receive, SOCK, sys } from './sockets.ts';
import { type Case, load, measure, must, type Outcome, runsOf, settle, type World } from './world.ts';

const ZERO = new Uint8Array(4);

function put(world: World, object: LoadedObject, map: string, fd: number): void {
  const value = new Uint8Array(Uint32Array.of(fd).buffer);
  world.kernel.bpf.map_update_elem({ map_fd: object.map(map).fd, key: ZERO, value });
}

function say(fd: number): void {
  sys.send(fd, Uint8Array.from(new Uint8Array(new ArrayBuffer(16))), 16, 0);
}

type Side = 'client' | 'server';

/** A program of sockets in a map: attached, a connection's end put in, a message sent over it. */
function inMap(
  program: string,
  side: Side,
  road: 'link' | 'PROG_ATTACH',
  map: 'sockets' | 'socket_hash',
  companion?: string,
): Case {
  return {
    group: 'socket',
    name: `${program.replace('count_', '').replace('msg', 'sk_msg')} of a ${map === 'sockets' ? 'sockmap' : 'sockhash'}`,
    road,
    event: 'a message over a TCP connection',
    run: async (world): Promise<Outcome> => {
      const names = companion === undefined ? [program] : [program, companion];
      using object = load(world, program, { programs: names, maps: 'all' });
      const mode = road === 'link' ? 'link' : 'program';
      const links = names.map((name) => object.program(name).attachSockmap(object.map(map), { mode }));
      /** A connection of its own: sockets keep the programs that their map had when they came in. */
      const talk = async (): Promise<number> => {
        const ends = connection();
        try {
          put(world, object, map, ends[side]);
          const from = runsOf(object);
          say(ends.client);
          receive(ends.server);
          return await settle(object, from);
        } finally {
          ends.close();
        }
      };
      const fired = await talk();
      if (road === 'link') must(links[0]?.info()?.type === 'sockmap', 'it is no sockmap link');
      for (const link of links) link.close();
      return { before: 0, fired, after: await talk() };
    },
  };
}

export const SOCKETS: readonly Case[] = [
  inMap('count_msg', 'client', 'link', 'sockets'),
  inMap('count_msg', 'client', 'PROG_ATTACH', 'socket_hash'),
  inMap('count_skb_verdict', 'server', 'link', 'socket_hash'),
  inMap('count_skb_verdict', 'server', 'PROG_ATTACH', 'sockets'),
  inMap('count_stream_verdict', 'server', 'link', 'sockets'),
  inMap('count_stream_parser', 'server', 'link', 'sockets', 'count_stream_verdict'),
  {
    group: 'socket',
    name: 'socket filter',
    road: 'setsockopt SO_ATTACH_BPF',
    event: 'a UDP datagram',
    run: (world) => {
      const { fd, port } = sharedPort();
      return measure(world, {
        program: 'count_socket',
        attach: (program) => program.attachSocket(fd),
        fire: () => toPort(fd, port),
      });
    },
  },
  {
    group: 'socket',
    name: 'sk_reuseport',
    road: 'setsockopt SO_ATTACH_REUSEPORT_EBPF',
    event: 'a UDP datagram',
    run: (world) => {
      const { fd, port } = sharedPort();
      return measure(world, {
        program: 'count_reuseport',
        attach: (program) => program.attachSocket(fd),
        fire: () => toPort(fd, port),
      });
    },
  },
  {
    group: 'struct_ops',
    name: 'tcp_congestion_ops',
    road: 'link',
    event: 'a TCP connection that chooses it',
    run: (world) => congestion(world, 'linked', 'skep_linked'),
  },
  {
    group: 'struct_ops',
    name: 'tcp_congestion_ops',
    road: 'map update',
    event: 'a TCP connection that chooses it',
    run: (world) => congestion(world, 'registered', 'skep_registered'),
  },
];

function toPort(fd: number, port: number): void {
  const from = sys.socket(AF.INET, SOCK.DGRAM, 0);
  const there = inet(port);
  sys.sendto(from, new Uint8Array(new ArrayBuffer(4)), 4, 0, there, there.length);
  receive(fd);
  sys.close(from);
}

const IPPROTO_TCP = 6;
const TCP_CONGESTION = 13;

function congestion(world: World, map: string, name: string): Outcome {
  using object = load(
    world,
    'count_init',
    { programs: ['count_init', 'ssthresh', 'cong_avoid', 'undo_cwnd'], maps: 'all' },
    'congestion',
  );
  const link = object.map(map).attachStructOps();
  const before = runsOf(object);
  const choose = () => {
    const ends = connection();
    try {
      option(ends.client, IPPROTO_TCP, TCP_CONGESTION, new TextEncoder().encode(name));
    } finally {
      ends.close();
    }
  };
  choose();
  const fired = runsOf(object) - before;
  link.close();
  try {
    choose();
  } catch {
    // The kernel knows it no more.
  }
  return { before, fired, after: runsOf(object) - before - fired };
}
