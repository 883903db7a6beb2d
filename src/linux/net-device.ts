/** Network devices, their addresses and their XDP programs, by rtnetlink. */
import { s32, struct, u8, u16, u32 } from '../base/layout.ts';
import {
  ADDRESS_FAMILIES,
  DEVICE_FLAGS,
  type NetCommands,
  type NetDevice,
  XDP_MODES,
  xdpModeNames,
} from '../sys/index.ts';
import {
  type Attribute,
  encodeAttributes,
  type Message,
  type Netlink,
  NLM,
  parseAttributes,
  readText,
  readU32,
  textAttr,
  u32Attr,
} from './netlink.ts';

type DeviceCommands = Pick<
  NetCommands,
  'device_list' | 'device_get' | 'device_add' | 'device_set' | 'device_delete' | 'address_add' | 'xdp_set'
>;

const RTM = { NEWLINK: 16, DELLINK: 17, GETLINK: 18, SETLINK: 19, NEWADDR: 20 } as const;
const IFINFO = struct({ family: u8, pad: u8, type: u16, index: s32, flags: u32, change: u32 });
const IFADDR = struct({ family: u8, prefixlen: u8, flags: u8, scope: u8, index: u32 });
const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  LINKINFO: 18,
  NET_NS_FD: 28,
  LINK_NETNSID: 37,
  XDP: 43,
} as const;
const LINKINFO = { KIND: 1, DATA: 2 } as const;
/** `VETH_INFO_PEER` and `IFLA_NETKIT_PEER_INFO`. */
const PEER_INFO = 1;
const NETKIT_MODE = 5;
const XDP = {
  FD: 1,
  ATTACHED: 2,
  FLAGS: 3,
  PROG_ID: 4,
  /** `DRV_PROG_ID`, `SKB_PROG_ID` and `HW_PROG_ID`, by `ATTACHED`. */
  MODE_PROG_ID: { 1: 5, 2: 6, 3: 7 } as Readonly<Record<number, number>>,
  EXPECTED_FD: 8,
} as const;
const XDP_FLAGS_UPDATE_IF_NOEXIST = 1 << 0;
const XDP_FLAGS_REPLACE = 1 << 4;
const XDP_ATTACHED_MULTI = 4;
const IFA = { ADDRESS: 1, LOCAL: 2 } as const;

function ifinfo(fields: Partial<Record<'index' | 'flags' | 'change', number>> = {}): Uint8Array {
  const head = new Uint8Array(IFINFO.size);
  IFINFO.patch(new DataView(head.buffer), 0, fields);
  return head;
}

