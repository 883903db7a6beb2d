/**
 * `struct xdp_buff` with its frame: one page that holds headroom, metadata, packet and tailroom, and behind it pages
 * for what a larger packet has over. One object serves any number of packets.
 *
 * @see include/net/xdp.h; net/core/filter.c, the bpf_xdp_* helpers
 */
import type { Size } from '../../isa/index.ts';
import { errnoId } from '../../sys/errno.ts';
import type { RunContext } from '../interpreter/environment.ts';
import type { Addr, Memory } from '../memory/index.ts';
import type { NetDevice } from './device.ts';
import type { FieldView } from './field-view.ts';
import { XDP_BUFF, XDP_RXQ_INFO, XDP_TXQ_INFO } from './structs.ts';

export const XDP_HEADROOM = 256;
/** Bytes at the frame's end that the kernel keeps for `struct skb_shared_info`. */
export const SHARED_INFO_ROOM = 320;
export const FRAME_SIZE = 4096;
export const MAX_FRAGS = 17;
/** Bytes at the frame's start where `struct xdp_frame` will be. */
const XDP_FRAME_SIZE = 40;
const ETH_HLEN = 14;
/** `MAX_SKB_FRAGS` pages behind the frame. */
const FRAGS_FLAG = 1;
const MAX_METADATA = 252;

const AT = XDP_BUFF.members;
const EINVAL = -errnoId('EINVAL');
const EACCES = -errnoId('EACCES');
const EFAULT = -errnoId('EFAULT');
const ENOTSUPP = -errnoId('ENOTSUPP');
const ENOMEM = -errnoId('ENOMEM');

/** Addresses of a packet's beginning, its end and the beginning of its metadata. */
interface Bounds {
  readonly data: number;
  readonly dataEnd: number;
  readonly dataMeta: number;
}

/** Metadata comes in words and is limited. */
export function metadataLengthInvalid(length: number): boolean {
  return length % 4 !== 0 || length > MAX_METADATA;
}

export class XdpBuff implements RunContext {
  readonly #memory: Memory;
  /** The program's context pointer. */
  readonly addr: Addr;
  readonly size: number;
  readonly #view: FieldView;
  readonly #frame: Addr;
  readonly #rxq: Addr;
  readonly #txq: Addr;
  /** Pages behind the frame, once they were needed. */
  #fragPages: Addr | undefined;
  /** Bytes in each of them. */
  #frags: number[] = [];

  constructor(memory: Memory, view: FieldView) {
    this.#memory = memory;
    this.#view = view;
    this.size = view.size;
    const kernel = { kind: 'kernel', owner: 'xdp_buff', access: 'none' } as const;
    this.addr = memory.allocate(Math.max(XDP_BUFF.size, view.size), { ...kernel, kind: 'ctx' });
    this.#frame = memory.allocate(FRAME_SIZE, { kind: 'packet', owner: 'XDP frame', access: 'none' });
    this.#rxq = memory.allocate(XDP_RXQ_INFO.size, kernel);
    this.#txq = memory.allocate(XDP_TXQ_INFO.size, kernel);
  }

