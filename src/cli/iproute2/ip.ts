import { InputError } from '../../base/error.ts';
import { formatIpv4, formatIpv6, parsePrefix } from '../../loader/index.ts';
import {
  ADDRESS_FAMILIES,
  DEVICE_FLAGS,
  type Fd,
  LWT_POINTS,
  type LwtPoint,
  type NetDevice,
  type ProgType,
  type Route,
  XDP_MODES,
  type XdpMode,
} from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import type { Action, ObjectFact } from '../grammar/object.ts';
import { Usage } from '../grammar/refusal.ts';
import { isPrefix, unexpected } from '../grammar/words.ts';
import type { World } from '../world/world.ts';
import { deviceNamed } from './device.ts';
import { isSource, takeSource } from './source.ts';
import { factsOf } from './tc.ts';

/** `ip`: the words of iproute2 for programs on devices and routes. */
export const ipObject: ObjectFact = {
  name: 'ip',
  about: 'programs on devices and routes, in the words of iproute2',
  commands: [
    ['help', () => import('../grammar/object.ts').then((module) => module.helpAction)],
    ['link', async () => link],
    ['route', async () => route],
  ],
  usage: `Usage: skep ip link [ show ] [ [ dev ] DEV ]
       skep ip link set [ dev ] DEV { xdp | xdpgeneric | xdpdrv | xdpoffload } { SOURCE | off }
       skep ip link set [ dev ] DEV { up | down }
       skep ip route [ show [ table N ] ]
       skep ip route { add | replace } PREFIX encap bpf { { in | out | xmit } SOURCE }... [ headroom N ]
                     [ via ADDRESS ] dev DEV [ table N ] [ metric N ]
       skep ip route del PREFIX [ dev DEV ] [ table N ] [ metric N ]
       skep ip help

       SOURCE := { obj FILE [ sec NAME | program NAME ] | pinned FILE }
       OPTIONS := { {-j|--json} [{-p|--pretty}] }
`,
};

const XDP: Readonly<Record<string, XdpMode | undefined>> = {
  xdp: undefined,
  xdpgeneric: 'generic',
  xdpdrv: 'native',
  xdpoffload: 'offload',
};
const MODE_WORDS: Readonly<Record<XdpMode, string>> = {
  generic: 'xdpgeneric',
  native: 'xdp',
  offload: 'xdpoffload',
};
const FLAG_WORDS = [
  ['BROADCAST', DEVICE_FLAGS.IFF_BROADCAST],
  ['LOOPBACK', DEVICE_FLAGS.IFF_LOOPBACK],
  ['POINTOPOINT', DEVICE_FLAGS.IFF_POINTOPOINT],
  ['NOARP', DEVICE_FLAGS.IFF_NOARP],
  ['MULTICAST', DEVICE_FLAGS.IFF_MULTICAST],
  ['UP', DEVICE_FLAGS.IFF_UP],
  ['LOWER_UP', 1 << 16],
] as const;
const MAIN_TABLE = 254;

const link: Action = async (call) => {
  const { words, out } = call;
  const world = await call.world();
  const { net } = world.kernel;
  const set = words.left > 0 && isPrefix(words.peek(), 'set');
  if (!set) {
    if (words.left > 0) words.accept('show') || words.accept('list');
    words.accept('dev');
    const device = words.left > 0 ? deviceNamed(world, words.take()) : undefined;
    words.end();
    out.json?.startArray();
    for (const one of device ? [device] : net.device_list()) showDevice(call, world, one);
    out.json?.endArray();
    return;
  }
  words.skip();
  if (words.peek() === 'dev') words.skip();
  const device = deviceNamed(world, words.take());
  if (words.left === 0) throw new Usage('what is to be set? xdp, up or down');
  while (words.left > 0) {
    const word = words.take();
    if (word === 'up' || word === 'down') net.device_set({ ifindex: device.ifindex, up: word === 'up' });
    else if (Object.hasOwn(XDP, word)) setXdp(call, world, device, XDP[word]);
    else throw unexpected(word);
  }
  out.done();
};

function setXdp(call: Call, world: World, { ifindex }: NetDevice, mode: XdpMode | undefined): void {
  const { words } = call;
  const { net } = world.kernel;
  const at = { ifindex, ...(mode && { mode }) };
  if (words.peek() === 'off' || words.peek() === 'none') {
    words.skip();
    net.xdp_set(at);
    return;
  }
  if (!isSource(words.peek())) throw new Usage('a program is needed: obj FILE sec NAME, pinned FILE, or off');
  const { program, done } = takeSource(call, world, 'xdp').open();
  try {
    net.xdp_set({ ...at, prog_fd: program });
  } finally {
    done();
  }
}

