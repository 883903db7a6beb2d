/** Maps of structs of functions, whose types are the running kernel's. */
import { afterAll, describe, expect, it } from 'vitest';
import { BtfBuilder, parseBtf } from '../../src/btf/index.ts';
import { createKernel } from '../../src/kernel/index.ts';
import type { Kernel, MapCreateAttr } from '../../src/sys/index.ts';
import { linux } from '../linux/support.ts';
import { outcome, u32, withMap } from './kernels.ts';

let ran = 0;
afterAll(() => {
  if (linux !== undefined) expect(ran, 'the contract ran no case').toBeGreaterThan(0);
});

const bytes = linux?.vmlinuxBtf();
const NAME = 'bpf_struct_ops_tcp_congestion_ops';
const btf = bytes && parseBtf(bytes, 'vmlinux');
const id = btf?.find(NAME, 'struct');
const type = btf && id !== undefined ? btf.type(id) : undefined;
const size = type?.kind === 'struct' ? type.size : 0;

const kernels = bytes ? { embedded: () => createKernel({ btf: bytes }) as Kernel, linux: () => linux! } : {};
/** The creator's own types, which must be there though nothing refers to them. */
const OWN = (() => {
  const builder = new BtfBuilder();
  builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bitOffset: 0, bits: 32 });
  return builder.encode();
})();
const shape: MapCreateAttr = {
  map_type: 'struct_ops',
  key_size: 4,
  value_size: size,
  max_entries: 1,
  btf_vmlinux_value_type_id: id ?? 0,
};

describe.skipIf(size === 0)('struct_ops', () => {
  for (const [name, make] of Object.entries(kernels)) {
    describe(`struct_ops contract on ${name}`, () => {
      it('is made by the type of its value', () => {
        ran += 1;
        const kernel = make();
        const attr = { ...shape, btf_fd: kernel.bpf.btf_load({ btf: OWN }) };
        const made = (over: Partial<MapCreateAttr>) =>
          outcome(() => withMap(kernel, { ...attr, ...over }, () => undefined));
        expect({
          plain: made({}),
          noTypes: made({ btf_fd: 999_999 as never }),
          size: made({ value_size: size + 8 }),
          other: made({ btf_vmlinux_value_type_id: 1 }),
          entries: made({ max_entries: 2 }),
          link: made({ map_flags: 1 << 13 }),
          flag: made({ map_flags: 1 }),
          keyType: made({ btf_key_type_id: 1, btf_value_type_id: 1 }),
        }).toEqual({
          plain: 'ok',
          noTypes: 'EBADF',
          size: 'EINVAL',
          other: 'ENOTSUPP',
          entries: 'EINVAL',
          link: 'ok',
          flag: 'EINVAL',
          keyType: 'EINVAL',
        });
      });

      it('is all zeros until it is registered', () => {
        ran += 1;
        const kernel = make();
        const { bpf } = kernel;
        const attr = { ...shape, btf_fd: kernel.bpf.btf_load({ btf: OWN }) };
        withMap(kernel, attr, (map_fd) => {
          const busy = new Uint8Array(size);
          busy[0] = 1;
          const update = (key: number, value: Uint8Array, flags = 0n) =>
            outcome(() => bpf.map_update_elem({ map_fd, key: u32(key), value, flags }));
          expect({
            lookup: bpf.map_lookup_elem({ map_fd, key: u32(0) })?.some((byte) => byte !== 0),
            other: bpf.map_lookup_elem({ map_fd, key: u32(1) }),
            first: bpf.map_get_next_key({ map_fd }),
            last: bpf.map_get_next_key({ map_fd, key: u32(0) }),
            remove: outcome(() => bpf.map_delete_elem({ map_fd, key: u32(0) })),
            flags: update(0, new Uint8Array(size), 1n),
            index: update(1, new Uint8Array(size)),
            counted: update(0, busy),
            freeze: outcome(() => bpf.map_freeze({ map_fd })),
          }).toEqual({
            lookup: false,
            other: undefined,
            first: u32(0),
            last: undefined,
            remove: 'ENOENT',
            flags: 'EINVAL',
            index: 'E2BIG',
            counted: 'EINVAL',
            freeze: 'ENOTSUPP',
          });
        });
      });
    });
  }
});
