/** `BPF_PROG_TEST_RUN` of the types that run on a socket buffer. @see net/bpf/test_run.c, bpf_prog_test_run_skb */
import { TEST_RUN_FLAGS } from '../../sys/flags.ts';
import { SK_BUFF_LAYOUT } from '../programs/index.ts';
import type { NetDevice } from './device.ts';
import { ETH_HLEN, type PacketRunner } from './runner.ts';
import { SKB_HEADROOM, type SkBuff } from './sk-buff.ts';
import { contextIn, execute, type Outcome, type Request, refuse } from './test-run.ts';
import { FRAME_SIZE, SHARED_INFO_ROOM } from './xdp-buff.ts';

/** Most bytes of a packet: what is left of a page. */
export const MAX_PACKET = FRAME_SIZE - SKB_HEADROOM - SHARED_INFO_ROOM;
/** Bytes of the network header that must be there, by protocol. */
const NETWORK_HEADER: Readonly<Record<number, number>> = { 2048: 20, 34525: 40 };
const GSO_LEGACY_MAX_SIZE = 65536;
const GSO_MAX_SEGS = 0xffff;

/** Members of the context that a caller may set; the others must be zero. */
const ADOPTED = [
  'mark',
  'priority',
  'ingress_ifindex',
  'ifindex',
  'cb',
  'tstamp',
  'wire_len',
  'gso_segs',
  'gso_size',
  'hwtstamp',
] as const;

export function runOnSkb(request: Request, runner: PacketRunner, skb: SkBuff, atNetwork: boolean): Outcome {
  const { program, attr, data, kernel } = request;
  const flags = attr.flags ?? 0;
  if (flags & ~TEST_RUN_FLAGS.BPF_F_TEST_SKB_CHECKSUM_COMPLETE || attr.cpu || attr.batch_size) {
    throw refuse(program, 'EINVAL', 'the flags, the CPU or the batch size are not for programs on packets');
  }
  if (data.length < ETH_HLEN) {
    throw refuse(program, 'EINVAL', `the packet has ${data.length} bytes, fewer than ${ETH_HLEN}`);
  }
  if (data.length > MAX_PACKET) {
    throw refuse(program, 'EINVAL', `the packet has ${data.length} bytes, more than ${MAX_PACKET}`);
  }
  const context = contextIn(request, SK_BUFF_LAYOUT.size);
  const device = deviceOf(request, context) ?? kernel.devices.loopback;
  skb.load(data, device, atNetwork);
  const header = NETWORK_HEADER[skb.protocol] ?? 0;
  if (data.length - ETH_HLEN < header) {
    throw refuse(
      program,
      'EINVAL',
      `the packet has ${data.length - ETH_HLEN} bytes behind its Ethernet header, fewer than the ` +
        `${header} of its protocol's`,
    );
  }
  if (context) adopt(request, skb, context);
  const complete = (flags & TEST_RUN_FLAGS.BPF_F_TEST_SKB_CHECKSUM_COMPLETE) !== 0;
  if (complete) skb.setChecksumComplete();
  const run = execute(request, runner);
  if (atNetwork) skb.pushEthernet();
  if (complete && !skb.checksumHolds()) {
    throw refuse(program, 'EBADMSG', 'the program did not keep the checksum of the whole packet up to date');
  }
  if (context) giveBack(skb, context, device);
  return { ...run, packet: skb.packet(), ctx: context };
}

function deviceOf({ program, kernel }: Request, context: Uint8Array | undefined): NetDevice | undefined {
  if (!context) return undefined;
  const { ifindex } = SK_BUFF_LAYOUT.read(new DataView(context.buffer), 0);
  if (ifindex <= 1) return undefined;
  const device = kernel.devices.get(ifindex);
  if (!device) throw refuse(program, 'ENODEV', `there is no device ${ifindex}`);
  return device;
}

function adopt({ program }: Request, skb: SkBuff, context: Uint8Array): void {
  const other = context.slice();
  for (const name of ADOPTED) {
    const { offset, size } = SK_BUFF_LAYOUT.members[name];
    other.fill(0, offset, offset + size);
  }
  const wrong = other.findIndex((byte) => byte !== 0);
  if (wrong >= 0) throw refuse(program, 'EINVAL', `the context's byte ${wrong} can't be set`);
  const given = SK_BUFF_LAYOUT.read(new DataView(context.buffer), 0);
  const { wire_len, gso_segs } = given;
  if ((wire_len !== 0 && wire_len < skb.len) || wire_len > GSO_LEGACY_MAX_SIZE || gso_segs > GSO_MAX_SEGS) {
    throw refuse(program, 'EINVAL', `a wire_len of ${wire_len} or ${gso_segs} gso_segs can't be`);
  }
  const { offset, size } = SK_BUFF_LAYOUT.members.cb;
  skb.adopt({
    mark: given.mark,
    priority: given.priority,
    iif: given.ingress_ifindex,
    tstamp: given.tstamp,
    cb: context.slice(offset, offset + size),
    wireLen: wire_len === 0 ? skb.len : wire_len,
    gsoSegs: gso_segs,
    gsoSize: given.gso_size,
    hwtstamp: given.hwtstamp,
  });
}

function giveBack(skb: SkBuff, context: Uint8Array, device: NetDevice): void {
  const members = skb.members();
  SK_BUFF_LAYOUT.patch(new DataView(context.buffer), 0, {
    mark: members.mark,
    priority: members.priority,
    ingress_ifindex: members.iif,
    ifindex: device.ifindex,
    tstamp: members.tstamp,
    wire_len: members.wireLen,
    gso_segs: members.gsoSegs,
    hwtstamp: members.hwtstamp,
  });
  context.set(members.cb, SK_BUFF_LAYOUT.members.cb.offset);
}
