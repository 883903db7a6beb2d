import type { Codec } from './view-codec.ts';
import { parseIpv4, parseIpv6 } from './view-text.ts';

/** `struct bpf_lpm_trie_key`: the prefix length in bits, then the data. */
const LENGTH = 4;

/** A key of an LPM trie, which may be written as `10.0.0.0/8` or `fe80::/10` where the data is as long as the address. */
export function prefixCodec(codec: Codec): Codec {
  return {
    ...codec,
    write(bytes, view, offset, value, path) {
      const prefix = typeof value === 'string' ? parsePrefix(value, codec.size - LENGTH) : undefined;
      if (!prefix) {
        codec.write(bytes, view, offset, value, path);
        return;
      }
      view.setUint32(offset, prefix.length, true);
      bytes.set(prefix.address, offset + LENGTH);
    },
  };
}

function parsePrefix(text: string, size: number) {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address =
    match && (size === 4 ? parseIpv4(match[1]!) : size === 16 ? parseIpv6(match[1]!) : undefined);
  const length = Number(match?.[2]);
  return address && length <= size * 8 ? { address, length } : undefined;
}