function hexAddress(address: Uint8Array): string {
  return Array.from(address, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

function showDevice({ out }: Call, world: World, device: NetDevice): void {
  const { json } = out;
  const flags = FLAG_WORDS.filter(([, bit]) => device.flags & bit).map(([name]) => name);
  const peer = device.peer === undefined ? undefined : (world.deviceName(device.peer) ?? `if${device.peer}`);
  const type = device.flags & DEVICE_FLAGS.IFF_LOOPBACK ? 'loopback' : 'ether';
  const address = hexAddress(device.address);
  if (json) {
    json.startObject().field('ifindex', device.ifindex);
    if (peer !== undefined) json.field('link', peer);
    json.field('ifname', device.name).name('flags').startArray();
    for (const flag of flags) json.value(flag);
    json.endArray().field('mtu', device.mtu);
    const [first] = device.xdp;
    if (first) {
      json.name('xdp').startObject().field('mode', XDP_MODES[first.mode].attached);
      json.name('attached').startArray();
      for (const { mode, prog_id } of device.xdp) {
        json.startObject().field('mode', XDP_MODES[mode].attached).name('prog').startObject();
        json.field('id', prog_id).field('name', factsOf(world, prog_id).name).endObject().endObject();
      }
      json.endArray().endObject();
    }
    json.field('link_type', type).field('address', address).endObject();
    return;
  }
  const name = peer === undefined ? device.name : `${device.name}@${peer}`;
  const modes = device.xdp.map(({ mode }) => ` ${MODE_WORDS[mode]}`).join('');
  out.print(`${device.ifindex}: ${name}: <${flags.join(',')}> mtu ${device.mtu}${modes}\n`);
  out.print(`    link/${type} ${address}\n`);
  for (const { prog_id } of device.xdp) {
    const { name: program, jited } = factsOf(world, prog_id);
    out.print(`    prog/xdp id ${prog_id} name ${program} ${jited ? 'jited ' : ''}\n`);
  }
}

const route: Action = async (call) => {
  const { words, out } = call;
  const world = await call.world();
  const action =
    words.left === 0 ? 'show' : ['add', 'replace', 'del', 'show', 'list'].find((one) => words.accept(one));
  if (action === undefined) throw new Usage(`there is no 'ip route ${words.peek()}'`);
  if (action === 'show' || action === 'list') {
    const table = words.accept('table') ? words.number('table') : MAIN_TABLE;
    words.end();
    out.json?.startArray();
    for (const one of world.kernel.net.route_list()) {
      if (one.table === table) showRoute(call, world, one);
    }
    out.json?.endArray();
    return;
  }
  changeRoute(call, world, action);
  out.done();
};

interface RouteWords {
  device: NetDevice | undefined;
  via: Uint8Array | undefined;
  table: number | undefined;
  metric: number | undefined;
  headroom: number | undefined;
  readonly programs: Partial<Record<LwtPoint, { readonly open: () => Opened; readonly name: string }>>;
}
interface Opened {
  readonly program: Fd;
  readonly done: () => void;
}

function changeRoute(call: Call, world: World, action: string): void {
  const { words } = call;
  const { net } = world.kernel;
  const to = parsePrefix(words.take());
  const said: RouteWords = {
    device: undefined,
    via: undefined,
    table: undefined,
    metric: undefined,
    headroom: undefined,
    programs: {},
  };
  while (words.left > 0) takeRouteWord(call, world, said);
  const { device, via, table, metric, headroom, programs } = said;
  const attr = {
    to,
    ...(device && { ifindex: device.ifindex }),
    ...(via && { via }),
    ...(table !== undefined && { table }),
    ...(metric !== undefined && { metric }),
  };
  if (action === 'del') {
    net.route_delete(attr);
    return;
  }
  const opened: Opened[] = [];
  try {
    const bpf: Partial<Record<LwtPoint, { readonly prog_fd: Fd; readonly name: string }>> = {};
    for (const [point, source] of Object.entries(programs)) {
      const one = source.open();
      opened.push(one);
      bpf[point as LwtPoint] = { prog_fd: one.program, name: source.name };
    }
    const any = opened.length > 0;
    net.route_add({
      ...attr,
      mode: action === 'add' ? 'create' : 'replace',
      ...(any && { bpf: { ...bpf, ...(headroom !== undefined && { headroom }) } }),
    });
  } finally {
    for (const { done } of opened) done();
  }
}

function takeRouteWord(call: Call, world: World, said: RouteWords): void {
  const { words } = call;
  const word = words.take();
  switch (word) {
    case 'dev':
      said.device = deviceNamed(world, words.take());
      return;
    case 'via':
      said.via = parsePrefix(words.take()).address;
      return;
    case 'table':
      said.table = words.accept('main') ? MAIN_TABLE : words.number('table');
      return;
    case 'metric':
      said.metric = words.number('metric');
      return;
    case 'encap':
      if (words.peek() !== 'bpf') {
        throw new InputError('cli-iproute2', `encapsulation ${words.peek()} has no programs; 'bpf' has`);
      }
      words.skip();
      return;
    case 'headroom':
      said.headroom = words.number('headroom');
      return;
    default:
      if (!Object.hasOwn(LWT_POINTS, word)) throw unexpected(word);
      said.programs[word as LwtPoint] = takeSource(call, world, `lwt_${word}` as ProgType);
  }
}

function prefixText({ family, to }: Route): string {
  if (to.length === 0) return 'default';
  const text = family === ADDRESS_FAMILIES.inet ? formatIpv4(to.address) : formatIpv6(to.address);
  return to.length === to.address.length * 8 ? text : `${text}/${to.length}`;
}

function showRoute({ out }: Call, world: World, found: Route): void {
  const { json } = out;
  const device = world.deviceName(found.ifindex) ?? String(found.ifindex);
  const points = Object.entries(found.bpf ?? {});
  if (json) {
    json.startObject().field('dst', prefixText(found));
    if (points.length > 0) {
      json.field('encap', 'bpf');
      for (const [point, name] of points) json.field(point, name);
    }
    json.field('dev', device);
    if (found.table !== MAIN_TABLE) json.field('table', found.table);
    if (found.metric !== 0) json.field('metric', found.metric);
    json.endObject();
    return;
  }
  const encap =
    points.length === 0 ? '' : ` encap bpf ${points.map(([point, name]) => `${point} ${name}`).join(' ')}`;
  const table = found.table === MAIN_TABLE ? '' : ` table ${found.table}`;
  const metric = found.metric === 0 ? '' : ` metric ${found.metric}`;
  out.print(`${prefixText(found)}${encap} dev ${device}${table}${metric} \n`);
}
