/** Queueing disciplines and BPF classifiers, by rtnetlink. @see man 8 tc-bpf */
import { s32, struct, u8, u16, u32 } from '../base/layout.ts';
import {
  ETH_PROTOCOLS,
  type Filter,
  type FilterAttr,
  type FilterPlace,
  type NetCommands,
  type Qdisc,
  TC_PARENTS,
} from '../sys/index.ts';
import {
  type Attribute,
  type Message,
  type Netlink,
  NLM,
  parseAttributes,
  readText,
  readU32,
  textAttr,
  u32Attr,
} from './netlink.ts';

type TrafficCommands = Pick<
  NetCommands,
  'qdisc_list' | 'qdisc_add' | 'qdisc_delete' | 'filter_list' | 'filter_add' | 'filter_delete'
>;

const RTM = {
  NEWQDISC: 36,
  DELQDISC: 37,
  GETQDISC: 38,
  NEWTFILTER: 44,
  DELTFILTER: 45,
  GETTFILTER: 46,
} as const;
const TCMSG = struct({ family: u8, pad1: u8, pad2: u16, ifindex: s32, handle: u32, parent: u32, info: u32 });
const TCA = { KIND: 1, OPTIONS: 2, CHAIN: 11 } as const;
const BPF = { CLASSID: 3, FD: 6, NAME: 7, FLAGS: 8, FLAGS_GEN: 9, TAG: 10, ID: 11 } as const;
const ACT_DIRECT = 1;
const IN_HARDWARE = 1 << 2;
/** The handle of both `clsact` and `ingress`: ffff:0. */
const INGRESS_HANDLE = 0xffff_0000;

interface Head {
  readonly ifindex?: number;
  readonly handle?: number;
  readonly parent?: number;
  readonly info?: number;
}

function tcmsg(fields: Head): Uint8Array {
  const head = new Uint8Array(TCMSG.size);
  TCMSG.patch(new DataView(head.buffer), 0, fields);
  return head;
}

const parentOf = ({ parent }: FilterPlace): number =>
  typeof parent === 'number' ? parent : TC_PARENTS[parent];

/** The priority, and the protocol in network byte order. */
function infoOf({ priority = 0, protocol = 'all' }: FilterAttr): number {
  const number = typeof protocol === 'number' ? protocol : ETH_PROTOCOLS[protocol];
  return ((priority << 16) | swap16(number)) >>> 0;
}

const swap16 = (value: number): number => ((value & 0xff) << 8) | ((value >> 8) & 0xff);

const placeName = (attr: FilterPlace): string =>
  `${typeof attr.parent === 'number' ? `parent 0x${attr.parent.toString(16)}` : attr.parent} of network device ${attr.ifindex}`;

