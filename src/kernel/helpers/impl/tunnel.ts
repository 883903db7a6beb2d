/** What a packet's tunnel is told. @see net/core/filter.c, bpf_skb_set_tunnel_key and behind it */
import type { HelperImpl } from '../../interpreter/environment.ts';
import type { Tunnel } from '../../net/sk-buff.ts';
import { skb } from './skb.ts';
import { addr, err, u32 } from './values.ts';

/** `struct bpf_tunnel_key`: offsets in bytes; sizes that it had in earlier versions. */
const KEY = { id: 0, remote: 4, tos: 20, ttl: 21, ext: 22, label: 24, local: 28, size: 44 } as const;
const OLDER: ReadonlySet<number> = new Set([KEY.local, KEY.label, KEY.ext]);
const FIRST_SIZE = 8;

const IPV6 = 1n;
const KNOWN_TO_SET = 0x1fn & ~8n;
const FLAGS_ASKED = 1n << 4n;
const SEQUENCE = 8n;
const NO_KEY = 1n << 4n;
const MAX_OPTIONS = 255;

/** `TUNNEL_*` bits as `tunnel_flags` has them, in network order. */
const TUNNEL_FLAGS = {
  csum: 0x01,
  key: 0x04,
  sequence: 0x08,
  dontFragment: 0x0100,
  noCache: 0x2000,
} as const;
const ZERO_CSUM = 2n;
const DONT_FRAGMENT = 4n;

export const skb_set_tunnel_key: HelperImpl = (run, context, from, size, flags) => {
  if (flags & ~(KNOWN_TO_SET | SEQUENCE | NO_KEY)) return err('EINVAL');
  const length = u32(size);
  if (length !== KEY.size && !OLDER.has(length) && length !== FIRST_SIZE) return err('EINVAL');
  const key = new Uint8Array(KEY.size);
  key.set(run.machine.memory.window(addr(from), length));
  const view = new DataView(key.buffer);
  if (
    ((flags & IPV6) === 0n && view.getUint32(KEY.label, true) !== 0) ||
    view.getUint16(KEY.ext, true) !== 0
  ) {
    return err('EINVAL');
  }
  const bits =
    TUNNEL_FLAGS.noCache |
    (flags & DONT_FRAGMENT ? TUNNEL_FLAGS.dontFragment : 0) |
    (flags & ZERO_CSUM ? 0 : TUNNEL_FLAGS.csum) |
    (flags & SEQUENCE ? TUNNEL_FLAGS.sequence : 0) |
    (flags & NO_KEY ? 0 : TUNNEL_FLAGS.key);
  skb(run, context).tunnel = {
    key,
    ipv6: (flags & IPV6) !== 0n,
    flags: bits,
    options: undefined,
  };
  return 0;
};

/** As the receiver sees it: what was set as remote is whom it goes to, and is asked for as local. */
function asSeen({ key, ipv6, flags }: Tunnel, withFlags: boolean): Uint8Array {
  const seen = key.slice();
  const bytes = ipv6 ? 16 : 4;
  seen.fill(0, KEY.remote, KEY.tos);
  seen.fill(0, KEY.local, KEY.size);
  seen.set(key.subarray(KEY.local, KEY.local + bytes), KEY.remote);
  seen.set(key.subarray(KEY.remote, KEY.remote + bytes), KEY.local);
  const view = new DataView(seen.buffer);
  view.setUint16(KEY.ext, withFlags ? flags : 0);
  view.setUint32(KEY.label, ipv6 ? view.getUint32(KEY.label, true) & 0xf_ffff : 0, true);
  return seen;
}

export const skb_get_tunnel_key: HelperImpl = (run, context, to, size, flags) => {
  const { memory } = run.machine;
  const length = u32(size);
  const { tunnel } = skb(run, context);
  const refuse = (status: number): number => {
    memory.fill(addr(to), length, 0);
    return status;
  };
  if (!tunnel || flags & ~(IPV6 | FLAGS_ASKED)) return refuse(err('EINVAL'));
  if (tunnel.ipv6 !== ((flags & IPV6) !== 0n)) return refuse(err('EPROTO'));
  const old = OLDER.has(length) || (length === FIRST_SIZE && !tunnel.ipv6);
  if (length !== KEY.size && !old) return refuse(err('EINVAL'));
  memory.write(addr(to), asSeen(tunnel, (flags & FLAGS_ASKED) !== 0n).subarray(0, length));
  return 0;
};

export const skb_set_tunnel_opt: HelperImpl = (run, context, from, size) => {
  const { tunnel } = skb(run, context);
  const length = u32(size);
  if (!tunnel || length % 4 !== 0) return err('EINVAL');
  if (length > MAX_OPTIONS) return err('ENOMEM');
  tunnel.options = run.machine.memory.read(addr(from), length);
  return 0;
};

export const skb_get_tunnel_opt: HelperImpl = (run, context, to, size) => {
  const { memory } = run.machine;
  const options = skb(run, context).tunnel?.options;
  memory.fill(addr(to), u32(size), 0);
  if (!options) return err('ENOENT');
  if (u32(size) < options.length) return err('ENOMEM');
  memory.write(addr(to), options);
  return options.length;
};
