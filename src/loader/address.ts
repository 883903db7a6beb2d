/** Internet addresses and prefixes as text, both ways. @see RFC 4291 §2.2, RFC 5952 */
import { InputError } from '../base/error.ts';
import type { Prefix } from '../sys/index.ts';

/** `10.1.0.0/16` or `fd00::1`; without a length, all bits count. @throws InputError */
export function parsePrefix(text: string): Prefix {
  const prefix = readPrefix(text);
  if (prefix) return prefix;
  throw new InputError(
    'loader-address',
    `'${text}' is no address of IPv4 or IPv6, nor a prefix (10.1.0.0/16, fd00::/64)`,
    { errno: 'EINVAL' },
  );
}

/** As {@link parsePrefix}; `undefined` where it is none. */
export function readPrefix(text: string): Prefix | undefined {
  const [, before = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = before.includes(':') ? parseIpv6(before) : parseIpv4(before);
  if (address === undefined) return undefined;
  const most = address.length * 8;
  const length = bits === undefined ? most : Number(bits);
  return length <= most ? { address, length } : undefined;
}

/** `10.0.0.1` as four bytes, or `undefined` where it is none. */
export function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return undefined;
  return Uint8Array.from(parts, Number);
}

export function formatIpv4(bytes: Uint8Array, offset = 0): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

/** An IPv6 address in any form of RFC 4291 as sixteen bytes, or `undefined` where it is none. */
export function parseIpv6(text: string): Uint8Array | undefined {
  let groups = text;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted) {
    const four = parseIpv4(dotted[2]!);
    if (!four) return undefined;
    const hex = (at: number) => ((four[at]! << 8) | four[at + 1]!).toString(16);
    groups = `${dotted[1]}${hex(0)}:${hex(2)}`;
  }
  const halves = groups.split('::');
  if (halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...new Array<string>(missing).fill('0'), ...tail];
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return Uint8Array.from(
    all.flatMap((group) => {
      const value = Number.parseInt(group, 16);
      return [value >> 8, value & 0xff];
    }),
  );
}

/** RFC 5952: the longest run of zero groups becomes `::`; a mapped IPv4 address keeps its dots. */
export function formatIpv6(bytes: Uint8Array, offset = 0): string {
  const at = bytes.subarray(offset, offset + 16);
  if (at.subarray(0, 10).every((byte) => byte === 0) && at[10] === 0xff && at[11] === 0xff) {
    return `::ffff:${formatIpv4(at, 12)}`;
  }
  const groups = Array.from({ length: 8 }, (_, i) => ((at[i * 2]! << 8) | at[i * 2 + 1]!).toString(16));
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === '0') length++;
    if (length > best.length) best = { start, length };
  }
  if (best.length < 2) return groups.join(':');
  return `${groups.slice(0, best.start).join(':')}::${groups.slice(best.start + best.length).join(':')}`;
}
