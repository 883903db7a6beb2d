/**
 * The loops that run a program on packets where they lie: each makes the context, calls the program and writes down what it
 * answered. A loop stops in front of a packet that it can't run (too short, or larger than a frame) and behind one that has
 * left something to read in a ring buffer; it returns the row where it stopped.
 */

import { AREA } from '../jit/unit.ts';
import type { ModuleWriter } from '../jit/wasm/module.ts';
import { SKB_HEADROOM } from '../net/sk-buff.ts';
import { BPF_SKB_DATA_END, SK_BUFF, SOCK, SOCK_COMMON, XDP_BUFF } from '../net/structs.ts';
import { FRAME_SIZE, SHARED_INFO_ROOM, XDP_HEADROOM } from '../net/xdp-buff.ts';
import {
  add,
  and,
  block,
  callIndirect,
  choice,
  copy,
  define,
  type Expr,
  eq,
  fill,
  geU,
  gtU,
  i32,
  type Local,
  load,
  load8,
  load16,
  load64,
  loop,
  low,
  ltU,
  nothing,
  or,
  result,
  select,
  seq,
  store,
  store8,
  store16,
  store64,
  sub,
  when,
  wide,
} from './code.ts';
import { LENGTH, ROW } from './row.ts';

const ETH_HLEN = 14;
/** Most bytes in a frame of one page. */
const XDP_ROOM = FRAME_SIZE - XDP_HEADROOM - SHARED_INFO_ROOM;
const SKB_ROOM = FRAME_SIZE - SKB_HEADROOM - SHARED_INFO_ROOM;

/** Of the functions that tail calls go to. */
const ENTRY = { params: ['i32', 'i32'], results: ['i64'] } as const;

/** A ring buffer that the loop stops for when records wait in it. */
export interface RingWatch {
  /** Addresses of the positions up to which it was read and written. */
  readonly consumer: number;
  readonly producer: number;
  /** Bytes that may wait, and that it has. */
  readonly most: number;
  readonly size: number;
}

/** What the loops have in common. */
interface Rounds {
  readonly rings: readonly RingWatch[];
  readonly row: Local;
  readonly end: Local;
  /** The program's place in the table. */
  readonly program: Local;
  readonly context: Local;
  readonly area: Local;
}

/** Runs the rows. @param prepare makes the context; it leaves by `odd` where the packet can't be run here */
function overPackets(
  module: ModuleWriter,
  { rings, row, end, program, context, area }: Rounds,
  addr: Local,
  length: Local,
  prepare: (odd: { readonly goIf: (condition: Expr) => Expr }) => Expr,
  left: Expr,
): Expr {
  const type = module.type(ENTRY);
  return seq(
    block((done) =>
      loop((again) =>
        seq(
          done.goIf(eq(row.get, end.get)),
          length.set(and(load(row.get, ROW.length), i32(LENGTH))),
          addr.set(load(row.get, ROW.addr)),
          prepare(done),
          // Where a run that faults was.
          store(area.get, row.get, AREA.row),
          store(area.get, i32(0), AREA.tailCalls),
          store(
            row.get,
            low(callIndirect(type, program.get, add(area.get, i32(AREA.top)), context.get)),
            ROW.verdict,
          ),
          store(row.get, left, ROW.left),
          row.set(add(row.get, i32(ROW.size))),
          ...rings.map(({ consumer, producer, most }) =>
            done.goIf(gtU(sub(load(i32(0), producer), load(i32(0), consumer)), i32(most))),
          ),
          again.go,
        ),
      ),
    ),
    result(row.get),
  );
}

/** `value` between `least` and `most`. */
const outside = (value: Expr, least: number, most: number) => gtU(sub(value, i32(least)), i32(most - least));

type Five = [Local, Local, Local, Local, Local];

/**
 * XDP: `(row, end, program, context, area)`; the context's members that don't change from packet to packet are set.
 * @param frame the packet is copied into the frame that the context was made with, headroom before it, so that it can move
 */
export function defineXdp(
  module: ModuleWriter,
  { frame, rings }: { readonly frame: boolean; readonly rings: readonly RingWatch[] },
): number {
  const at = XDP_BUFF.members;
  return define(module, { params: 5, results: ['i32'] }, ({ params, local }) => {
    const [row, end, program, context, area] = params as Five;
    const addr = local();
    const length = local();
    const start = local();
    const pointer = (member: { readonly offset: number }, value: Expr) =>
      store64(context.get, wide(value), member.offset);
    const intoFrame = seq(
      fill(start.tee(load(context.get, at.data_hard_start.offset)), i32(0), i32(XDP_HEADROOM)),
      copy(start.tee(add(start.get, i32(XDP_HEADROOM))), addr.get, length.get),
      addr.set(start.get),
    );
    return overPackets(
      module,
      { rings, row, end, program, context, area },
      addr,
      length,
      (odd) =>
        seq(
          odd.goIf(outside(length.get, ETH_HLEN, XDP_ROOM)),
          frame ? intoFrame : nothing,
          pointer(at.data, addr.get),
          pointer(at.data_meta, addr.get),
          pointer(at.data_end, add(addr.get, length.get)),
        ),
      sub(load(context.get, at.data_end.offset), load(context.get, at.data_meta.offset)),
    );
  });
}

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const big = (protocol: number) => ((protocol & 0xff) << 8) | (protocol >> 8);

/** @see include/uapi/linux/if_packet.h, PACKET_HOST and its kin */
const HOST = 0;
const MULTICAST = 2;
const OTHERHOST = 3;

