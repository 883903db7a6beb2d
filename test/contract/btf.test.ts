/** Which maps may be given types for keys and values, on every kernel. */
import { afterAll, describe, expect, it } from 'vitest';
import { BtfBuilder } from '../../src/btf/index.ts';
import { outcome, SUBJECTS, withMap } from './kernels.ts';
import { SHAPES } from './shapes.ts';

let ran = 0;
afterAll(() => {
  expect(ran, 'the contract ran no case').toBeGreaterThan(0);
});

/** Answers for: int key and value; no key; neither; struct key and value; a value of another size. */
const ANSWERS: Readonly<Record<string, string>> = {
  hash: 'ok EINVAL ok ok EINVAL',
  percpu_hash: 'ok EINVAL ok ok EINVAL',
  lru_hash: 'ok EINVAL ok ok EINVAL',
  lru_percpu_hash: 'ok EINVAL ok ok EINVAL',
  array: 'ok EINVAL ok EINVAL EINVAL',
  percpu_array: 'ok EINVAL ok EINVAL EINVAL',
  prog_array: 'ok EINVAL ok ok EINVAL',
  perf_event_array: 'ENOTSUPP ENOTSUPP ok ENOTSUPP EINVAL',
  array_of_maps: 'ENOTSUPP ENOTSUPP ok ENOTSUPP EINVAL',
  hash_of_maps: 'ENOTSUPP ENOTSUPP ok ENOTSUPP EINVAL',
  ringbuf: 'EINVAL EINVAL ok EINVAL EINVAL',
  queue: 'EINVAL EINVAL ok EINVAL EINVAL',
  stack: 'EINVAL EINVAL ok EINVAL EINVAL',
  lpm_trie: 'EINVAL EINVAL ok ok EINVAL',
  cgroup_array: 'ENOTSUPP ENOTSUPP ok ENOTSUPP EINVAL',
  devmap: 'ENOTSUPP ENOTSUPP ok ENOTSUPP EINVAL',
  devmap_hash: 'ENOTSUPP ENOTSUPP ok ENOTSUPP EINVAL',
  cpumap: 'ENOTSUPP ENOTSUPP ok ENOTSUPP EINVAL',
  xskmap: 'ENOTSUPP ENOTSUPP ok ENOTSUPP EINVAL',
  sockmap: 'ENOTSUPP ENOTSUPP ok ENOTSUPP EINVAL',
  sockhash: 'ENOTSUPP ENOTSUPP ok ENOTSUPP EINVAL',
  reuseport_sockarray: 'ok EINVAL ok ok EINVAL',
  cgroup_storage: 'ok EINVAL ok EINVAL EINVAL',
  percpu_cgroup_storage: 'ok EINVAL ok EINVAL EINVAL',
  sk_storage: 'ok EINVAL EINVAL EINVAL EINVAL',
  inode_storage: 'ok EINVAL EINVAL EINVAL EINVAL',
  task_storage: 'ok EINVAL EINVAL EINVAL EINVAL',
  cgrp_storage: 'ok EINVAL EINVAL EINVAL EINVAL',
  bloom_filter: 'ok ok ok ok EINVAL',
  user_ringbuf: 'EINVAL EINVAL ok EINVAL EINVAL',
  arena: 'EINVAL EINVAL ok EINVAL EINVAL',
  stack_trace: 'EINVAL EINVAL ok EINVAL EINVAL',
};

/** Types of 4 bytes (an int and a struct), of 8 (likewise), and of 1. */
function typesOf() {
  const builder = new BtfBuilder();
  const int = (name: string, size: number) =>
    builder.add({ kind: 'int', name, size, encoding: 0, bitOffset: 0, bits: size * 8 });
  const [u8, u32, u64] = [int('u8', 1), int('u32', 4), int('u64', 8)];
  const struct = (name: string, words: number) =>
    builder.add({
      kind: 'struct',
      name,
      size: words * 4,
      bitfields: false,
      members: Array.from({ length: words }, (_, i) => ({
        name: `m${i}`,
        type: u32,
        bitOffset: i * 32,
        bitSize: 0,
      })),
    });
  const ids = { 4: { int: u32, struct: struct('one', 1) }, 8: { int: u64, struct: struct('two', 2) }, u8 };
  return { bytes: builder.encode(), ids };
}

for (const subject of SUBJECTS) {
  describe.skipIf(subject.missing !== undefined)(`BTF contract on ${subject.name}`, () => {
    const { bytes, ids } = typesOf();
    for (const { attr } of SHAPES) {
      it(attr.map_type, () => {
        ran += 1;
        const kernel = subject.kernel();
        const btf_fd = kernel.bpf.btf_load({ btf: bytes });
        const inner_map_fd = kernel.bpf.map_create({
          map_type: 'array',
          key_size: 4,
          value_size: 4,
          max_entries: 1,
        });
        const key = attr.key_size === 8 ? ids[8] : attr.key_size === 4 ? ids[4] : { int: 0, struct: 0 };
        const tries: readonly (readonly [number, number])[] = [
          [key.int, ids[4].int],
          [0, ids[4].int],
          [0, 0],
          [key.struct, ids[4].struct],
          [key.int, ids.u8],
        ];
        const answers = tries.map(([btf_key_type_id, btf_value_type_id]) =>
          outcome(() => {
            const types = { btf_fd, btf_key_type_id, btf_value_type_id };
            const inner = attr.map_type.endsWith('_of_maps') ? { inner_map_fd } : {};
            withMap(kernel, { ...attr, ...types, ...inner }, () => undefined);
          }),
        );
        kernel.closeFd(inner_map_fd);
        kernel.closeFd(btf_fd);
        expect(answers.join(' ')).toBe(ANSWERS[attr.map_type]);
      });
    }
  });
}
