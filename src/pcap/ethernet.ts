/**
 * Other link layers as Ethernet. Network programs begin to parse at an Ethernet header; a capture of a tunnel, of the
 * loopback device of another system or of "any" device has another one, or none.
 */
import { InputError } from '../base/error.ts';
import type { LinkType } from './linktype.ts';
import type { CaptureInterface, Packet } from './packet.ts';

/** How packets of a link type become Ethernet frames. */
export interface FrameConversion {
  /** What is done, for a person: `replaces the 16-byte Linux cooked header`. */
  readonly what: string;
  /** Bytes of the packet's own link header, which the Ethernet header stands for. */
  headerLength(data: Uint8Array): number;
  /** The frame, or `undefined` when the packet is too short to have its link header. */
  toEthernet(data: Uint8Array): Uint8Array | undefined;
}

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const ETHERNET_HEADER = 14;

/** Protocol families by the numbers that systems write: IPv4 is 2 everywhere, IPv6 is not. */
const FAMILIES: Readonly<Record<number, number>> = {
  2: ETH_P_IP,
  10: ETH_P_IPV6,
  24: ETH_P_IPV6,
  28: ETH_P_IPV6,
  30: ETH_P_IPV6,
};

function build(payload: Uint8Array, etherType: number, source?: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER + payload.length);
  if (source !== undefined) frame.set(source, 6);
  frame[12] = etherType >> 8;
  frame[13] = etherType & 0xff;
  frame.set(payload, ETHERNET_HEADER);
  return frame;
}

/** `source` is where the sender's six-byte address stands, `protocol` where the EtherType. */
function cooked(
  name: string,
  size: number,
  protocol: number,
  length: number,
  source: number,
): FrameConversion {
  return {
    what: `the ${size}-byte ${name} header is replaced by an Ethernet header`,
    headerLength: () => size,
    toEthernet: (data) => {
      if (data.length < size) return undefined;
      const etherType = (data[protocol]! << 8) | data[protocol + 1]!;
      const address = data[length] === 6 ? data.subarray(source, source + 6) : undefined;
      return build(data.subarray(size), etherType, address);
    },
  };
}

function family(byteOrder: 'big' | 'either'): FrameConversion {
  return {
    what: 'the 4-byte loopback header is replaced by an Ethernet header with zero addresses',
    headerLength: () => 4,
    toEthernet: (data) => {
      if (data.length < 4) return undefined;
      const view = new DataView(data.buffer, data.byteOffset, 4);
      const big = view.getUint32(0, false);
      // The writer's own byte order is not recorded, but a family is a small number in the right one.
      const number = byteOrder === 'either' && big > 0xffff ? view.getUint32(0, true) : big;
      return build(data.subarray(4), FAMILIES[number] ?? 0);
    },
  };
}

function bare(etherTypeOf: (data: Uint8Array) => number): FrameConversion {
  return {
    what: 'an Ethernet header with zero addresses is put in front of each IP packet',
    headerLength: () => 0,
    toEthernet: (data) => (data.length === 0 ? undefined : build(data, etherTypeOf(data))),
  };
}

const byVersion = (data: Uint8Array): number => (data[0]! >> 4 === 6 ? ETH_P_IPV6 : ETH_P_IP);

const CONVERSIONS: Readonly<Record<string, FrameConversion>> = {
  RAW: bare(byVersion),
  IPV4: bare(() => ETH_P_IP),
  IPV6: bare(() => ETH_P_IPV6),
  NULL: family('either'),
  LOOP: family('big'),
  // Address length and address stand at 4 and 6 of version 1, at 11 and 12 of version 2.
  LINUX_SLL: cooked('Linux cooked', 16, 14, 5, 6),
  LINUX_SLL2: cooked('Linux cooked v2', 20, 0, 11, 12),
};

/**
 * How packets of a link type become Ethernet frames; `undefined` for Ethernet itself, which needs none.
 *
 * @returns `'none'` when a link type has no equivalent (Wi-Fi, USB, Bluetooth)
 */
export function frameConversion(type: LinkType): FrameConversion | 'none' | undefined {
  if (type.name === 'ETHERNET') return undefined;
  return CONVERSIONS[type.name] ?? 'none';
}

/** Makes the packets of one capture into Ethernet frames, and remembers what that took. */
export class FrameConverter {
  readonly #name: string;
  readonly #conversions = new Map<CaptureInterface, FrameConversion | undefined>();

  /** @param name of the file, for messages */
  constructor(name: string) {
    this.#name = name;
  }

  /** What was done to packets of other link types than Ethernet, by the link type's name. */
  get done(): ReadonlyMap<string, string> {
    const done = new Map<string, string>();
    for (const [source, conversion] of this.#conversions) {
      if (conversion !== undefined) done.set(source.linkType.name, conversion.what);
    }
    return done;
  }

  /**
   * The packet as an Ethernet frame; one that lacks a part of its link header stays as it is.
   * @throws InputError `run-link-type` when packets of the interface can't be made into frames
   */
  frame(packet: Pick<Packet, 'data' | 'interface'>): Uint8Array {
    return this.#conversion(packet.interface)?.toEthernet(packet.data) ?? packet.data;
  }

  #conversion(source: CaptureInterface): FrameConversion | undefined {
    if (this.#conversions.has(source)) return this.#conversions.get(source);
    const conversion = frameConversion(source.linkType);
    if (conversion === 'none') {
      throw new InputError(
        'run-link-type',
        `${this.#name}: interface ${source.id} has packets of link type ${source.linkType.name}, which can't be ` +
          `made into the Ethernet frames that network programs take`,
      );
    }
    this.#conversions.set(source, conversion);
    return conversion;
  }
}
