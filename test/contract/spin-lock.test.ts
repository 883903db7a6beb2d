/** Maps whose values have a `struct bpf_spin_lock`, on every kernel. */
import { afterAll, describe, expect, it } from 'vitest';
import { BtfBuilder, type BtfTypeId } from '../../src/btf/index.ts';
import {
  MAP_CREATE_FLAGS as C,
  type Fd,
  type Kernel,
  type MapCreateAttr,
  MAP_UPDATE_FLAGS as U,
} from '../../src/sys/index.ts';
import { outcome, SUBJECTS, u32, withMap } from './kernels.ts';

let ran = 0;
afterAll(() => {
  expect(ran, 'the contract ran no case').toBeGreaterThan(0);
});

const LOCK = BigInt(U.BPF_F_LOCK);

/** `struct value { int a; struct bpf_spin_lock lock; int b; }`. */
function lockBtf() {
  const builder = new BtfBuilder();
  const int = builder.add({ kind: 'int', name: 'int', size: 4, encoding: 1, bitOffset: 0, bits: 32 });
  const member = (name: string, type: BtfTypeId, at: number) => ({
    name,
    type,
    bitOffset: at * 8,
    bitSize: 0,
  });
  const struct = (name: string, members: ReturnType<typeof member>[]) =>
    builder.add({ kind: 'struct', name, size: members.length * 4, members, bitfields: false });
  const lock = struct('bpf_spin_lock', [member('val', int, 0)]);
  const one = struct('value', [member('a', int, 0), member('lock', lock, 4), member('b', int, 8)]);
  return { bytes: builder.encode(), int, one };
}

for (const subject of SUBJECTS) {
  describe.skipIf(subject.missing !== undefined)(`spin lock contract on ${subject.name}`, () => {
    const kernel = subject.missing === undefined ? subject.kernel() : (undefined as unknown as Kernel);
    const { bytes, int, one } = lockBtf();

    const attr = (map_type: MapCreateAttr['map_type'], btf_fd: Fd): MapCreateAttr => ({
      map_type,
      key_size: 4,
      value_size: 12,
      max_entries: 2,
      btf_fd,
      btf_key_type_id: int,
      btf_value_type_id: one,
    });
    const withBtf = (use: (btf: Fd) => void) => {
      ran += 1;
      const btf = kernel.bpf.btf_load({ btf: bytes });
      use(btf);
      kernel.closeFd(btf);
    };

    for (const type of ['hash', 'array'] as const) {
      it(`${type}: locked or not, the lock is nobody's to read or write`, () => {
        withBtf((btf) => {
          withMap(kernel, attr(type, btf), (map_fd) => {
            const { bpf } = kernel;
            const key = u32(1);
            const value = u32(1, 99, 3);
            expect({
              lockedNew: outcome(() => bpf.map_update_elem({ map_fd, key, value, flags: LOCK })),
              locked: outcome(() =>
                bpf.map_update_elem({ map_fd, key, value: u32(4, 77, 6), flags: LOCK | 2n }),
              ),
            }).toEqual({ lockedNew: 'ok', locked: 'ok' });
            expect(bpf.map_lookup_elem({ map_fd, key })).toEqual(u32(4, 0, 6));
            bpf.map_update_elem({ map_fd, key, value });
            expect(bpf.map_lookup_elem({ map_fd, key, flags: LOCK })).toEqual(u32(1, 0, 3));
            expect(outcome(() => bpf.map_freeze({ map_fd }))).toBe('ENOTSUPP');
          });
        });
      });
    }

    it('only some maps may have one', () => {
      withBtf((btf) => {
        const make = (over: MapCreateAttr) => outcome(() => withMap(kernel, over, () => undefined));
        expect({
          lru: make(attr('lru_hash', btf)),
          percpuHash: make(attr('percpu_hash', btf)),
          percpuArray: make(attr('percpu_array', btf)),
          readOnly: make({ ...attr('array', btf), map_flags: C.BPF_F_RDONLY_PROG }),
          writeOnly: make({ ...attr('hash', btf), map_flags: C.BPF_F_WRONLY_PROG }),
        }).toEqual({
          lru: 'EOPNOTSUPP',
          percpuHash: 'EOPNOTSUPP',
          percpuArray: 'EOPNOTSUPP',
          readOnly: 'EACCES',
          writeOnly: 'EACCES',
        });
      });
    });
  });
}
