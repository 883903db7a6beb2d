import type { Fd, Kernel } from '../../sys/index.ts';

/** The addresses of a stack that a program stored, the innermost first; `undefined` where there is none of that id. */
export function readStack(
  kernel: Kernel,
  map: Fd | { readonly fd: Fd },
  id: number,
): readonly bigint[] | undefined {
  if (id < 0) return undefined;
  const map_fd = typeof map === 'number' ? map : map.fd;
  const value = kernel.bpf.map_lookup_elem({ map_fd, key: new Uint8Array(Uint32Array.of(id).buffer) });
  if (!value) return undefined;
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  const addresses: bigint[] = [];
  for (let at = 0; at + 8 <= value.length; at += 8) {
    const address = view.getBigUint64(at, true);
    if (address === 0n) break;
    addresses.push(address);
  }
  return addresses;
}
