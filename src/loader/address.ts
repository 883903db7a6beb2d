/** Internet addresses as text. @see RFC 4291 §2.2 */
import { InputError } from '../base/error.ts';
import type { Prefix } from '../sys/index.ts';

function bad(text: string): InputError {
  return new InputError(
    'loader-address',
    `'${text}' is no address of IPv4 or IPv6, nor a prefix (10.1.0.0/16, fd00::/64)`,
    {
      errno: 'EINVAL',
    },
  );
}

/** `10.1.0.0/16` or `fd00::1`; without a length, all bits count. @throws InputError */
export function parsePrefix(text: string): Prefix {
  const [address = '', bits, ...rest] = text.split('/');
  const bytes = address.includes(':') ? parse6(address) : parse4(address);
  if (bytes === undefined || rest.length > 0) throw bad(text);
  const most = bytes.length * 8;
  const length = bits === undefined ? most : /^\d+$/.test(bits) ? Number(bits) : Number.NaN;
  if (!(length <= most)) throw bad(text);
  return { address: bytes, length };
}

function parse4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || parts.some((part) => !/^\d{1,3}$/.test(part) || Number(part) > 255))
    return undefined;
  return Uint8Array.from(parts, Number);
}

function parse6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const words = [head, tail].map(wordsOf);
  const [front, back] = words;
  if (front === undefined || back === undefined) return undefined;
  const missing = 8 - front.length - back.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...front, ...Array<number>(halves.length === 2 ? missing : 0).fill(0), ...back];
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

/** Sixteen-bit words; an IPv4 address at the end is two. */
function wordsOf(parts: readonly string[]): number[] | undefined {
  const words: number[] = [];
  for (const part of parts) {
    const four = part.includes('.') ? parse4(part) : undefined;
    if (four) words.push((four[0]! << 8) | four[1]!, (four[2]! << 8) | four[3]!);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) words.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return words;
}
