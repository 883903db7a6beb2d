/** What the cases of the matrix share: a kernel, a pair of devices, control groups, and the measuring of one attachment. */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { openLinux } from '../../../src/linux/index.ts';
import {
  type Link,
  type LoadedObject,
  type LoadedProgram,
  type LoadOptions,
  loadObject,
  type ObjectSpec,
  parseObject,
} from '../../../src/loader/index.ts';
import type { Kernel, NetDevice } from '../../../src/sys/index.ts';
import { AF, packet, SOCK, sys, udpFrame } from './sockets.ts';

const OBJECTS = join(import.meta.dirname, '../objects');
/** The program that user probes are set in. */
export const TARGET = join(OBJECTS, 'target');

/** How a case went. */
export interface Outcome {
  /** Runs between attaching and the event. */
  readonly before: number;
  /** Runs at the event. */
  readonly fired: number;
  /** Runs at the same event after detaching. */
  readonly after: number;
  /** What more was seen, checked by the case itself. */
  readonly note?: string;
}

export interface Case {
  readonly name: string;
  readonly group:
    | 'network'
    | 'control group'
    | 'socket'
    | 'tracing'
    | 'user space'
    | 'iterator'
    | 'struct_ops';
  /** How it reaches the kernel. */
  readonly road: string;
  readonly event: string;
  /** Configuration that the kernel needs for it. */
  readonly config?: string;
  /** The first Linux that has it. */
  readonly since?: string;
  /** Kernels that are locked down refuse it with this. */
  readonly forbidden?: string;
  readonly run: (world: World) => Promise<Outcome> | Outcome;
}

export interface World {
  readonly kernel: Kernel;
  /** Frames that are sent from {@link peer} arrive at it. */
  readonly device: NetDevice;
  readonly peer: NetDevice;
  /** Its process is in it. */
  readonly cgroup: string;
  /** A folder of the case's own. */
  readonly folder: string;
  /** Sends a frame of UDP to an address, from the peer to the device. */
  frame(destination?: readonly number[]): void;
}

export function spec(object: string): ObjectSpec {
  return parseObject(readFileSync(join(OBJECTS, `${object}.o`)), `${object}.o`);
}

/** Loads one program of an object. */
export function load(
  world: World,
  program: string,
  options: LoadOptions = {},
  object = 'hooks',
): LoadedObject {
  const parsed = spec(object);
  parsed.variables.get('only_pid')?.set(process.pid);
  return loadObject(world.kernel, parsed, { programs: [program], maps: 'used', ...options });
}

export const runsOf = (object: LoadedObject): number =>
  Number(new DataView(object.readVariable('runs').buffer).getBigUint64(0, true));

/** Waits until the count moves, for events that the kernel delivers later; at most a while. */
export async function settle(object: LoadedObject, from: number): Promise<number> {
  for (let tries = 0; tries < 100 && runsOf(object) === from; tries++) await setTimeout(2);
  return runsOf(object) - from;
}

export interface Measurement {
  readonly program: string;
  readonly object?: string;
  readonly options?: LoadOptions;
  readonly attach: (program: LoadedProgram, object: LoadedObject) => Link;
  readonly fire: (object: LoadedObject) => unknown;
  /** More to be seen while it is attached. @throws when it isn't */
  readonly check?: (object: LoadedObject, link: Link) => string | undefined;
}

/** Attaches, fires, counts, detaches, fires again. */
export async function measure(world: World, what: Measurement): Promise<Outcome> {
  using object = load(world, what.program, what.options, what.object);
  const link = what.attach(object.program(what.program), object);
  const before = runsOf(object);
  await what.fire(object);
  const fired = await settle(object, before);
  const note = what.check?.(object, link);
  link.close();
  const closed = runsOf(object);
  await what.fire(object);
  await setTimeout(5);
  return { before, fired, after: runsOf(object) - closed, ...(note !== undefined && { note }) };
}

export function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

function cgroupRoot(): string {
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [, path, type] = line.split(' ');
    if (type === 'cgroup2' && path !== undefined) return path;
  }
  throw new Error('no cgroup v2 is mounted');
}

/** Where this process is below the root of cgroup v2. */
function ownCgroup(root: string): string {
  const line = readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .find((text) => text.startsWith('0::'));
  return join(root, line?.slice(3) ?? '/');
}

/** Makes the world, in a network namespace that must be this process's own. */
export function makeWorld(folder: string): World & Disposable {
  const kernel = openLinux();
  const { net } = kernel;
  if (
    net.device_list().some(({ name }) => name !== 'lo' && !/^(tunl|sit|ip6|gre|erspan|ip_vti)/.test(name))
  ) {
    throw new Error('this must run in a network namespace of its own');
  }
  net.device_set({ ifindex: 1, up: true });
  net.device_add({ name: 'skep0', kind: 'veth', peer: 'skep1' });
  const find = (name: string) => net.device_get({ name })!;
  for (const name of ['skep0', 'skep1']) net.device_set({ ifindex: find(name).ifindex, up: true });
  net.address_add({
    ifindex: find('skep0').ifindex,
    prefix: { address: Uint8Array.of(10, 9, 0, 1), length: 24 },
  });
  writeFileSync('/proc/sys/net/ipv4/conf/skep0/rp_filter', '0');
  writeFileSync('/proc/sys/net/ipv4/conf/all/rp_filter', '0');
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  const [device, peer] = [find('skep0'), find('skep1')];
  const raw = sys.socket(AF.PACKET, SOCK.RAW, 0);
  const to = packet(peer.ifindex);
  const root = cgroupRoot();
  const cgroup = join(root, `skep-matrix-${process.pid}`);
  const home = ownCgroup(root);
  mkdirSync(cgroup);
  writeFileSync(join(cgroup, 'cgroup.procs'), String(process.pid));
  return {
    kernel,
    device,
    peer,
    cgroup,
    folder,
    frame(destination = [10, 9, 0, 1]) {
      const frame = udpFrame(device.address, destination);
      sys.sendto(raw, frame, frame.length, 0, to, to.length);
    },
    [Symbol.dispose]() {
      sys.close(raw);
      kernel.close();
      writeFileSync(join(home, 'cgroup.procs'), String(process.pid));
      rmdirSync(cgroup);
    },
  };
}
