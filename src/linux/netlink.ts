/** netlink(7): messages, their attributes, and a socket that asks the kernel and waits for its answer. */
import { concatBytes } from '../base/bytes.ts';
import { InputError } from '../base/error.ts';
import { alignUp } from '../base/layout.ts';
import { errnoName, errnoText, isErrno } from '../sys/index.ts';
import type { Libc } from './libc.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;
const HEADER = 16;
const ATTRIBUTE = 4;
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;
/** The largest datagram of a dump that Linux sends. */
const ROOM = 64 * 1024;

export const NLM = {
  REQUEST: 0x1,
  ACK: 0x4,
  ECHO: 0x8,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  DUMP: 0x300,
} as const;

/** An attribute: its type, and bytes or attributes inside it. */
export type Attribute = readonly [type: number, value: Uint8Array | readonly Attribute[]];

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function u32Attr(type: number, value: number): Attribute {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return [type, bytes];
}

export function u16Attr(type: number, value: number): Attribute {
  const bytes = new Uint8Array(2);
  new DataView(bytes.buffer).setUint16(0, value, true);
  return [type, bytes];
}

export function textAttr(type: number, value: string): Attribute {
  return [type, encoder.encode(`${value}\0`)];
}

/** Attributes one behind the other, each from a multiple of four on. */
export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  const parts = attributes.map(([type, value]) => {
    const nested = !(value instanceof Uint8Array);
    const payload = nested ? encodeAttributes(value) : value;
    const bytes = new Uint8Array(alignUp(ATTRIBUTE + payload.length, 4));
    const view = new DataView(bytes.buffer);
    view.setUint16(0, ATTRIBUTE + payload.length, true);
    view.setUint16(2, nested ? type | NESTED : type, true);
    bytes.set(payload, ATTRIBUTE);
    return bytes;
  });
  return concatBytes(parts);
}

/** The attributes in a run of bytes, by type. A later one of the same type counts; what is cut off ends it. */
export function parseAttributes(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + ATTRIBUTE <= bytes.length; ) {
    const length = view.getUint16(at, true);
    if (length < ATTRIBUTE || at + length > bytes.length) break;
    found.set(view.getUint16(at + 2, true) & TYPE_MASK, bytes.subarray(at + ATTRIBUTE, at + length));
    at += alignUp(length, 4);
  }
  return found;
}

export function readU32(bytes: Uint8Array | undefined): number | undefined {
  if (bytes === undefined || bytes.length < 4) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0, true);
}

export function readText(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** What is asked: a message's type and flags, the struct that it begins with, its attributes. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly head: Uint8Array;
  readonly attributes?: readonly Attribute[];
}

/** A message of the answer. */
export interface Message {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** A socket to the kernel's routing tables, of the network namespace that the process is in when it is first used. */
export class Netlink {
  readonly #libc: Libc;
  #fd: number | undefined;
  #sequence = 0;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /**
   * Sends a request and reads all of its answer.
   * @param doing begins the sentence of a failure
   */
  ask(request: Request, doing: string): readonly Message[] {
    const fd = this.#open(doing);
    const sequence = ++this.#sequence;
    const bytes = encode(request, sequence);
    const sent = this.#libc.send(fd, bytes, 0);
    if (sent < 0) throw failure(doing, -sent);
    const dump = (request.flags & NLM.DUMP) === NLM.DUMP;
    const messages: Message[] = [];
    for (;;) {
      const room = new Uint8Array(new ArrayBuffer(ROOM));
      const length = this.#libc.recv(fd, room, 0);
      if (length < 0) throw this.#broken(doing, -length);
      const view = new DataView(room.buffer, 0, length);
      for (let at = 0; at + HEADER <= length; ) {
        const size = view.getUint32(at, true);
        const type = view.getUint16(at + 4, true);
        const flags = view.getUint16(at + 6, true);
        if (size < HEADER || at + size > length) break;
        const payload = room.subarray(at + HEADER, at + size);
        // An answer to a request whose caller gave up.
        if (view.getUint32(at + 8, true) === sequence) {
          if (type === NLMSG_DONE) return messages;
          if (type === NLMSG_ERROR) {
            const errno = view.getInt32(at + HEADER, true);
            if (errno < 0) throw failure(doing, -errno, extendedAck(payload, flags));
            return messages;
          }
          messages.push({ type, payload });
          if (!dump && (request.flags & NLM.ACK) === 0) return messages;
        }
        at += alignUp(size, 4);
      }
    }
  }

  close(): void {
    if (this.#fd !== undefined) this.#libc.close(this.#fd);
    this.#fd = undefined;
  }

  #open(doing: string): number {
    if (this.#fd !== undefined) return this.#fd;
    const fd = this.#libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) throw failure(doing, -fd);
    const on = Uint8Array.of(1, 0, 0, 0);
    this.#libc.setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, on);
    this.#libc.setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, on);
    this.#fd = fd;
    return fd;
  }

  /** What comes after a lost answer belongs to it: the next request has a socket of its own. */
  #broken(doing: string, errno: number): InputError {
    this.close();
    return failure(doing, errno);
  }
}

function encode(request: Request, sequence: number): Uint8Array {
  const head = new Uint8Array(alignUp(request.head.length, 4));
  head.set(request.head);
  const attributes = encodeAttributes(request.attributes ?? []);
  const bytes = concatBytes([new Uint8Array(HEADER), head, attributes]);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, request.type, true);
  view.setUint16(6, request.flags | NLM.REQUEST, true);
  view.setUint32(8, sequence, true);
  return bytes;
}

/** The kernel's own words behind an error. */
function extendedAck(payload: Uint8Array, flags: number): string | undefined {
  const NLM_F_CAPPED = 0x100;
  const NLM_F_ACK_TLVS = 0x200;
  if ((flags & NLM_F_ACK_TLVS) === 0) return undefined;
  const asked = new DataView(payload.buffer, payload.byteOffset).getUint32(4, true);
  const skip = 4 + ((flags & NLM_F_CAPPED) === 0 ? alignUp(asked, 4) : HEADER);
  return readText(parseAttributes(payload.subarray(skip)).get(NLMSGERR_ATTR_MSG));
}

const ADVICE: Readonly<Record<string, string>> = {
  EPERM: 'it needs root or CAP_NET_ADMIN; run it with sudo',
  ENODEV: 'there is no such network device',
  EOPNOTSUPP: 'this kernel or this device lacks it',
};

function failure(doing: string, number: number, words?: string): InputError {
  const errno = errnoName(number) ?? String(number);
  const text = isErrno(errno) ? errnoText(errno) : `error ${number}`;
  const advice = words ?? ADVICE[errno];
  return new InputError('linux-netlink', `${doing}: ${text} (${errno})${advice ? `: ${advice}` : ''}`, {
    errno,
  });
}