export function deviceCommands(netlink: Netlink): DeviceCommands {
  const ack = (
    type: number,
    flags: number,
    head: Uint8Array,
    attributes: readonly Attribute[],
    doing: string,
  ) => netlink.ask({ type, flags: flags | NLM.ACK, head, attributes }, doing);

  function list(): readonly NetDevice[] {
    const request = { type: RTM.GETLINK, flags: NLM.DUMP, head: ifinfo() };
    return netlink.ask(request, 'listing network devices').map(readDevice);
  }

  return {
    device_list: list,

    device_get: (which) =>
      list().find((device) =>
        'name' in which ? device.name === which.name : device.ifindex === which.ifindex,
      ),

    device_add(attr) {
      const { name, kind, peer, peer_netns_fd, netkit_mode } = attr;
      const data: Attribute[] = [];
      if (peer !== undefined) {
        const other = [textAttr(IFLA.IFNAME, peer)];
        if (peer_netns_fd !== undefined) other.push(u32Attr(IFLA.NET_NS_FD, peer_netns_fd));
        data.push([PEER_INFO, withHead(ifinfo(), other)]);
      }
      if (netkit_mode !== undefined) data.push(u32Attr(NETKIT_MODE, netkit_mode === 'l2' ? 0 : 1));
      const info: Attribute[] = [textAttr(LINKINFO.KIND, kind)];
      if (data.length > 0) info.push([LINKINFO.DATA, data]);
      ack(
        RTM.NEWLINK,
        NLM.CREATE | NLM.EXCL,
        ifinfo(),
        [textAttr(IFLA.IFNAME, name), [IFLA.LINKINFO, info]],
        `making ${kind} device ${name}`,
      );
    },

    device_set(attr) {
      const { ifindex, up, mtu, netns_fd } = attr;
      const attributes: Attribute[] = [];
      if (mtu !== undefined) attributes.push(u32Attr(IFLA.MTU, mtu));
      if (netns_fd !== undefined) attributes.push(u32Attr(IFLA.NET_NS_FD, netns_fd));
      const head = ifinfo({
        index: ifindex,
        ...(up !== undefined && { flags: up ? DEVICE_FLAGS.IFF_UP : 0, change: DEVICE_FLAGS.IFF_UP }),
      });
      ack(RTM.NEWLINK, 0, head, attributes, `changing network device ${ifindex}`);
    },

    device_delete({ ifindex }) {
      ack(RTM.DELLINK, 0, ifinfo({ index: ifindex }), [], `removing network device ${ifindex}`);
    },

    address_add({ ifindex, prefix }) {
      const head = new Uint8Array(IFADDR.size);
      IFADDR.patch(new DataView(head.buffer), 0, {
        family: prefix.address.length === 4 ? ADDRESS_FAMILIES.inet : ADDRESS_FAMILIES.inet6,
        prefixlen: prefix.length,
        index: ifindex,
      });
      const attributes: readonly Attribute[] = [
        [IFA.LOCAL, prefix.address],
        [IFA.ADDRESS, prefix.address],
      ];
      const doing = `giving network device ${ifindex} an address`;
      ack(RTM.NEWADDR, NLM.CREATE | NLM.EXCL, head, attributes, doing);
    },

    xdp_set(attr) {
      const { ifindex, prog_fd, mode, expected } = attr;
      let flags = mode === undefined ? 0 : XDP_MODES[mode].flag;
      const xdp: Attribute[] = [u32Attr(XDP.FD, prog_fd ?? -1)];
      if (expected === 'none') flags |= XDP_FLAGS_UPDATE_IF_NOEXIST;
      else if (expected !== undefined) {
        flags |= XDP_FLAGS_REPLACE;
        xdp.push(u32Attr(XDP.EXPECTED_FD, expected));
      }
      if (flags !== 0) xdp.push(u32Attr(XDP.FLAGS, flags));
      const what = prog_fd === undefined ? 'removing the XDP program of' : `putting program fd ${prog_fd} on`;
      ack(
        RTM.SETLINK,
        0,
        ifinfo({ index: ifindex }),
        [[IFLA.XDP, xdp]],
        `${what} network device ${ifindex} as ${mode ?? 'native or generic'} XDP`,
      );
    },
  };
}

function withHead(head: Uint8Array, attributes: readonly Attribute[]): Uint8Array {
  const parts = encodeAttributes(attributes);
  const bytes = new Uint8Array(head.length + parts.length);
  bytes.set(head);
  bytes.set(parts, head.length);
  return bytes;
}

function readDevice({ payload }: Message): NetDevice {
  const head = IFINFO.read(new DataView(payload.buffer, payload.byteOffset, payload.length), 0);
  const attributes = parseAttributes(payload.subarray(IFINFO.size));
  const info = attributes.get(IFLA.LINKINFO);
  const kind = info && readText(parseAttributes(info).get(LINKINFO.KIND));
  const peer = readU32(attributes.get(IFLA.LINK));
  const peerNetns = readU32(attributes.get(IFLA.LINK_NETNSID));
  const master = readU32(attributes.get(IFLA.MASTER));
  return {
    ifindex: head.index,
    name: readText(attributes.get(IFLA.IFNAME)) ?? '',
    flags: head.flags,
    mtu: readU32(attributes.get(IFLA.MTU)) ?? 0,
    address: attributes.get(IFLA.ADDRESS)?.slice() ?? new Uint8Array(0),
    ...(kind !== undefined && { kind }),
    ...(peer !== undefined && { peer }),
    ...(peerNetns !== undefined && { peer_netns_id: peerNetns }),
    ...(master !== undefined && { master }),
    xdp: readXdp(attributes.get(IFLA.XDP)),
  };
}

function readXdp(bytes: Uint8Array | undefined): NetDevice['xdp'] {
  if (bytes === undefined) return [];
  const attributes = parseAttributes(bytes);
  const attached = attributes.get(XDP.ATTACHED)?.[0] ?? 0;
  return xdpModeNames.flatMap((mode) => {
    const number = XDP_MODES[mode].attached;
    if (attached !== number && attached !== XDP_ATTACHED_MULTI) return [];
    const own = readU32(attributes.get(XDP.MODE_PROG_ID[number]!));
    const prog_id = own ?? (attached === number ? readU32(attributes.get(XDP.PROG_ID)) : undefined);
    return prog_id === undefined ? [] : [{ mode, prog_id }];
  });
}
