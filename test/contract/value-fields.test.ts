/** Which maps may have which special fields in their values, and what user space sees of them, on every kernel. */
import { afterAll, describe, expect, it } from 'vitest';
import { BtfBuilder, type BtfTypeId } from '../../src/btf/index.ts';
import { MAP_CREATE_FLAGS as C, type Kernel, type MapCreateAttr } from '../../src/sys/index.ts';
import { outcome, SUBJECTS, u32, withMap } from './kernels.ts';

let ran = 0;
afterAll(() => {
  expect(ran, 'the contract ran no case').toBeGreaterThan(0);
});

const SIZE = 48;
/** Where the field is in the value. */
const AT = 8;

function valueTypes() {
  const builder = new BtfBuilder();
  const int = (name: string, size: number) =>
    builder.add({ kind: 'int', name, size, encoding: 0, bitOffset: 0, bits: size * 8 });
  const [u32Type, u64Type] = [int('u32', 4), int('u64', 8)];
  const array = (type: BtfTypeId, length: number) =>
    builder.add({ kind: 'array', type, indexType: u32Type, length });
  const struct = (name: string, size: number, members: readonly (readonly [string, BtfTypeId, number])[]) =>
    builder.add({
      kind: 'struct',
      name,
      size,
      bitfields: false,
      members: members.map(([member, type, at]) => ({ name: member, type, bitOffset: at * 8, bitSize: 0 })),
    });
  const opaque = (name: string, size: number) =>
    struct(name, size, [['opaque', size === 4 ? u32Type : array(u64Type, size / 8), 0]]);
  const lock = opaque('bpf_spin_lock', 4);
  const timer = opaque('bpf_timer', 16);
  const root = opaque('bpf_rb_root', 16);
  const node = opaque('bpf_rb_node', 32);
  const task = struct('task_struct', 4, [['x', u32Type, 0]]);
  const pointer = (tag: string) =>
    builder.add({
      kind: 'ptr',
      type: builder.add({ kind: 'type_tag', name: tag, type: task, attribute: false }),
    });
  struct('item', 40, [
    ['node', node, 0],
    ['data', u64Type, 32],
  ]);
  const fields: Record<string, BtfTypeId> = {
    spin_lock: lock,
    res_spin_lock: opaque('bpf_res_spin_lock', 4),
    timer,
    wq: opaque('bpf_wq', 16),
    task_work: opaque('bpf_task_work', 8),
    refcount: opaque('bpf_refcount', 4),
    kptr: pointer('kptr'),
    kptr_untrusted: pointer('kptr_untrusted'),
    rb_node: node,
  };
  const values: Record<string, BtfTypeId> = {};
  for (const [name, type] of Object.entries(fields)) {
    values[name] = struct(`with_${name}`, SIZE, [
      ['a', u32Type, 0],
      ['field', type, AT],
      ['b', u64Type, 40],
    ]);
  }
  values.two_timers = struct('with_two_timers', SIZE, [
    ['first', timer, 0],
    ['second', timer, 16],
  ]);
  values.locked_tree = struct('with_tree', SIZE, [
    ['lock', lock, 0],
    ['field', root, AT],
  ]);
  const tagged = values.locked_tree;
  builder.add({ kind: 'decl_tag', name: 'contains:item:node', type: tagged, component: 1, attribute: false });
  const inner = struct('inner', 24, [
    ['x', u64Type, 0],
    ['timer', timer, 8],
  ]);
  values.nested_timer = struct('with_nested', SIZE, [['inner', inner, 0]]);
  return { bytes: builder.encode(), key: u32Type, key64: u64Type, values };
}

const NONE = 'EOPNOTSUPP';
const FIELDS = [
  'spin_lock',
  'res_spin_lock',
  'timer',
  'wq',
  'task_work',
  'refcount',
  'kptr',
  'kptr_untrusted',
  'rb_node',
  'two_timers',
  'locked_tree',
  'nested_timer',
];
/** In the order of `FIELDS`: what creation answers. Nodes, and fields that occur twice, are no special fields. */
const LOCKS_AND_POINTERS = `ok ok ${NONE} ${NONE} ${NONE} ok ok ok ok ok ${NONE} ${NONE}`;
const ANSWERS: Readonly<Record<string, string>> = {
  hash: 'ok ok ok ok ok ok ok ok ok ok ok ok',
  array: 'ok ok ok ok ok ok ok ok ok ok ok ok',
  lru_hash: `${NONE} ${NONE} ok ok ok ok ok ok ok ok ${NONE} ok`,
  percpu_hash: `${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ok ok ok ok ok ${NONE} ${NONE}`,
  percpu_array: `${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ok ok ok ok ok ${NONE} ${NONE}`,
  lru_percpu_hash: `${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ok ok ok ok ok ${NONE} ${NONE}`,
  sk_storage: LOCKS_AND_POINTERS,
  inode_storage: LOCKS_AND_POINTERS,
  task_storage: LOCKS_AND_POINTERS,
  cgrp_storage: LOCKS_AND_POINTERS,
  cgroup_storage: `ok ok ${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ok ok ${NONE} ${NONE}`,
  bloom_filter: `${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ok ok ${NONE} ${NONE}`,
  stack_trace: `${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ${NONE} ENOTSUPP ENOTSUPP ${NONE} ${NONE}`,
};

