/** Routes whose packets run programs (`ip route … encap bpf`), by rtnetlink. @see man 8 ip-route */
import { struct, u8, u32 } from '../base/layout.ts';
import {
  ADDRESS_FAMILIES,
  LWT_POINTS,
  type LwtPoint,
  type NetCommands,
  type Route,
  type RouteAddAttr,
  type RouteAttr,
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
  u16Attr,
  u32Attr,
} from './netlink.ts';

const RTM = { NEWROUTE: 24, DELROUTE: 25, GETROUTE: 26 } as const;
const RTMSG = struct({
  family: u8,
  dst_len: u8,
  src_len: u8,
  tos: u8,
  table: u8,
  protocol: u8,
  scope: u8,
  type: u8,
  flags: u32,
});
const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, TABLE: 15, ENCAP_TYPE: 21, ENCAP: 22 } as const;
const ENCAP_BPF = 6;
const ENCAP_SEG6_LOCAL = 7;
const LWT_BPF_XMIT_HEADROOM = 4;
const LWT_PROG = { FD: 1, NAME: 2 } as const;
const SEG6_LOCAL = { ACTION: 1, BPF: 8 } as const;
const SEG6_LOCAL_ACTION_END_BPF = 15;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
const RTN_UNICAST = 1;
const POINTS = Object.keys(LWT_POINTS) as readonly LwtPoint[];

export function routeCommands(
  netlink: Netlink,
): Pick<NetCommands, 'route_list' | 'route_add' | 'route_delete'> {
  return {
    route_list(attr = {}) {
      const head = rtmsg({ family: attr.family ?? 0 });
      return netlink.ask({ type: RTM.GETROUTE, flags: NLM.DUMP, head }, 'listing routes').map(readRoute);
    },

    route_add(attr) {
      const { family, attributes } = where(attr);
      // What is on the link needs no gateway; IPv6 has no scopes of routes.
      const onLink = attr.via === undefined && family === ADDRESS_FAMILIES.inet;
      const head = rtmsg({
        family,
        dst_len: attr.to.length,
        table: shortTable(attr),
        protocol: RTPROT_BOOT,
        scope: onLink ? RT_SCOPE_LINK : 0,
        type: RTN_UNICAST,
      });
      const flags = NLM.CREATE | NLM.ACK | (attr.mode === 'replace' ? NLM.REPLACE : NLM.EXCL);
      netlink.ask(
        { type: RTM.NEWROUTE, flags, head, attributes: [...attributes, ...encap(attr)] },
        `adding a route to ${prefixName(attr)}`,
      );
    },

    route_delete(attr) {
      const { family, attributes } = where(attr);
      const head = rtmsg({
        family,
        dst_len: attr.to.length,
        table: shortTable(attr),
        scope: RT_SCOPE_NOWHERE,
      });
      const doing = `removing the route to ${prefixName(attr)}`;
      netlink.ask({ type: RTM.DELROUTE, flags: NLM.ACK, head, attributes }, doing);
    },
  };
}

type Rtmsg = ReturnType<typeof RTMSG.read>;

function rtmsg(fields: Partial<Rtmsg>): Uint8Array {
  const head = new Uint8Array(RTMSG.size);
  RTMSG.patch(new DataView(head.buffer), 0, fields);
  return head;
}

function where(attr: RouteAttr): { readonly family: number; readonly attributes: readonly Attribute[] } {
  const { to, ifindex, via, metric } = attr;
  const attributes: Attribute[] = [[RTA.DST, to.address], u32Attr(RTA.TABLE, attr.table ?? RT_TABLE_MAIN)];
  if (ifindex !== undefined) attributes.push(u32Attr(RTA.OIF, ifindex));
  if (via !== undefined) attributes.push([RTA.GATEWAY, via]);
  if (metric !== undefined) attributes.push(u32Attr(RTA.PRIORITY, metric));
  return {
    family: to.address.length === 4 ? ADDRESS_FAMILIES.inet : ADDRESS_FAMILIES.inet6,
    attributes,
  };
}

/** Tables above 255 are told by the attribute alone. */
const shortTable = (attr: RouteAttr): number => {
  const table = attr.table ?? RT_TABLE_MAIN;
  return table < 256 ? table : 0;
};

function encap({ bpf, seg6local }: RouteAddAttr): readonly Attribute[] {
  const program = ({ prog_fd, name }: { readonly prog_fd: number; readonly name: string }) => [
    u32Attr(LWT_PROG.FD, prog_fd),
    textAttr(LWT_PROG.NAME, name),
  ];
  if (bpf !== undefined) {
    const points: Attribute[] = POINTS.flatMap((point) => {
      const given = bpf[point];
      return given ? [[LWT_POINTS[point], program(given)] as const] : [];
    });
    if (bpf.headroom !== undefined) points.push(u32Attr(LWT_BPF_XMIT_HEADROOM, bpf.headroom));
    return [[RTA.ENCAP, points], u16Attr(RTA.ENCAP_TYPE, ENCAP_BPF)];
  }
  if (seg6local !== undefined) {
    const action: readonly Attribute[] = [
      u32Attr(SEG6_LOCAL.ACTION, SEG6_LOCAL_ACTION_END_BPF),
      [SEG6_LOCAL.BPF, program(seg6local)],
    ];
    return [[RTA.ENCAP, action], u16Attr(RTA.ENCAP_TYPE, ENCAP_SEG6_LOCAL)];
  }
  return [];
}

function readRoute({ payload }: Message): Route {
  const head = RTMSG.read(new DataView(payload.buffer, payload.byteOffset, payload.length), 0);
  const attributes = parseAttributes(payload.subarray(RTMSG.size));
  const bytes = head.family === ADDRESS_FAMILIES.inet ? 4 : 16;
  const type = attributes.get(RTA.ENCAP_TYPE)?.[0];
  const tunnel = attributes.get(RTA.ENCAP);
  const bpf = type === ENCAP_BPF && tunnel ? parseAttributes(tunnel) : undefined;
  return {
    family: head.family,
    to: { address: attributes.get(RTA.DST)?.slice() ?? new Uint8Array(bytes), length: head.dst_len },
    ifindex: readU32(attributes.get(RTA.OIF)) ?? 0,
    table: readU32(attributes.get(RTA.TABLE)) ?? head.table,
    metric: readU32(attributes.get(RTA.PRIORITY)) ?? 0,
    ...(bpf && {
      bpf: Object.fromEntries(
        POINTS.flatMap((point) => {
          const program = bpf.get(LWT_POINTS[point]);
          const name = program && readText(parseAttributes(program).get(LWT_PROG.NAME));
          return name === undefined ? [] : [[point, name]];
        }),
      ),
    }),
  };
}

function prefixName({ to }: RouteAttr): string {
  if (to.address.length === 4) return `${to.address.join('.')}/${to.length}`;
  const words = Array.from({ length: 8 }, (_, i) =>
    (((to.address[2 * i] ?? 0) << 8) | (to.address[2 * i + 1] ?? 0)).toString(16),
  );
  return `${words.join(':')}/${to.length}`;
}
