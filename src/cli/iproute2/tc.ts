import { InputError } from '../../base/error.ts';
import {
  ETH_PROTOCOLS,
  type Filter,
  type FilterAttr,
  type NetDevice,
  type ProgId,
  type Qdisc,
} from '../../sys/index.ts';
import type { Call } from '../grammar/call.ts';
import type { Action, ObjectFact } from '../grammar/object.ts';
import { Usage } from '../grammar/refusal.ts';
import { hexTag, infoOf } from '../grammar/selectors.ts';
import { parseNumber, unexpected } from '../grammar/words.ts';
import type { World } from '../world/world.ts';
import { deviceNamed } from './device.ts';
import { isSource, takeSource } from './source.ts';

/** `tc`: the words of iproute2 for classifiers that are programs. */
export const tcObject: ObjectFact = {
  name: 'tc',
  about: 'queueing disciplines and classifiers, in the words of iproute2',
  commands: [
    ['help', () => import('../grammar/object.ts').then((module) => module.helpAction)],
    ['qdisc', async () => qdisc],
    ['filter', async () => filter],
    ['chain', async () => chain],
  ],
  usage: `Usage: skep tc qdisc { add | replace | del } dev DEV { clsact | ingress }
       skep tc qdisc [ show ] [ dev DEV ]
       skep tc filter { add | replace | change } dev DEV PLACE [ pref PRIO ] [ protocol PROTO ]
                     [ handle H ] [ chain N ] bpf [ da ] SOURCE [ classid X:Y ]
       skep tc filter del dev DEV PLACE [ pref PRIO ] [ protocol PROTO ] [ handle H ] [ bpf ]
       skep tc filter [ show ] dev DEV [ PLACE ]
       skep tc chain [ show ] dev DEV [ PLACE ]
       skep tc help

       PLACE := { ingress | egress | root | parent X:Y }
       SOURCE := { obj FILE [ sec NAME | program NAME ] | pinned FILE }
       PROTO := { all | ip | ipv6 | arp | NUMBER }
       OPTIONS := { {-j|--json} [{-p|--pretty}] }
`,
};

const ROOT = 0xffff_ffff;
const CLSACT = 0xffff_fff1;
type Parent = FilterAttr['parent'];

/** What stands around a classifier in a command line. */
interface Place {
  device: NetDevice | undefined;
  parent: Parent | undefined;
  priority: number;
  protocol: number | undefined;
  handle: number | undefined;
  chain: number;
}

/** `2:1`, `ffff:`. */
function handleText(handle: number): string {
  const minor = handle & 0xffff;
  return `${(handle >>> 16).toString(16)}:${minor === 0 ? '' : minor.toString(16)}`;
}

function takeHandle(word: string): number {
  const found = /^([0-9a-f]{0,4}):([0-9a-f]{0,4})$/i.exec(word);
  if (!found) throw new InputError('cli-iproute2', `'${word}' is no handle; it is like 1:2, in hexadecimal`);
  return ((Number.parseInt(found[1] || '0', 16) << 16) | Number.parseInt(found[2] || '0', 16)) >>> 0;
}

const qdisc: Action = async (call) => {
  const { words, out } = call;
  const world = await call.world();
  const { net } = world.kernel;
  const action = words.left === 0 ? 'show' : takeAction(call, ['add', 'replace', 'del', 'show', 'list']);
  let device: NetDevice | undefined;
  let kind: 'clsact' | 'ingress' | undefined;
  while (words.left > 0) {
    const word = words.take();
    if (word === 'dev') device = deviceNamed(world, words.take());
    else if (word === 'clsact' || word === 'ingress') kind = word;
    else if (word === 'handle' || word === 'parent') words.take();
    else throw unexpected(word);
  }
  if (action === 'show' || action === 'list') {
    const found = net.qdisc_list(device && { ifindex: device.ifindex });
    out.json?.startArray();
    for (const one of found) showQdisc(call, world, one, device === undefined);
    out.json?.endArray();
    return;
  }
  if (!device || !kind) throw new Usage('a device and clsact or ingress are needed');
  const attr = { ifindex: device.ifindex, kind };
  if (action === 'del') net.qdisc_delete(attr);
  else if (action === 'add' || !net.qdisc_list(attr).some((one) => one.kind === kind)) net.qdisc_add(attr);
  out.done();
};