  close(): void {
    for (const addr of [this.addr, this.#frame, this.#rxq, this.#txq]) this.#memory.free(addr);
    if (this.#fragPages !== undefined) this.#memory.free(this.#fragPages);
  }

  #get(member: { readonly offset: number }): number {
    return this.#memory.readU32(this.addr + member.offset);
  }
  #set(member: { readonly offset: number }, value: number): void {
    this.#memory.writeU32(this.addr + member.offset, value);
  }

  get data(): number {
    return this.#get(AT.data);
  }
  get dataEnd(): number {
    return this.#get(AT.data_end);
  }
  /** Address of the `struct net_device` that it came in by. */
  get device(): number {
    return this.#memory.readU32(this.#rxq + XDP_RXQ_INFO.members.dev.offset);
  }
  get dataMeta(): number {
    return this.#get(AT.data_meta);
  }
  get packetStart(): number {
    return this.dataMeta;
  }
  get packetEnd(): number {
    return this.dataEnd;
  }
  get #hardEnd(): number {
    return this.#frame + this.#get(AT.frame_sz) - SHARED_INFO_ROOM;
  }
  get #fragBytes(): number {
    return this.#frags.reduce((sum, size) => sum + size, 0);
  }

  /**
   * Puts a packet into the frame.
   * @param metaLength bytes at the packet's start that are metadata
   * @param most bytes that go into the frame itself, if they fit; the others go into pages behind it
   * @param frameSize bytes of the frame, at most {@link FRAME_SIZE}
   * @returns 0, or a negative errno when it has more than the frame and its pages hold
   */
  load(
    packet: Uint8Array,
    metaLength: number,
    most: number,
    device: NetDevice,
    queue: number,
    frameSize = FRAME_SIZE,
  ): number {
    const { u8 } = this.#memory;
    u8.fill(0, this.#frame, this.#frame + FRAME_SIZE);
    this.#set(AT.frame_sz, frameSize);
    const start = this.#frame + XDP_HEADROOM - metaLength;
    const linear = Math.min(most, this.#hardEnd - start);
    u8.set(packet.length === linear ? packet : packet.subarray(0, linear), start);
    this.#set(AT.data_meta, start);
    this.#set(AT.data, start + metaLength);
    this.#set(AT.data_end, start + linear);
    this.#set(AT.data_hard_start, this.#frame);
    this.#set(AT.rxq, this.#rxq);
    this.#set(AT.txq, this.#txq);
    this.#set(AT.flags, 0);
    this.#memory.writeU32(this.#rxq + XDP_RXQ_INFO.members.dev.offset, device.addr);
    this.#memory.writeU32(this.#rxq + XDP_RXQ_INFO.members.queue_index.offset, queue);
    this.#memory.writeU32(this.#rxq + XDP_RXQ_INFO.members.frag_size.offset, FRAME_SIZE);
    this.#frags = [];
    return packet.length > linear ? this.#loadFrags(packet.subarray(linear)) : 0;
  }

  #loadFrags(rest: Uint8Array): number {
    if (rest.length > MAX_FRAGS * FRAME_SIZE) return ENOMEM;
    this.#fragPages ??= this.#memory.allocate(MAX_FRAGS * FRAME_SIZE, {
      kind: 'packet',
      owner: 'XDP fragments',
      access: 'none',
    });
    this.#memory.fill(this.#fragPages, MAX_FRAGS * FRAME_SIZE, 0);
    this.#memory.write(this.#fragPages, rest);
    for (let left = rest.length; left > 0; left -= FRAME_SIZE) this.#frags.push(Math.min(left, FRAME_SIZE));
    this.#set(AT.flags, FRAGS_FLAG);
    return 0;
  }

  /** Where the packet and its metadata are. */
  get bounds(): Bounds {
    const { data, dataEnd, dataMeta } = this;
    return { data, dataEnd, dataMeta };
  }
  set bounds({ data, dataEnd, dataMeta }: Bounds) {
    this.#set(AT.data, data);
    this.#set(AT.data_end, dataEnd);
    this.#set(AT.data_meta, dataMeta);
  }

  /** The packet as the program left it, with its metadata, in the frame and behind it. */
  packet(): { readonly bytes: Uint8Array; readonly linear: number } {
    const linear = this.dataEnd - this.dataMeta;
    const bytes = new Uint8Array(linear + this.#fragBytes);
    bytes.set(this.#memory.window(this.dataMeta as Addr, linear));
    this.#copyFrags(bytes, linear);
    return { bytes, linear };
  }

  #copyFrags(to: Uint8Array, at: number): void {
    for (const [i, size] of this.#frags.entries()) {
      to.set(this.#memory.window((this.#fragPages! + i * FRAME_SIZE) as Addr, size), at);
      at += size;
    }
  }

  read(offset: number, size: Size): bigint | undefined {
    return this.#view.read(this.#memory, this.addr, offset, size);
  }
  write(offset: number, size: Size, value: bigint): boolean {
    return this.#view.write(this.#memory, this.addr, offset, size, value);
  }
  loadPacket(): undefined {
    return undefined;
  }

  /** `bpf_xdp_get_buff_len`. */
  length(): number {
    return this.dataEnd - this.data + this.#fragBytes;
  }

  /** `bpf_xdp_adjust_head`. */
  adjustHead(offset: number): number {
    const { data, dataMeta } = this;
    const meta = data - dataMeta;
    const moved = data + offset;
    if (moved < this.#frame + XDP_FRAME_SIZE + meta || moved > this.dataEnd - ETH_HLEN) return EINVAL;
    if (meta > 0) this.#memory.copy((dataMeta + offset) as Addr, dataMeta as Addr, meta);
    this.#set(AT.data_meta, dataMeta + offset);
    this.#set(AT.data, moved);
    return 0;
  }

  /** `bpf_xdp_adjust_meta`. */
  adjustMeta(offset: number): number {
    const meta = this.dataMeta + offset;
    // A program that moved data in front of the metadata has given it up.
    if (this.dataMeta > this.data) return ENOTSUPP;
    if (meta < this.#frame + XDP_FRAME_SIZE || meta > this.data) return EINVAL;
    if (metadataLengthInvalid(this.data - meta)) return EACCES;
    this.#set(AT.data_meta, meta);
    return 0;
  }

  /** `bpf_xdp_adjust_tail`. */
  adjustTail(offset: number): number {
    // The least number of 32 bits has no positive one, and shrinks nothing.
    if (this.#frags.length > 0) return offset < 0 ? this.#shrinkFrags(-offset | 0) : this.#growFrag(offset);
    const end = this.dataEnd + offset;
    if (end > this.#hardEnd || end < this.data + ETH_HLEN) return EINVAL;
    if (offset > 0) this.#memory.fill(this.dataEnd as Addr, offset, 0);
    this.#set(AT.data_end, end);
    return 0;
  }

  #growFrag(bytes: number): number {
    const last = this.#frags.length - 1;
    if (bytes > FRAME_SIZE - this.#frags[last]!) return EINVAL;
    this.#memory.fill((this.#fragPages! + last * FRAME_SIZE + this.#frags[last]!) as Addr, bytes, 0);
    this.#frags[last]! += bytes;
    return 0;
  }

  #shrinkFrags(bytes: number): number {
    if (bytes > this.length() - ETH_HLEN) return EINVAL;
    let left = bytes;
    while (left > 0 && this.#frags.length > 0) {
      const last = this.#frags.length - 1;
      const shrink = Math.min(left, this.#frags[last]!);
      left -= shrink;
      this.#frags[last]! -= shrink;
      if (this.#frags[last] === 0) this.#frags.pop();
    }
    if (this.#frags.length === 0) {
      this.#set(AT.flags, 0);
      this.#set(AT.data_end, this.dataEnd - left);
    }
    return 0;
  }

  /** `bpf_xdp_load_bytes` and `bpf_xdp_store_bytes`: copies between the packet and memory. */
  transfer(offset: number, at: Addr, length: number, store: boolean): number {
    if (offset > 0xffff || length > 0xffff) return EFAULT;
    if (offset + length > this.length()) return EINVAL;
    let from = offset;
    let memory = at;
    let left = length;
    for (const { start, size } of this.#parts()) {
      if (left === 0) break;
      if (from >= size) {
        from -= size;
        continue;
      }
      const count = Math.min(size - from, left);
      const packet = (start + from) as Addr;
      if (store) this.#memory.copy(packet, memory, count);
      else this.#memory.copy(memory, packet, count);
      memory = (memory + count) as Addr;
      left -= count;
      from = 0;
    }
    return 0;
  }

  /** Address of bytes that lie together, or 0. */
  linear(offset: number, length: number): number {
    let from = offset;
    for (const { start, size } of this.#parts()) {
      if (from < size) return from + length <= size ? start + from : 0;
      from -= size;
    }
    return 0;
  }

  /** `bpf_xdp_pull_data`: makes the packet's first bytes lie in the frame. */
  pull(length: number): number {
    let missing = length - (this.dataEnd - this.data);
    if (missing <= 0) return 0;
    if (length > this.length()) return EINVAL;
    const { dataMeta } = this;
    const tailroom = this.#hardEnd - this.dataEnd;
    if (missing > tailroom + dataMeta - this.#frame - XDP_FRAME_SIZE) return EINVAL;
    const shift = missing - tailroom;
    if (shift > 0) {
      this.#memory.copy((dataMeta - shift) as Addr, dataMeta as Addr, this.dataEnd - dataMeta);
      for (const member of [AT.data_meta, AT.data, AT.data_end]) this.#set(member, this.#get(member) - shift);
    }
    const rest = new Uint8Array(this.#fragBytes);
    this.#copyFrags(rest, 0);
    missing = Math.min(missing, rest.length);
    this.#memory.write(this.dataEnd as Addr, rest.subarray(0, missing));
    this.#set(AT.data_end, this.dataEnd + missing);
    this.#takeFromFrags(missing);
    return 0;
  }

  /** The first bytes behind the frame are gone. Each page keeps what is left of it. */
  #takeFromFrags(bytes: number): void {
    let left = bytes;
    const pages = this.#fragPages!;
    const kept: Uint8Array[] = [];
    for (const [i, size] of this.#frags.entries()) {
      const gone = Math.min(left, size);
      left -= gone;
      if (gone < size) kept.push(this.#memory.read((pages + i * FRAME_SIZE + gone) as Addr, size - gone));
    }
    this.#frags = kept.map(({ length }) => length);
    for (const [i, page] of kept.entries()) this.#memory.write((pages + i * FRAME_SIZE) as Addr, page);
    if (kept.length === 0) this.#set(AT.flags, 0);
  }

  *#parts(): Iterable<{ readonly start: number; readonly size: number }> {
    yield { start: this.data, size: this.dataEnd - this.data };
    for (const [i, size] of this.#frags.entries()) yield { start: this.#fragPages! + i * FRAME_SIZE, size };
  }

  /** A copy of the packet's first bytes, for events. */
  head(length: number): Uint8Array | undefined {
    if (length > this.length()) return undefined;
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const { start, size } of this.#parts()) {
      const count = Math.min(size, length - at);
      bytes.set(this.#memory.window(start as Addr, count), at);
      at += count;
    }
    return bytes;
  }
}
