/**
 * SYN cookies of packets alone. The numbers are keyed with a secret, so they are this kernel's own: what it makes, it knows
 * again, for two minutes.
 *
 * @see net/ipv4/syncookies.c, __cookie_v4_init_sequence; net/core/filter.c, bpf_tcp_raw_gen_syncookie_ipv4
 */
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { jhashBytes } from '../../maps/jhash.ts';
import { addr, err, u32 } from './values.ts';

const TCP_HEADER = 20;
/** Sizes of segments that fit in a cookie, and the one without the option. */
const V4 = { sizes: [536, 1300, 1440, 1460], assumed: 536, addresses: 12, bytes: 8 } as const;
const V6 = { sizes: [1220, 1420, 1440, 8940], assumed: 1220, addresses: 8, bytes: 32 } as const;
type Version = typeof V4 | typeof V6;

const MINUTE = 60_000_000_000n;
const MAX_AGE = 2;
const COUNT_SHIFT = 24;
const LOW = 0xff_ffff;
const OPTION_MSS = 2;

const secrets = new WeakMap<object, readonly [number, number]>();

function secret({ machine }: HelperRun, which: 0 | 1): number {
  let known = secrets.get(machine);
  if (!known) {
    known = [machine.random(), machine.random()];
    secrets.set(machine, known);
  }
  return known[which];
}

const minute = ({ machine }: HelperRun): number =>
  Number((machine.clock.monotonic() / MINUTE) & 0xffff_ffffn);

/** A number of the connection's two ends, and of a time. */
function hash(run: HelperRun, version: Version, ip: number, tcp: number, time: number, which: 0 | 1): number {
  const { memory } = run.machine;
  const bytes = new Uint8Array(version.bytes + 8);
  bytes.set(memory.u8.subarray(ip + version.addresses, ip + version.addresses + version.bytes));
  bytes.set(memory.u8.subarray(tcp, tcp + 4), version.bytes);
  new DataView(bytes.buffer).setUint32(version.bytes + 4, time, true);
  return jhashBytes(bytes, secret(run, which)) >>> 0;
}

/** The segment size that the header's options ask for; 0 for none. */
function segmentSize({ machine: { memory } }: HelperRun, tcp: number, length: number): number {
  let at = tcp + TCP_HEADER;
  const end = tcp + length;
  while (at < end) {
    const kind = memory.u8[at]!;
    if (kind === 0) return 0;
    if (kind === 1) {
      at += 1;
      continue;
    }
    const size = memory.u8[at + 1] ?? 0;
    if (size < 2 || at + size > end) return 0;
    if (kind === OPTION_MSS && size === 4) return memory.view.getUint16(at + 2);
    at += size;
  }
  return 0;
}

const generate =
  (version: Version): HelperImpl =>
  (run, ipPointer, tcpPointer, length) => {
    const { memory } = run.machine;
    const [ip, tcp, bytes] = [addr(ipPointer), addr(tcpPointer), u32(length)];
    if (bytes < TCP_HEADER || bytes !== (memory.u8[tcp + 12]! >> 4) * 4) return err('EINVAL');
    const wanted = segmentSize(run, tcp, bytes) || version.assumed;
    let index = version.sizes.length - 1;
    while (index > 0 && wanted < version.sizes[index]!) index--;
    const count = minute(run);
    const sequence = memory.view.getUint32(tcp + 4);
    const inner = (hash(run, version, ip, tcp, count, 1) + index) & LOW;
    const cookie =
      (hash(run, version, ip, tcp, 0, 0) + sequence + ((count << COUNT_SHIFT) >>> 0) + inner) >>> 0;
    return BigInt(cookie) | (BigInt(version.sizes[index]!) << 32n);
  };

const check =
  (version: Version): HelperImpl =>
  (run, ipPointer, tcpPointer) => {
    const { view } = run.machine.memory;
    const [ip, tcp] = [addr(ipPointer), addr(tcpPointer)];
    const cookie = (view.getUint32(tcp + 8) - 1) >>> 0;
    const sequence = (view.getUint32(tcp + 4) - 1) >>> 0;
    const rest = (cookie - hash(run, version, ip, tcp, 0, 0) - sequence) >>> 0;
    const count = minute(run);
    const age = (count - (rest >>> COUNT_SHIFT)) & 0xff;
    if (age >= MAX_AGE) return err('EACCES');
    const index = (rest - hash(run, version, ip, tcp, (count - age) >>> 0, 1)) & LOW;
    return index < version.sizes.length ? 0 : err('EACCES');
  };

export const tcp_raw_gen_syncookie_ipv4 = generate(V4);
export const tcp_raw_gen_syncookie_ipv6 = generate(V6);
export const tcp_raw_check_syncookie_ipv4 = check(V4);
export const tcp_raw_check_syncookie_ipv6 = check(V6);