/** Bytes of each field's place that a lookup shows after an update with all bits set. */
const SHOWN: Readonly<Record<string, readonly number[]>> = {
  spin_lock: [0, 0, 0, 0],
  res_spin_lock: [0, 0, 0, 0],
  timer: Array(16).fill(0),
  wq: Array(16).fill(0),
  task_work: Array(8).fill(0),
  refcount: [1, 0, 0, 0],
  kptr: Array(8).fill(0),
  kptr_untrusted: Array(8).fill(0),
  rb_node: Array(32).fill(255),
  locked_tree: Array(16).fill(0),
};

for (const subject of SUBJECTS) {
  describe.skipIf(subject.missing !== undefined)(`value fields contract on ${subject.name}`, () => {
    const kernel = subject.missing === undefined ? subject.kernel() : (undefined as unknown as Kernel);
    const { bytes, key, key64, values } = valueTypes();

    const attr = (map_type: string, field: string): MapCreateAttr => ({
      map_type: map_type as MapCreateAttr['map_type'],
      key_size: map_type === 'cgroup_storage' ? 8 : map_type === 'bloom_filter' ? 0 : 4,
      value_size: SIZE,
      max_entries: map_type.endsWith('_storage') ? 0 : 2,
      map_flags: /^(sk|inode|task|cgrp)_storage$/.test(map_type) ? C.BPF_F_NO_PREALLOC : 0,
      btf_key_type_id: map_type === 'cgroup_storage' ? key64 : map_type === 'bloom_filter' ? 0 : key,
      btf_value_type_id: values[field]!,
    });
    const withTypes = (use: (types: { btf_fd: ReturnType<Kernel['bpf']['btf_load']> }) => void) => {
      ran += 1;
      const btf_fd = kernel.bpf.btf_load({ btf: bytes });
      use({ btf_fd });
      kernel.closeFd(btf_fd);
    };

    for (const [map_type, answers] of Object.entries(ANSWERS)) {
      it(`${map_type}: fields that its values may have`, () => {
        withTypes((types) => {
          const made = FIELDS.map((field) =>
            outcome(() => withMap(kernel, { ...attr(map_type, field), ...types }, () => undefined)),
          );
          expect(made.join(' ')).toBe(answers);
        });
      });
    }

    for (const map_type of ['hash', 'array', 'lru_hash', 'percpu_hash', 'percpu_array', 'lru_percpu_hash']) {
      it(`${map_type}: fields are neither read nor written`, () => {
        withTypes((types) => {
          for (const [i, field] of FIELDS.entries()) {
            const shown = SHOWN[field];
            if (!shown || ANSWERS[map_type]!.split(' ')[i] !== 'ok') continue;
            withMap(kernel, { ...attr(map_type, field), ...types }, (map_fd) => {
              const slots = map_type.includes('percpu') ? kernel.possibleCpus : 1;
              const value = new Uint8Array(SIZE * slots).fill(255);
              for (const round of [1, 2]) {
                kernel.bpf.map_update_elem({ map_fd, key: u32(0), value });
                const seen = kernel.bpf.map_lookup_elem({ map_fd, key: u32(0) })!;
                expect([round, field, ...seen.slice(AT, AT + shown.length)]).toEqual([
                  round,
                  field,
                  ...shown,
                ]);
                expect(seen[SIZE * slots - 1]).toBe(255);
              }
              const frozen = outcome(() => kernel.bpf.map_freeze({ map_fd }));
              expect([field, frozen]).toEqual([field, field === 'rb_node' ? 'ok' : 'ENOTSUPP']);
            });
          }
        });
      });
    }

    it('programs must be able to write them', () => {
      withTypes((types) => {
        const over = { ...types, map_flags: C.BPF_F_RDONLY_PROG };
        const made = ['timer', 'kptr', 'two_timers'].map((field) =>
          outcome(() => withMap(kernel, { ...attr('hash', field), ...over }, () => undefined)),
        );
        expect(made).toEqual(['EACCES', 'EACCES', 'ok']);
      });
    });

    it('inner maps have the same', () => {
      withTypes((types) => {
        const fits = (pattern: string, other: string) => {
          const array = { map_type: 'array_of_maps', key_size: 4, value_size: 4, max_entries: 1 } as const;
          return withMap(kernel, { ...attr('hash', pattern), ...types }, (inner_map_fd) =>
            withMap(kernel, { ...array, inner_map_fd }, (map_fd) =>
              withMap(kernel, { ...attr('hash', other), ...types }, (fd) =>
                outcome(() => kernel.bpf.map_update_elem({ map_fd, key: u32(0), value: u32(fd) })),
              ),
            ),
          );
        };
        expect([fits('timer', 'timer'), fits('timer', 'kptr'), fits('spin_lock', 'rb_node')]).toEqual([
          'ok',
          'EINVAL',
          'EINVAL',
        ]);
      });
    });
  });
}
