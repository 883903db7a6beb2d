/** Blocking sockets, for events that Node's own don't make. */
import { createRequire } from 'node:module';

const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi');
const library = koffi.load(null);
type Call = (...args: (number | Uint8Array | null)[]) => number;
const bound = (signature: string): Call => {
  const call: Call = library.func(signature);
  return (...args) => {
    const result = call(...args);
    if (result < 0) throw new Error(`${signature}: errno ${koffi.errno()}`);
    return result;
  };
};

export const sys = {
  socket: bound('int socket(int, int, int)'),
  bind: bound('int bind(int, void *, unsigned int)'),
  connect: bound('int connect(int, void *, unsigned int)'),
  listen: bound('int listen(int, int)'),
  accept: bound('int accept(int, void *, void *)'),
  send: bound('intptr_t send(int, void *, size_t, int)'),
  sendto: bound('intptr_t sendto(int, void *, size_t, int, void *, unsigned int)'),
  recvfrom: bound('intptr_t recvfrom(int, void *, size_t, int, void *, void *)'),
  getsockname: bound('int getsockname(int, void *, void *)'),
  getpeername: bound('int getpeername(int, void *, void *)'),
  setsockopt: bound('int setsockopt(int, int, int, void *, unsigned int)'),
  getsockopt: bound('int getsockopt(int, int, int, void *, void *)'),
  close: bound('int close(int)'),
  getppid: bound('int getppid()'),
  usleep: bound('int usleep(unsigned int)'),
};

export const AF = { UNIX: 1, INET: 2, INET6: 10, PACKET: 17 } as const;
export const SOCK = { STREAM: 1, DGRAM: 2, RAW: 3 } as const;
export const SOL_SOCKET = 1;

/** Bytes at an address that stays. */
const room = (bytes: Uint8Array): Uint8Array => {
  const copy = new Uint8Array(new ArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
};

export function inet(port: number, address: readonly number[] = [127, 0, 0, 1]): Uint8Array {
  return room(Uint8Array.of(AF.INET, 0, port >> 8, port & 255, ...address, 0, 0, 0, 0, 0, 0, 0, 0));
}

export function inet6(port: number): Uint8Array {
  const bytes = new Uint8Array(28);
  bytes.set([AF.INET6, 0, port >> 8, port & 255]);
  bytes[23] = 1;
  return room(bytes);
}

export function unix(path: string): Uint8Array {
  const bytes = new Uint8Array(110);
  bytes[0] = AF.UNIX;
  bytes.set(new TextEncoder().encode(path), 2);
  return room(bytes);
}

export function packet(ifindex: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF.PACKET, true);
  view.setUint16(2, 0x0003);
  view.setInt32(4, ifindex, true);
  return room(bytes);
}

const length = (size: number): Uint8Array => new Uint8Array(Uint32Array.of(size).buffer);

/** The port that a socket was given. */
export function portOf(fd: number): number {
  const name = new Uint8Array(new ArrayBuffer(128));
  sys.getsockname(fd, name, length(128));
  return (name[2]! << 8) | name[3]!;
}

export function peerOf(fd: number): void {
  sys.getpeername(fd, new Uint8Array(new ArrayBuffer(128)), length(128));
}

export function receive(fd: number): void {
  const bytes = new Uint8Array(new ArrayBuffer(2048));
  sys.recvfrom(fd, bytes, bytes.length, 0, new Uint8Array(new ArrayBuffer(128)), length(128));
}

export function option(fd: number, level: number, name: number, value: Uint8Array): void {
  sys.setsockopt(fd, level, name, room(value), value.length);
}

export function readOption(fd: number, level: number, name: number): void {
  sys.getsockopt(fd, level, name, new Uint8Array(new ArrayBuffer(64)), length(64));
}

/** A datagram from one new socket to another, with an answer to every question that hooks hear. */
export function datagram(
  family: 'inet' | 'inet6' | 'unix',
  paths: readonly [string, string] = ['', ''],
): void {
  const domain = { inet: AF.INET, inet6: AF.INET6, unix: AF.UNIX }[family];
  const to = sys.socket(domain, SOCK.DGRAM, 0);
  const from = sys.socket(domain, SOCK.DGRAM, 0);
  const bytes = room(Uint8Array.of(1, 2, 3, 4));
  if (family === 'unix') {
    const [there, here] = paths.map(unix);
    sys.bind(to, there!, there!.length);
    sys.bind(from, here!, here!.length);
    sys.sendto(from, bytes, 4, 0, there!, there!.length);
    receive(to);
    sys.connect(from, there!, there!.length);
  } else {
    const any = family === 'inet' ? inet(0) : inet6(0);
    sys.bind(to, any, any.length);
    const there = family === 'inet' ? inet(portOf(to)) : inet6(portOf(to));
    sys.sendto(from, bytes, 4, 0, there, there.length);
    receive(to);
    sys.connect(from, there, there.length);
  }
  peerOf(from);
  portOf(from);
  option(from, SOL_SOCKET, 8, Uint8Array.of(0, 64, 0, 0));
  readOption(from, SOL_SOCKET, 8);
  sys.close(from);
  sys.close(to);
}

/** Two ends of a TCP connection over loopback. */
export function connection(): { readonly client: number; readonly server: number; close(): void } {
  const listener = sys.socket(AF.INET, SOCK.STREAM, 0);
  const any = inet(0);
  sys.bind(listener, any, any.length);
  sys.listen(listener, 1);
  const there = inet(portOf(listener));
  const client = sys.socket(AF.INET, SOCK.STREAM, 0);
  sys.connect(client, there, there.length);
  const server = sys.accept(listener, null, null);
  sys.close(listener);
  return {
    client,
    server,
    close: () => {
      sys.close(client);
      sys.close(server);
    },
  };
}

/** An Ethernet frame of IPv4 and UDP. */
export function udpFrame(mac: Uint8Array, destination: readonly number[]): Uint8Array {
  const frame = new Uint8Array(60);
  frame.set(mac, 0);
  frame.set([2, 0, 0, 0, 0, 1, 8, 0], 6);
  const source = [10, 9, 0, 2];
  frame.set([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, ...source, ...destination], 14);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += (frame[at]! << 8) | frame[at + 1]!;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
  frame.set([sum >> 8, sum & 255], 24);
  frame.set([0x10, 0, 0x10, 1, 0, 26, 0, 0], 34);
  return room(frame);
}
