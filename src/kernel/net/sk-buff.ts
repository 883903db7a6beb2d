/**
 * `struct sk_buff` with its data, always linear. One object serves any number of packets; its data moves to a larger
 * block when a program makes it grow.
 *
 * @see include/linux/skbuff.h; net/core/filter.c, the bpf_skb_* helpers
 */
import type { Size } from '../../isa/index.ts';
import { errnoId } from '../../sys/errno.ts';
import type { RunContext } from '../interpreter/environment.ts';
import type { Addr, Memory } from '../memory/index.ts';
import { csumAdd, csumFold, csumPartial, csumReplace2, csumShift, csumSub } from './checksum.ts';
import type { NetDevice } from './device.ts';
import type { FieldView } from './field-view.ts';
import { flowHash, frameProtocol, PACKET_OTHERHOST, packetType } from './frame.ts';
import {
  BPF_SKB_DATA_END,
  QDISC_SKB_CB,
  SK_BUFF,
  SKB_SHARED_INFO,
  SKB_VLAN,
  SOCK,
  SOCK_COMMON,
} from './structs.ts';

/** Room in front of the packet. @see include/linux/skbuff.h, NET_SKB_PAD + NET_IP_ALIGN on x86-64 */
export const SKB_HEADROOM = 64;
const ETH_HLEN = 14;
const VLAN_HLEN = 4;
/** Largest packet that a program may make. @see net/core/filter.c, BPF_SKB_MAX_LEN */
const MAX_LEN = 16384 - 320;
/** A header offset that was not set. */
const UNSET = 0xffff;

export const CHECKSUM_NONE = 0;
export const CHECKSUM_UNNECESSARY = 1;
export const CHECKSUM_COMPLETE = 2;
const MAX_CSUM_LEVEL = 3;

/** State of a socket that is not connected. */
const TCP_CLOSE = 7;

const ETH_P_8021Q = 0x8100;
const ETH_P_8021AD = 0x88a8;
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;

const EINVAL = -errnoId('EINVAL');
const ENOMEM = -errnoId('ENOMEM');
const EFAULT = -errnoId('EFAULT');
const ENOTSUPP = -errnoId('ENOTSUPP');
const EACCES = -errnoId('EACCES');

const AT = SK_BUFF.members;
const CB = AT.cb.offset;
const DATA_END = BPF_SKB_DATA_END.members;

/** A 16-bit value in the other byte order. */
export const swap16 = (value: number): number => ((value & 0xff) << 8) | ((value >> 8) & 0xff);
/** `VLAN_MAX_DEPTH`. */
const MAX_TAGS = 8;
const isVlan = (protocol: number): boolean => protocol === ETH_P_8021Q || protocol === ETH_P_8021AD;

/** What a program has said of the tunnel that the packet goes into. */
export interface Tunnel {
  /** A `struct bpf_tunnel_key`. */
  readonly key: Uint8Array;
  readonly ipv6: boolean;
  readonly flags: number;
  options: Uint8Array | undefined;
}

export class SkBuff implements RunContext {
  tunnel: Tunnel | undefined;
  /** There is only the data, as where a flow dissector is tried out: nothing else is loaded from it. */
  dataOnly = false;
  /** An outer header was put in front. */
  encapsulated = false;
  readonly #memory: Memory;
  readonly addr: Addr;
  readonly size: number;
  readonly #view: FieldView;
  readonly #sk: Addr;
  /** The data's block; the shared info lies behind its `#capacity` bytes. */
  #head: Addr;
  #capacity: number;

  constructor(memory: Memory, view: FieldView) {
    this.#memory = memory;
    this.#view = view;
    this.size = view.size;
    this.addr = memory.allocate(Math.max(SK_BUFF.size, view.size), {
      kind: 'ctx',
      owner: 'sk_buff',
      access: 'none',
    });
    this.#sk = memory.allocate(SOCK.size, { kind: 'kernel', owner: 'sock', access: 'none' });
    this.#capacity = 4096;
    this.#head = this.#allocate(this.#capacity);
  }