/** How the skb lies to the packet. */
export interface SkbPlace {
  /** Bytes that count as in front of the packet: a link layer header that the program sees behind it once more. */
  readonly lead: number;
  /** They are put there: over the header of the packet's record, or room that is left for them. */
  readonly leads: boolean;
  /** The skb begins behind the link layer header. */
  readonly atNetwork: boolean;
  /** The program can tell what socket the packet has. */
  readonly sock: boolean;
  /** The program writes into the skb, so that each packet needs a fresh one. */
  readonly fresh: boolean;
  readonly rings: readonly RingWatch[];
}

/**
 * Socket buffers on the loopback device: `(row, end, program, context, area, template)`. `template` is the skb of any packet,
 * as long as the context is.
 */
export function defineSkb(
  module: ModuleWriter,
  { lead, leads, atNetwork, sock, fresh, rings }: SkbPlace,
): number {
  const at = SK_BUFF.members;
  const cb = BPF_SKB_DATA_END.members;
  return define(module, { params: 6, results: ['i32'] }, ({ params, local }) => {
    const [row, end, program, context, area, template] = params as [...Five, Local];
    const addr = local();
    const length = local();
    const protocol = local();
    const head = local();
    const data = local();
    const size = local();
    const member = (name: keyof typeof at, value: Expr, put = store) =>
      put(context.get, value, at[name].offset);
    const pointer = (offset: number, value: Expr) => store64(context.get, wide(value), offset);
    const skip = atNetwork ? ETH_HLEN : 0;
    return overPackets(
      module,
      { rings, row, end, program, context, area },
      addr,
      length,
      (odd) =>
        seq(
          odd.goIf(ltU(length.get, i32(ETH_HLEN))),
          // From here on the frame is what TEST_RUN would be given.
          lead === 0
            ? nothing
            : seq(addr.set(sub(addr.get, i32(lead))), length.set(add(length.get, i32(lead)))),
          odd.goIf(gtU(length.get, i32(SKB_ROOM))),
          lead > 0 && leads ? copy(addr.get, add(addr.get, i32(lead)), i32(lead)) : nothing,
          protocol.set(frameProtocol(addr.get, length.get)),
          odd.goIf(
            ltU(
              sub(length.get, i32(ETH_HLEN)),
              choice(
                eq(protocol.get, i32(big(ETH_P_IP))),
                i32(20),
                select(eq(protocol.get, i32(big(ETH_P_IPV6))), i32(40), i32(0)),
              ),
            ),
          ),
          fresh ? copy(context.get, template.get, i32(SK_BUFF.size)) : nothing,
          head.set(sub(addr.get, i32(SKB_HEADROOM))),
          data.set(add(addr.get, i32(skip))),
          size.set(sub(length.get, i32(skip))),
          pointer(at.head.offset, head.get),
          // The shared info stays where the template has it: that far behind the head.
          member(
            'end',
            sub(add(load(template.get, at.head.offset), load(template.get, at.end.offset)), head.get),
          ),
          pointer(at.data.offset, data.get),
          member('len', size.get),
          member('tail', add(length.get, i32(SKB_HEADROOM))),
          member('protocol', protocol.get, store16),
          member('pkt_type', packetType(addr.get), store8),
          pointer(at.cb.offset + cb.data_meta.offset, data.get),
          pointer(at.cb.offset + cb.data_end.offset, add(data.get, size.get)),
          sock ? setSock(load(context.get, at.sk.offset), addr, protocol) : nothing,
        ),
      load(context.get, at.len.offset),
    );
  });
}

/** What the frame carries, in network order. */
function frameProtocol(addr: Expr, length: Expr): Expr {
  const type = load16(addr, 12);
  // 0x0600 and up is a protocol; below it is a length.
  return choice(
    geU(load8(addr, 12), i32(6)),
    type,
    choice(and(gtU(length, i32(15)), eq(load16(addr, 14), i32(0xffff))), i32(big(0x0001)), i32(big(0x0004))),
  );
}

/** Whom the frame is for on the loopback device, whose address is all zero. */
function packetType(addr: Expr): Expr {
  return choice(
    or(load(addr, 0), load16(addr, 4)),
    select(and(load8(addr), i32(1)), i32(MULTICAST), i32(OTHERHOST)),
    i32(HOST),
  );
}

/** The packet's addresses become those of its socket, as TEST_RUN has it. */
function setSock(socket: Expr, addr: Local, protocol: Local): Expr {
  const at = SOCK_COMMON.members;
  const base = SOCK.members.__sk_common.offset;
  const word = (member: { readonly offset: number }, value: Expr, put = store) =>
    put(socket, value, base + member.offset);
  const copyV6 = (member: { readonly offset: number }, from: number) =>
    seq(
      store64(socket, load64(addr.get, from), base + member.offset),
      store64(socket, load64(addr.get, from + 8), base + member.offset + 8),
    );
  return seq(
    fill(socket, i32(0), i32(SOCK.size)),
    when(
      eq(protocol.get, i32(big(ETH_P_IP))),
      seq(
        word(at.skc_family, i32(2), store16),
        word(at.skc_rcv_saddr, load(addr.get, 26)),
        word(at.skc_daddr, load(addr.get, 30)),
      ),
      when(
        eq(protocol.get, i32(big(ETH_P_IPV6))),
        seq(
          word(at.skc_family, i32(10), store16),
          copyV6(at.skc_v6_rcv_saddr, 22),
          copyV6(at.skc_v6_daddr, 38),
        ),
      ),
    ),
  );
}