function showQdisc({ out }: Call, world: World, found: Qdisc, named: boolean): void {
  const { json } = out;
  const name = named ? world.deviceName(found.ifindex) : undefined;
  const parent = found.parent === ROOT ? undefined : handleText(found.parent);
  if (json) {
    json.startObject().field('kind', found.kind).field('handle', handleText(found.handle));
    if (name !== undefined) json.field('dev', name);
    if (parent === undefined) json.field('root', true);
    else json.field('parent', found.parent === CLSACT ? 'ffff:fff1' : parent);
    json.name('options').startObject().endObject().endObject();
    return;
  }
  const dev = name === undefined ? '' : `dev ${name} `;
  const place = parent === undefined ? 'root' : `parent ${parent}`;
  out.print(`qdisc ${found.kind} ${handleText(found.handle)} ${dev}${place} \n`);
}

function takeAction({ words }: Call, actions: readonly string[]): string {
  const found = actions.find((action) => words.accept(action));
  if (found === undefined) {
    throw new InputError('cli-iproute2', `expected one of ${actions.join(', ')}, got: '${words.peek()}'?`);
  }
  return found;
}

/** Reads what may stand in any order; stops before a word that is none of it. */
function takePlace(call: Call, world: World): Place {
  const place: Place = {
    device: undefined,
    parent: undefined,
    priority: 0,
    protocol: undefined,
    handle: undefined,
    chain: 0,
  };
  while (takePart(call, world, place));
  return place;
}

/** @returns whether the next word was a part of it, and was taken */
function takePart(call: Call, world: World, place: Place): boolean {
  const { words } = call;
  const word = words.peek();
  switch (word) {
    case 'dev':
      words.skip();
      place.device = deviceNamed(world, words.take());
      return true;
    case 'ingress':
    case 'egress':
      words.skip();
      place.parent = word;
      return true;
    case 'root':
      words.skip();
      place.parent = ROOT;
      return true;
    case 'parent':
      words.skip();
      place.parent = takeHandle(words.take());
      return true;
    case 'pref':
    case 'prio':
    case 'preference':
    case 'priority':
      words.skip();
      place.priority = words.number('priority');
      return true;
    case 'protocol':
    case 'proto':
      words.skip();
      place.protocol = takeProtocol(words.take());
      return true;
    case 'handle':
      words.skip();
      place.handle = words.number('handle');
      return true;
    case 'chain':
      words.skip();
      place.chain = words.number('chain');
      return true;
    default:
      return false;
  }
}

function takeProtocol(word: string): number {
  const known = (ETH_PROTOCOLS as Readonly<Record<string, number>>)[word];
  const value = known ?? parseNumber(word);
  if (value === undefined) {
    const names = Object.keys(ETH_PROTOCOLS).join(', ');
    throw new InputError('cli-iproute2', `'${word}' is no protocol; there are ${names}, and numbers`);
  }
  return value;
}

const filter: Action = async (call) => {
  const { words, out } = call;
  const world = await call.world();
  const { net } = world.kernel;
  const actions = ['add', 'replace', 'change', 'delete', 'show', 'list'];
  const action = words.left === 0 || words.peek() === 'dev' ? 'show' : takeAction(call, actions);
  const place = takePlace(call, world);
  const { device } = place;
  if (!device) throw new Usage('a device is needed: dev NAME');
  if (action === 'show' || action === 'list') {
    words.end();
    return showFilters(call, world, device, place.parent);
  }
  const { parent, priority, protocol, handle, chain: number } = place;
  if (parent === undefined) throw new Usage('a place is needed: ingress, egress or parent X:Y');
  const at: FilterAttr = {
    ifindex: device.ifindex,
    parent,
    ...(priority !== 0 && { priority }),
    ...(number !== 0 && { chain: number }),
    ...(protocol !== undefined && { protocol }),
    ...(handle !== undefined && { handle }),
  };
  if (words.left > 0 && !words.accept('bpf')) {
    throw new InputError('cli-iproute2', `classifiers of kind ${words.peek()} are no programs; 'bpf' is`);
  }
  if (action === 'delete') {
    words.end();
    net.filter_delete(at);
    return out.done();
  }
  addProgram(call, world, at, action === 'add' ? 'create' : 'replace');
  out.done();
};

/** Reads what stands behind `bpf`, and attaches it. */
function addProgram(call: Call, world: World, at: FilterAttr, mode: 'create' | 'replace'): void {
  const { words } = call;
  let direct = false;
  let classid: number | undefined;
  let source: ReturnType<typeof takeSource> | undefined;
  while (words.left > 0) {
    const word = words.peek();
    if (word === 'da' || word === 'direct-action') {
      words.skip();
      direct = true;
    } else if (word === 'classid' || word === 'flowid') {
      words.skip();
      classid = takeHandle(words.take());
    } else if (isSource(word)) source = takeSource(call, world, 'sched_cls');
    else throw unexpected(words.take());
  }
  if (!source) throw new Usage('a program is needed: obj FILE sec NAME, or pinned FILE');
  const { program, done } = source.open();
  try {
    world.kernel.net.filter_add({
      ...at,
      prog_fd: program,
      name: source.name,
      direct_action: direct,
      mode,
      ...(classid !== undefined && { classid }),
    });
  } finally {
    done();
  }
}