  close(): void {
    for (const addr of [this.addr, this.#sk, this.#head]) this.#memory.free(addr);
  }

  #allocate(capacity: number): Addr {
    return this.#memory.allocate(capacity + SKB_SHARED_INFO.size, {
      kind: 'packet',
      owner: 'sk_buff data',
      access: 'none',
    });
  }

  // Members.

  #u32(member: { readonly offset: number }): number {
    return this.#memory.readU32(this.addr + member.offset);
  }
  #setU32(member: { readonly offset: number }, value: number): void {
    this.#memory.writeU32(this.addr + member.offset, value);
  }
  #u16(member: { readonly offset: number }): number {
    return this.#memory.view.getUint16(this.addr + member.offset, true);
  }
  #setU16(member: { readonly offset: number }, value: number): void {
    this.#memory.view.setUint16(this.addr + member.offset, value, true);
  }
  #u8(member: { readonly offset: number }): number {
    return this.#memory.u8[this.addr + member.offset]!;
  }
  #setU8(member: { readonly offset: number }, value: number): void {
    this.#memory.u8[this.addr + member.offset] = value;
  }

  get len(): number {
    return this.#u32(AT.len);
  }
  get data(): number {
    return this.#u32(AT.data);
  }
  /** In host order. */
  get protocol(): number {
    return swap16(this.#u16(AT.protocol));
  }
  set protocol(value: number) {
    this.#setU16(AT.protocol, swap16(value));
  }
  /** Address of the `struct net_device`. */
  get device(): number {
    return this.#u32(AT.dev);
  }
  /** It is to be cut in segments. */
  get isGso(): boolean {
    return SKB_SHARED_INFO.read(this.#memory.view, this.#head + this.#capacity).gso_size !== 0;
  }
  /** Bytes from the link layer header to the network header. */
  get linkHeaderLength(): number {
    return this.#u16(AT.network_header) - this.#u16(AT.mac_header);
  }
  get networkOffset(): number {
    return this.#headerOffset(AT.network_header);
  }
  get ipSummed(): number {
    return this.#u8(AT.ip_summed);
  }
  get csum(): number {
    return this.#u32(AT.csum);
  }
  set csum(value: number) {
    this.#setU32(AT.csum, value);
  }
  get packetStart(): number {
    return this.#u32({ offset: CB + DATA_END.data_meta.offset });
  }
  get packetEnd(): number {
    return this.#u32({ offset: CB + DATA_END.data_end.offset });
  }
  /** Offset of a header from the data's start. */
  #headerOffset(member: { readonly offset: number }): number {
    return this.#head + this.#u16(member) - this.data;
  }

  /** Tells programs where the data is now. */
  #computePointers(): void {
    this.#setU32({ offset: CB + DATA_END.data_meta.offset }, this.data);
    this.#setU32({ offset: CB + DATA_END.data_end.offset }, this.data + this.len);
  }

  /** The packet as it is. */
  packet(): Uint8Array {
    return this.#memory.read(this.data as Addr, this.len);
  }

  /**
   * Makes the skb of a received Ethernet frame: at its network header when `atNetwork`, else at the start.
   * The frame has at least {@link ETH_HLEN} bytes.
   */
  load(frame: Uint8Array, device: NetDevice, atNetwork: boolean): void {
    const memory = this.#memory;
    this.tunnel = undefined;
    this.encapsulated = false;
    if (SKB_HEADROOM + frame.length > this.#capacity) this.#replaceHead(SKB_HEADROOM + frame.length);
    memory.fill(this.addr, SK_BUFF.size, 0);
    memory.fill(this.#head, this.#capacity + SKB_SHARED_INFO.size, 0);
    memory.u8.set(frame, this.#head + SKB_HEADROOM);
    this.#setU32(AT.head, this.#head);
    this.#setU32(AT.end, this.#capacity);
    this.#setU32(AT.dev, device.addr);
    this.#setU32(AT.sk, this.#sk);
    this.#setU16(AT.mac_header, SKB_HEADROOM);
    this.#setU16(AT.network_header, SKB_HEADROOM + ETH_HLEN);
    this.#setU16(AT.transport_header, UNSET);
    const protocol = frameProtocol(frame);
    this.#setU16(AT.protocol, swap16(protocol));
    this.#setU8(AT.pkt_type, packetType(frame, device));
    const skip = atNetwork ? ETH_HLEN : 0;
    this.#setU32(AT.data, this.#head + SKB_HEADROOM + skip);
    this.#setU32(AT.len, frame.length - skip);
    this.#setU32(AT.tail, SKB_HEADROOM + frame.length);
    this.#computePointers();
    this.#setSock(frame, protocol);
  }

  /** The packet's addresses become those of its socket, as TEST_RUN has it. */
  #setSock(frame: Uint8Array, protocol: number): void {
    const memory = this.#memory;
    const at = this.#sk + SOCK.members.__sk_common.offset;
    const members = SOCK_COMMON.members;
    memory.fill(this.#sk, SOCK.size, 0);
    memory.u8[at + members.skc_state.offset] = TCP_CLOSE;
    memory.view.setInt32(at + members.skc_rx_queue_mapping.offset, -1, true);
    if (protocol === ETH_P_IP) {
      memory.view.setUint16(at + members.skc_family.offset, 2, true);
      memory.u8.set(frame.subarray(26, 30), at + members.skc_rcv_saddr.offset);
      memory.u8.set(frame.subarray(30, 34), at + members.skc_daddr.offset);
    } else if (protocol === ETH_P_IPV6) {
      memory.view.setUint16(at + members.skc_family.offset, 10, true);
      memory.u8.set(frame.subarray(22, 38), at + members.skc_v6_rcv_saddr.offset);
      memory.u8.set(frame.subarray(38, 54), at + members.skc_v6_daddr.offset);
    }
  }

  /** Sets what a `struct __sk_buff` may bring to a test run. */
  adopt(members: {
    readonly mark: number;
    readonly priority: number;
    readonly iif: number;
    readonly tstamp: bigint;
    readonly cb: Uint8Array;
    readonly wireLen: number;
    readonly gsoSegs: number;
    readonly gsoSize: number;
    readonly hwtstamp: bigint;
  }): void {
    const memory = this.#memory;
    this.#setU32(AT.mark, members.mark);
    this.#setU32(AT.priority, members.priority);
    this.#setU32(AT.skb_iif, members.iif);
    memory.writeU64(this.addr + AT.tstamp.offset, members.tstamp);
    memory.write((this.addr + CB + QDISC_SKB_CB.members.data.offset) as Addr, members.cb);
    memory.writeU32(this.addr + CB + QDISC_SKB_CB.members.pkt_len.offset, members.wireLen);
    SKB_SHARED_INFO.patch(memory.view, this.#head + this.#capacity, {
      gso_segs: members.gsoSegs,
      gso_size: members.gsoSize,
      hwtstamps: { hwtstamp: members.hwtstamp },
    });
  }

  /** The same members as they are now. */
  members() {
    const memory = this.#memory;
    const info = SKB_SHARED_INFO.read(memory.view, this.#head + this.#capacity);
    return {
      mark: this.#u32(AT.mark),
      priority: this.#u32(AT.priority),
      iif: this.#u32(AT.skb_iif),
      tstamp: memory.readU64(this.addr + AT.tstamp.offset),
      cb: memory.read((this.addr + CB + QDISC_SKB_CB.members.data.offset) as Addr, 20),
      wireLen: memory.readU32(this.addr + CB + QDISC_SKB_CB.members.pkt_len.offset),
      gsoSegs: info.gso_segs,
      gsoSize: info.gso_size,
      hwtstamp: info.hwtstamps.hwtstamp,
    };
  }

  /** Takes the checksum of everything from the network header on as the hardware's. */
  setChecksumComplete(): void {
    this.csum = this.#sumFromNetwork();
    this.#setU8(AT.ip_summed, CHECKSUM_COMPLETE);
  }

  /** Whether the hardware's checksum, kept up to date by the program, still holds. */
  checksumHolds(): boolean {
    return csumFold(this.csum) === csumFold(this.#sumFromNetwork());
  }

  #sumFromNetwork(): number {
    const off = this.#headerOffset(AT.network_header);
    return csumPartial(this.#memory.window((this.data + off) as Addr, this.len - off), 0);
  }

  /** Puts a zeroed link layer header in front of a packet that was handed over without. */
  pushEthernet(): void {
    this.#push(ETH_HLEN);
    this.#memory.fill(this.data as Addr, ETH_HLEN, 0);
  }

  // As a context.

  read(offset: number, size: Size): bigint | undefined {
    return this.#view.read(this.#memory, this.addr, offset, size);
  }
  write(offset: number, size: Size, value: bigint): boolean {
    return this.#view.write(this.#memory, this.addr, offset, size, value);
  }

  loadPacket(offset: number, size: 1 | 2 | 4): number | undefined {
    const at = this.#legacyOffset(offset);
    const { view } = this.#memory;
    if (at === undefined || at < this.#u32(AT.head) || at + size > this.data + this.len) return undefined;
    if (size === 1) return view.getUint8(at);
    return size === 2 ? view.getUint16(at) : view.getUint32(at);
  }

  /** Negative offsets of legacy loads count from the link layer or network header. @see include/uapi/linux/filter.h */
  #legacyOffset(offset: number): number | undefined {
    const SKF_NET_OFF = -0x100000;
    const SKF_LL_OFF = -0x200000;
    if (offset >= 0) return this.data + offset;
    if (offset >= SKF_NET_OFF)
      return this.#u32(AT.head) + this.#u16(AT.network_header) + offset - SKF_NET_OFF;
    if (offset >= SKF_LL_OFF) return this.#u32(AT.head) + this.#u16(AT.mac_header) + offset - SKF_LL_OFF;
    return undefined;
  }

  // Room.

  #replaceHead(needed: number): void {
    const capacity = Math.ceil(needed / 4096) * 4096;
    const head = this.#allocate(capacity);
    this.#memory.free(this.#head);
    this.#head = head;
    this.#capacity = capacity;
  }

  /** Moves the data to a block with that much more room in front and behind. */
  #expand(front: number, back: number): void {
    const memory = this.#memory;
    const old = this.#head;
    const capacity = Math.ceil((this.#capacity + front + back) / 64) * 64;
    const head = this.#allocate(capacity);
    memory.copy((head + front) as Addr, old, this.#capacity);
    memory.copy((head + capacity) as Addr, (old + this.#capacity) as Addr, SKB_SHARED_INFO.size);
    this.#setU32(AT.head, head);
    this.#setU32(AT.end, capacity);
    this.#setU32(AT.data, this.data - old + head + front);
    this.#setU32(AT.tail, this.#u32(AT.tail) + front);
    for (const header of [AT.mac_header, AT.network_header, AT.transport_header]) {
      if (this.#u16(header) !== UNSET) this.#setU16(header, this.#u16(header) + front);
    }
    memory.free(old);
    this.#head = head;
    this.#capacity = capacity;
  }

  #push(bytes: number): void {
    const room = this.data - this.#head;
    if (room < bytes) this.#expand(Math.ceil((bytes - room) / 64) * 64, 0);
    this.#setU32(AT.data, this.data - bytes);
    this.#setU32(AT.len, this.len + bytes);
  }

  #setLen(len: number): void {
    const start = this.data - this.#head;
    if (start + len > this.#capacity) this.#expand(0, start + len - this.#capacity);
    this.#setU32(AT.len, len);
    this.#setU32(AT.tail, start + len);
  }

  // What the helpers do.

  /** `bpf_skb_load_bytes`. What was asked for is zeroed when it can't be had. */
  loadBytes(offset: number, to: Addr, length: number): number {
    return this.#copyOut(this.data + offset, offset <= 0x7fff_ffff, to, length);
  }

  /** `bpf_skb_load_bytes_relative`. @param start 0 link layer header, 1 network header */
  loadBytesRelative(offset: number, to: Addr, length: number, start: number): number {
    const header = start === 0 ? AT.mac_header : AT.network_header;
    const known = offset <= 0xffff && (start === 0 || start === 1);
    return this.#copyOut(this.#head + this.#u16(header) + offset, known, to, length);
  }

  #copyOut(from: number, allowed: boolean, to: Addr, length: number): number {
    if (!allowed || from + length > this.data + this.len) {
      this.#memory.fill(to, length, 0);
      return EFAULT;
    }
    this.#memory.copy(to, from as Addr, length);
    return 0;
  }

  /** `bpf_skb_store_bytes`. */
  storeBytes(
    offset: number,
    from: Addr,
    length: number,
    recompute: boolean,
    invalidateHash: boolean,
  ): number {
    if (offset > 0x7fff_ffff || offset + length > this.len) return EFAULT;
    const at = (this.data + offset) as Addr;
    const complete = recompute && this.ipSummed === CHECKSUM_COMPLETE;
    const sum = () => csumShift(csumPartial(this.#memory.window(at, length), 0), offset);
    if (complete) this.csum = csumSub(this.csum, sum());
    this.#memory.copy(at, from, length);
    if (complete) this.csum = csumAdd(this.csum, sum());
    if (invalidateHash) this.clearHash();
    return 0;
  }

  /** Whether the first `length` bytes can be written: `bpf_skb_pull_data`. The data is linear, so all that there are. */
  pull(length: number): number {
    return length > this.len ? -errnoId('ENOMEM') : 0;
  }

  /** A 16-bit checksum in the packet, for `bpf_l3_csum_replace` and its kin. @returns its address or a negative errno */
  checksumAt(offset: number): Addr | number {
    if (offset > 0xffff || offset & 1 || offset + 2 > this.len) return EFAULT;
    return (this.data + offset) as Addr;
  }

  /** `bpf_skb_change_tail`. */
  changeTail(len: number, flags: bigint): number {
    const network = this.#headerOffset(AT.network_header);
    const transport = this.#u16(AT.transport_header) === UNSET ? 0 : this.#headerOffset(AT.transport_header);
    const least = transport > 0 ? transport : Math.max(network, 0);
    if (flags !== 0n || len > MAX_LEN || len < least) return EINVAL;
    const old = this.len;
    if (len !== old && this.ipSummed === CHECKSUM_COMPLETE) this.#setU8(AT.ip_summed, CHECKSUM_NONE);
    this.#setLen(len);
    if (len > old) this.#memory.fill((this.data + old) as Addr, len - old, 0);
    this.#computePointers();
    return 0;
  }

  /** `bpf_skb_change_head`. */
  changeHead(bytes: number, flags: bigint): number {
    if (flags !== 0n || this.len + bytes > MAX_LEN) return EINVAL;
    this.#push(bytes);
    this.#memory.fill(this.data as Addr, bytes, 0);
    this.#setU16(AT.mac_header, this.data - this.#head);
    this.#setU16(AT.mac_len, this.#u16(AT.network_header) - this.#u16(AT.mac_header));
    this.#computePointers();
    return 0;
  }

  /** Makes room of zeros in the headers; what is in front of it moves. */
  insertHeader(offset: number, bytes: number): void {
    const together = this.#u16(AT.transport_header) === this.#u16(AT.network_header);
    this.#push(bytes);
    this.#memory.copy(this.data as Addr, (this.data + bytes) as Addr, offset);
    this.#memory.fill((this.data + offset) as Addr, bytes, 0);
    this.#moveHeaders(-bytes, together);
  }

  /** Takes bytes out of the headers; what is in front of them moves. @returns false when there are not so many */
  removeHeader(offset: number, bytes: number): boolean {
    if (offset + bytes > this.len) return false;
    const together = this.#u16(AT.transport_header) === this.#u16(AT.network_header);
    const memory = this.#memory;
    if (this.ipSummed === CHECKSUM_COMPLETE) {
      this.csum = csumSub(this.csum, csumPartial(memory.window((this.data + offset) as Addr, bytes), 0));
    }
    memory.copy((this.data + bytes) as Addr, this.data as Addr, offset);
    this.#setU32(AT.data, this.data + bytes);
    this.#setU32(AT.len, this.len - bytes);
    this.#moveHeaders(bytes, together);
    return true;
  }

  #moveHeaders(by: number, together: boolean): void {
    this.#setU16(AT.mac_header, this.#u16(AT.mac_header) + by);
    this.#setU16(AT.network_header, this.#u16(AT.network_header) + by);
    if (together) this.#setU16(AT.transport_header, this.#u16(AT.network_header));
  }

  /** Tells programs where the data is now. */
  refresh(): void {
    this.#computePointers();
  }

  setTimestamp(time: bigint, clock: number): void {
    this.#memory.writeU64(this.addr + AT.tstamp.offset, time);
    this.#setU8(AT.tstamp_type, clock);
  }

  /**
   * The protocol behind VLAN tags, which are looked for behind a link header of the usual size; 0 where they don't end.
   * @see include/linux/if_vlan.h, __vlan_get_protocol
   */
  networkProtocol(): number {
    let { protocol } = this;
    let offset = ETH_HLEN;
    for (let depth = MAX_TAGS; isVlan(protocol); offset += VLAN_HLEN) {
      if (offset + VLAN_HLEN > this.len || --depth === 0) return 0;
      protocol = this.#memory.view.getUint16(this.data + offset + 2);
    }
    return protocol;
  }

  /** Sets both congestion bits of the network header. @returns false when its sender does not take part */
  markCongestion(ipv6: boolean, header: number, bits: number): boolean {
    const at = this.data + this.networkOffset;
    if (this.networkOffset + header > this.len) return false;
    const { view } = this.#memory;
    const shift = ipv6 ? 4 : 0;
    const word = view.getUint16(at);
    const now = (word >> shift) & bits;
    if (now === 0) return false;
    if (now === bits) return true;
    const marked = word | (bits << shift);
    view.setUint16(at, marked);
    if (!ipv6) view.setUint16(at + 10, csumReplace2(view.getUint16(at + 10), word, marked));
    return true;
  }

  /** `bpf_csum_update`. */
  csumUpdate(csum: number): number {
    if (this.ipSummed !== CHECKSUM_COMPLETE) return ENOTSUPP;
    this.csum = csumAdd(this.csum, csum);
    return this.csum;
  }

  /** `bpf_csum_level`. @param level 0 query, 1 increment, 2 decrement, 3 reset */
  csumLevel(level: bigint): number {
    const now = this.#u8(AT.csum_level);
    switch (level) {
      case 0n:
        return this.ipSummed === CHECKSUM_UNNECESSARY ? now : EACCES;
      case 1n:
        if (this.ipSummed === CHECKSUM_UNNECESSARY) {
          if (now < MAX_CSUM_LEVEL) this.#setU8(AT.csum_level, now + 1);
        } else if (this.ipSummed === CHECKSUM_NONE) {
          this.#setU8(AT.ip_summed, CHECKSUM_UNNECESSARY);
          this.#setU8(AT.csum_level, 0);
        }
        return 0;
      case 2n:
        if (this.ipSummed !== CHECKSUM_UNNECESSARY) return 0;
        if (now === 0) this.#setU8(AT.ip_summed, CHECKSUM_NONE);
        else this.#setU8(AT.csum_level, now - 1);
        return 0;
      case 3n:
        if (this.ipSummed !== CHECKSUM_UNNECESSARY) return 0;
        this.#setU8(AT.ip_summed, CHECKSUM_NONE);
        this.#setU8(AT.csum_level, 0);
        return 0;
      default:
        return EINVAL;
    }
  }

  /** `bpf_skb_change_type`. */
  changeType(type: number): number {
    if (this.#u8(AT.pkt_type) > PACKET_OTHERHOST || type > PACKET_OTHERHOST) return EINVAL;
    this.#setU8(AT.pkt_type, type);
    return 0;
  }

  /** `bpf_set_hash_invalid`. */
  clearHash(): void {
    this.#setU32(AT.hash, 0);
    this.#setU8(AT.l4_hash, 0);
    this.#setU8(AT.sw_hash, 0);
  }

  /** `bpf_set_hash`. */
  setHash(hash: number): void {
    this.#setU32(AT.hash, hash);
    this.#setU8(AT.l4_hash, 1);
    this.#setU8(AT.sw_hash, 1);
  }

  /** The hash, computed when there is none: `bpf_get_hash_recalc`. Linux's is keyed with a secret; this one is not. */
  hash(): number {
    if (this.#u8(AT.l4_hash) === 0 && this.#u8(AT.sw_hash) === 0) {
      this.#setU32(AT.hash, flowHash(this.#memory.window(this.data as Addr, Math.min(this.len, 64))));
      this.#setU8(AT.sw_hash, 1);
    }
    return this.#u32(AT.hash);
  }

  /** `bpf_skb_vlan_push`: the tag goes beside the packet, one that was there goes into it. */
  vlanPush(protocol: number, tci: number): number {
    const proto = isVlan(protocol) ? protocol : ETH_P_8021Q;
    if (this.#vlanPresent()) {
      if (this.#headerOffset(AT.mac_header) !== 0) return EINVAL;
      const old = { proto: this.#vlanProto(), tci: this.#vlanTci() };
      this.#insertTag(old.proto, old.tci);
      this.#setU16(AT.protocol, swap16(old.proto));
      this.#setU16(AT.mac_len, this.#u16(AT.mac_len) + VLAN_HLEN);
    }
    this.#setVlan(proto, tci);
    this.#computePointers();
    return 0;
  }

  /** `bpf_skb_vlan_pop`: drops the tag beside the packet, or the one in it, and takes the next one out. */
  vlanPop(): number {
    let status = 0;
    if (this.#vlanPresent()) this.#setU32(AT.vlan_all, 0);
    else if (isVlan(this.protocol)) status = this.#removeTag() < 0 ? ENOMEM : 0;
    else return 0;
    if (status === 0 && isVlan(this.protocol)) {
      const protocol = this.protocol;
      const tci = this.#removeTag();
      if (tci < 0) status = ENOMEM;
      else this.#setVlan(protocol, tci);
    }
    this.#computePointers();
    return status;
  }

  #vlanPresent(): boolean {
    return this.#u32(AT.vlan_all) !== 0;
  }
  #vlanProto(): number {
    return swap16(this.#u16({ offset: AT.vlan_all.offset + SKB_VLAN.members.vlan_proto.offset }));
  }
  #vlanTci(): number {
    return this.#u16({ offset: AT.vlan_all.offset + SKB_VLAN.members.vlan_tci.offset });
  }
  #setVlan(proto: number, tci: number): void {
    this.#setU16({ offset: AT.vlan_all.offset + SKB_VLAN.members.vlan_proto.offset }, swap16(proto));
    this.#setU16({ offset: AT.vlan_all.offset + SKB_VLAN.members.vlan_tci.offset }, tci);
  }

  #insertTag(proto: number, tci: number): void {
    this.#push(VLAN_HLEN);
    this.#memory.copy(this.data as Addr, (this.data + VLAN_HLEN) as Addr, 12);
    this.#memory.view.setUint16(this.data + 12, proto);
    this.#memory.view.setUint16(this.data + 14, tci);
    this.#setU16(AT.mac_header, this.#u16(AT.mac_header) - VLAN_HLEN);
    if (this.ipSummed === CHECKSUM_COMPLETE) {
      const tag = csumPartial(this.#memory.window((this.data + 12) as Addr, VLAN_HLEN), 0);
      this.csum = csumAdd(this.csum, tag);
    }
  }

  /** @returns the tag's control information, or -1 when there is no room for a tag in the packet */
  #removeTag(): number {
    const memory = this.#memory;
    if (this.#headerOffset(AT.mac_header) !== 0 || this.len < ETH_HLEN + VLAN_HLEN) return -1;
    if (this.ipSummed === CHECKSUM_COMPLETE) {
      const tag = csumPartial(memory.window((this.data + 12) as Addr, VLAN_HLEN), 0);
      this.csum = csumSub(this.csum, tag);
    }
    const tci = memory.view.getUint16(this.data + 14);
    this.#setU16(AT.protocol, swap16(memory.view.getUint16(this.data + 16)));
    memory.copy((this.data + VLAN_HLEN) as Addr, this.data as Addr, 12);
    this.#setU32(AT.data, this.data + VLAN_HLEN);
    this.#setU32(AT.len, this.len - VLAN_HLEN);
    this.#setU16(AT.mac_header, this.#u16(AT.mac_header) + VLAN_HLEN);
    if (this.#headerOffset(AT.network_header) < ETH_HLEN) {
      this.#setU16(AT.network_header, this.data - this.#head + ETH_HLEN);
    }
    this.#setU16(AT.mac_len, this.#u16(AT.network_header) - this.#u16(AT.mac_header));
    return tci;
  }

  /** Address of bytes that lie together, or 0. */
  linear(offset: number, length: number): number {
    return offset + length > this.len ? 0 : this.data + offset;
  }

  /** Members of Linux's `struct sk_buff` as they are, for programs that look at it. */
  kernelMembers(): Record<string, bigint | number> {
    return {
      len: this.len,
      data_len: 0,
      protocol: this.#u16(AT.protocol),
      mark: this.#u32(AT.mark),
      priority: this.#u32(AT.priority),
      skb_iif: this.#u32(AT.skb_iif),
      hash: this.#u32(AT.hash),
      head: BigInt(this.#head),
      data: BigInt(this.data),
      tail: this.#u32(AT.tail),
      end: this.#u32(AT.end),
      mac_header: this.#u16(AT.mac_header),
      network_header: this.#u16(AT.network_header),
      transport_header: this.#u16(AT.transport_header),
      mac_len: this.#u16(AT.mac_len),
      queue_mapping: this.#u16(AT.queue_mapping),
      tc_index: this.#u16(AT.tc_index),
      tstamp: this.#memory.readU64(this.addr + AT.tstamp.offset),
      sk: BigInt(this.#sk),
    };
  }

  /** A copy of the packet's first bytes, for events. */
  head(length: number): Uint8Array | undefined {
    return length > this.len ? undefined : this.#memory.read(this.data as Addr, length);
  }
}