export function trafficCommands(netlink: Netlink): TrafficCommands {
  function qdisc(type: number, flags: number, ifindex: number, kind: 'clsact' | 'ingress', doing: string) {
    const head = tcmsg({ ifindex, handle: INGRESS_HANDLE, parent: TC_PARENTS.clsact });
    netlink.ask({ type, flags: flags | NLM.ACK, head, attributes: [textAttr(TCA.KIND, kind)] }, doing);
  }

  return {
    qdisc_list(attr = {}) {
      const messages = netlink.ask(
        { type: RTM.GETQDISC, flags: NLM.DUMP, head: tcmsg({}) },
        'listing queueing disciplines',
      );
      return messages
        .map(readQdisc)
        .filter(({ ifindex }) => attr.ifindex === undefined || ifindex === attr.ifindex);
    },

    qdisc_add({ ifindex, kind }) {
      const doing = `giving network device ${ifindex} a ${kind} queueing discipline`;
      qdisc(RTM.NEWQDISC, NLM.CREATE | NLM.EXCL, ifindex, kind, doing);
    },

    qdisc_delete({ ifindex, kind }) {
      qdisc(RTM.DELQDISC, 0, ifindex, kind, `removing ${kind} from network device ${ifindex}`);
    },

    filter_list(attr) {
      const head = tcmsg({ ifindex: attr.ifindex, parent: parentOf(attr) });
      const messages = netlink.ask(
        { type: RTM.GETTFILTER, flags: NLM.DUMP, head, attributes: chain(attr) },
        `listing the classifiers at ${placeName(attr)}`,
      );
      // Each priority is announced by a message without a handle.
      return messages.map(readFilter).filter(({ handle }) => handle !== 0);
    },

    filter_add(attr) {
      const { prog_fd, name, direct_action = true, classid, mode = 'create', handle } = attr;
      const options: Attribute[] = [u32Attr(BPF.FD, prog_fd), textAttr(BPF.NAME, name ?? `fd ${prog_fd}`)];
      if (direct_action) options.push(u32Attr(BPF.FLAGS, ACT_DIRECT));
      if (classid !== undefined) options.push(u32Attr(BPF.CLASSID, classid));
      const flags = NLM.CREATE | NLM.ACK | NLM.ECHO | (mode === 'create' ? NLM.EXCL : NLM.REPLACE);
      const head = tcmsg({
        ifindex: attr.ifindex,
        parent: parentOf(attr),
        info: infoOf(attr),
        ...(handle !== undefined && { handle }),
      });
      const attributes = [textAttr(TCA.KIND, 'bpf'), [TCA.OPTIONS, options] as const, ...chain(attr)];
      const doing = `putting program fd ${prog_fd} as classifier at ${placeName(attr)}`;
      const messages = netlink.ask({ type: RTM.NEWTFILTER, flags, head, attributes }, doing);
      const echo = messages.map(readFilter).find((filter) => filter.handle !== 0);
      if (echo !== undefined) return echo;
      return {
        ifindex: attr.ifindex,
        kind: 'bpf',
        parent: parentOf(attr),
        priority: attr.priority ?? 0,
        protocol: swap16(infoOf(attr) & 0xffff),
        chain: attr.chain ?? 0,
        handle: handle ?? 0,
      };
    },

    filter_delete(attr) {
      const head = tcmsg({
        ifindex: attr.ifindex,
        parent: parentOf(attr),
        info: attr.priority === undefined ? 0 : infoOf(attr),
        ...(attr.handle !== undefined && { handle: attr.handle }),
      });
      const kind = attr.handle === undefined ? [] : [textAttr(TCA.KIND, 'bpf')];
      netlink.ask(
        { type: RTM.DELTFILTER, flags: NLM.ACK, head, attributes: [...kind, ...chain(attr)] },
        `removing a classifier from ${placeName(attr)}`,
      );
    },
  };
}

const chain = (attr: FilterPlace): readonly Attribute[] =>
  attr.chain === undefined ? [] : [u32Attr(TCA.CHAIN, attr.chain)];

function readHead(payload: Uint8Array) {
  return TCMSG.read(new DataView(payload.buffer, payload.byteOffset, payload.length), 0);
}

function readQdisc({ payload }: Message): Qdisc {
  const { ifindex, handle, parent } = readHead(payload);
  const attributes = parseAttributes(payload.subarray(TCMSG.size));
  return { ifindex, kind: readText(attributes.get(TCA.KIND)) ?? '', handle, parent };
}

function readFilter({ payload }: Message): Filter {
  const { ifindex, handle, parent, info } = readHead(payload);
  const attributes = parseAttributes(payload.subarray(TCMSG.size));
  const kind = readText(attributes.get(TCA.KIND)) ?? '';
  const options = attributes.get(TCA.OPTIONS);
  const bpf = kind === 'bpf' && options ? parseAttributes(options) : undefined;
  return {
    ifindex,
    kind,
    parent,
    priority: info >>> 16,
    protocol: swap16(info & 0xffff),
    chain: readU32(attributes.get(TCA.CHAIN)) ?? 0,
    handle,
    ...(bpf && {
      bpf: {
        prog_id: readU32(bpf.get(BPF.ID)) ?? 0,
        name: readText(bpf.get(BPF.NAME)) ?? '',
        tag: bpf.get(BPF.TAG)?.slice() ?? new Uint8Array(0),
        direct_action: ((readU32(bpf.get(BPF.FLAGS)) ?? 0) & ACT_DIRECT) !== 0,
        classid: readU32(bpf.get(BPF.CLASSID)) ?? 0,
        offloaded: ((readU32(bpf.get(BPF.FLAGS_GEN)) ?? 0) & IN_HARDWARE) !== 0,
      },
    }),
  };
}