/** The classifiers of one place: of the root qdisc where none is named, as tc does. */
function showFilters(call: Call, world: World, device: NetDevice, parent: Parent = ROOT): void {
  const { out } = call;
  out.json?.startArray();
  let group: string | undefined;
  for (const one of world.kernel.net.filter_list({ ifindex: device.ifindex, parent })) {
    const key = `${one.priority} ${one.protocol} ${one.chain}`;
    if (group !== key) showFilter(call, world, { ...one, handle: 0 });
    group = key;
    if (one.handle !== 0) showFilter(call, world, one);
  }
  out.json?.endArray();
}

function protocolName(id: number): string {
  return Object.entries(ETH_PROTOCOLS).find(([, value]) => value === id)?.[0] ?? `[${id}]`;
}

/** A classifier, or (with no handle) the line that those of one priority stand under. */
function showFilter(
  { out }: Call,
  world: World,
  { kind, protocol, priority, chain: number, handle, bpf }: Filter,
) {
  const { json } = out;
  const head = `filter protocol ${protocolName(protocol)} pref ${priority} ${kind} chain ${number} `;
  if (json) {
    json.startObject().field('protocol', protocolName(protocol)).field('pref', priority);
    json.field('kind', kind).field('chain', number);
  } else out.print(head);
  if (handle !== 0 && bpf) {
    const facts = factsOf(world, bpf.prog_id);
    const tag = hexTag(bpf.tag);
    if (json) {
      json
        .name('options')
        .startObject()
        .field('handle', `0x${handle.toString(16)}`);
      if (bpf.classid !== 0) json.field('flowid', handleText(bpf.classid));
      json.field('bpf_name', bpf.name);
      if (bpf.direct_action) json.field('direct-action', true);
      json.field(bpf.offloaded ? 'in_hw' : 'not_in_hw', true);
      json.name('prog').startObject().field('id', bpf.prog_id);
      if (facts.name !== '') json.field('name', facts.name);
      json.field('tag', tag);
      if (facts.jited) json.field('jited', 1);
      json.endObject().endObject();
    } else {
      const flow = bpf.classid === 0 ? '' : `flowid ${handleText(bpf.classid)} `;
      const direct = bpf.direct_action ? 'direct-action ' : '';
      const name = facts.name === '' ? '' : `name ${facts.name} `;
      out.print(
        `handle 0x${handle.toString(16)} ${flow}${bpf.name} ${direct}` +
          `${bpf.offloaded ? 'in_hw' : 'not_in_hw'} id ${bpf.prog_id} ${name}tag ${tag} ${facts.jited ? 'jited ' : ''}`,
      );
    }
  }
  if (json) json.endObject();
  else out.print('\n');
}

/** What is said of a program beside its id; nothing of one that ended. */
export function factsOf({ kernel }: World, id: number): { readonly name: string; readonly jited: boolean } {
  try {
    const fd = kernel.bpf.prog_get_fd_by_id({ prog_id: id as ProgId });
    const { name, jited_prog_len } = infoOf(kernel, fd, 'prog');
    kernel.closeFd(fd);
    return { name, jited: jited_prog_len > 0 };
  } catch {
    return { name: '', jited: false };
  }
}

/** Chains are made by the classifiers in them. */
const chain: Action = async (call) => {
  const { words, out } = call;
  const world = await call.world();
  if (words.peek() !== 'dev' && words.left > 0) takeAction(call, ['show', 'list']);
  const place = takePlace(call, world);
  words.end();
  const { device } = place;
  if (!device) throw new Usage('a device is needed: dev NAME');
  const parent = place.parent ?? ROOT;
  const found = world.kernel.net.filter_list({ ifindex: device.ifindex, parent });
  const numbers = [...new Set(found.map((one) => one.chain))].sort((a, b) => a - b);
  const text = typeof parent === 'number' ? handleText(parent) : parent;
  out.json?.startArray();
  for (const number of numbers) {
    if (out.json) out.json.startObject().field('parent', text).field('chain', number).endObject();
    else out.print(`chain parent ${text} chain ${number} \n`);
  }
  out.json?.endArray();
};
