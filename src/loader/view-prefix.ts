import { readPrefix } from './address.ts';
import type { Codec } from './view-codec.ts';

/** `struct bpf_lpm_trie_key`: the prefix length in bits, then the data. */
const LENGTH = 4;

/** A key of an LPM trie, which may be written as `10.0.0.0/8` or `fe80::/10` where the data is as long as the address. */
export function prefixCodec(codec: Codec): Codec {
  return {
    ...codec,
    write(bytes, view, offset, value, path) {
      const prefix = typeof value === 'string' && value.includes('/') ? readPrefix(value) : undefined;
      if (prefix?.address.length !== codec.size - LENGTH) {
        codec.write(bytes, view, offset, value, path);
        return;
      }
      view.setUint32(offset, prefix.length, true);
      bytes.set(prefix.address, offset + LENGTH);
    },
  };
}
