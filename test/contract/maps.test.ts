/** What every map type promises, on every kernel. A case that Linux answers otherwise is a wrong case. */
import { afterAll, describe, expect, it } from 'vitest';
import {
  MAP_CREATE_FLAGS as C,
  type Kernel,
  type MapCreateAttr,
  MAP_UPDATE_FLAGS as U,
} from '../../src/sys/index.ts';
import { arrayCases, hashCases, lpmCases, objectCases, queueCases, valueCases } from './cases.ts';
import {
  attachedCases,
  filterCases,
  keylessCases,
  ownedCases,
  redirectCases,
  socketCases,
  traceCases,
} from './cases-by-owner.ts';
import { complete, outcome, SUBJECTS, u32, withMap } from './kernels.ts';
import { CREATION, SHAPES, type Shape } from './shapes.ts';
import { TestMap } from './test-map.ts';

/** A value that is no open descriptor either. */
const ANY = 999_999;

let ran = 0;
afterAll(() => {
  expect(ran, 'the contract ran no case').toBeGreaterThan(0);
});

for (const subject of SUBJECTS) {
  describe.skipIf(subject.missing !== undefined)(`map contract on ${subject.name}`, () => {
    const kernel = subject.missing === undefined ? subject.kernel() : (undefined as unknown as Kernel);

    const test = (name: string, run: () => void) =>
      it(name, () => {
        ran += 1;
        run();
      });

    describe('creation', () => {
      for (const [name, expected, attr] of CREATION) {
        test(`${name}: ${expected}`, () => {
          const made = outcome(() => kernel.closeFd(kernel.bpf.map_create(attr)));
          expect(made).toBe(expected);
        });
      }
      for (const shape of SHAPES) {
        test(`${shape.attr.map_type}: flags one by one`, () => {
          const answers: Record<string, string> = {};
          for (const [name, bit] of Object.entries(C)) {
            if (name === 'BPF_F_TOKEN_FD') continue;
            const attr = { ...shape.attr, map_flags: (shape.attr.map_flags ?? 0) | bit };
            answers[name] = outcome(() => withMap(kernel, complete(kernel, attr, shape), () => undefined));
          }
          expect(answers).toEqual(expectedFlags(shape));
        });
      }
    });

    for (const shape of SHAPES) {
      describe(shape.attr.map_type, () => {
        const open = <T>(use: (map: TestMap) => T, over: Partial<MapCreateAttr> = {}): T => {
          const attr = complete(kernel, { ...shape.attr, ...over }, shape);
          return withMap(kernel, attr, (fd) => use(new TestMap(kernel, fd, shape)));
        };

        test('info says what was asked for', () => {
          open((map) => {
            const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: map.fd });
            const { map_type: type, key_size, value_size, max_entries, map_flags = 0 } = shape.attr;
            const flags = map_flags | (shape.addedFlags ?? 0);
            expect(info).toMatchObject({
              kind: 'map',
              type,
              key_size,
              value_size,
              max_entries,
              map_flags: flags,
            });
          });
        });

        test('answers to wrong calls', () => {
          open((map) => {
            expect({
              lookupFlags: outcome(() => kernel.bpf.map_lookup_elem({ ...map.at(0), flags: 1n })),
              lookupLock: outcome(() =>
                kernel.bpf.map_lookup_elem({ ...map.at(0), flags: BigInt(U.BPF_F_LOCK) }),
              ),
              updateLock: map.update(0, ANY, U.BPF_F_LOCK),
              noexist: map.update(0, ANY, U.BPF_NOEXIST),
              unknown: map.update(0, ANY, 8),
              huge: map.update(0, ANY, 2 ** 33),
              both: map.update(0, ANY, U.BPF_NOEXIST | U.BPF_EXIST),
            }).toEqual(shape.wrong);
          });
        });

        if (shape.family === 'hash' || shape.family === 'array') valueCases(kernel, shape, test, open);
        if (shape.family === 'hash') hashCases(kernel, shape, test, open);
        if (shape.family === 'array') arrayCases(shape, test, open);
        if (shape.family === 'objects') objectCases(kernel, shape, test, open);
        if (shape.family === 'lpm') lpmCases(kernel, test, open);
        if (shape.family === 'queue') queueCases(kernel, shape, test, open);
        if (shape.family === 'traces') traceCases(kernel, test, open);
        if (shape.family === 'redirect') redirectCases(kernel, shape, test, open);
        if (shape.family === 'sockets') socketCases(kernel, shape, test, open);
        if (shape.family === 'attached') attachedCases(test, open);
        if (shape.family === 'owned') ownedCases(kernel, shape, test, open);
        if (shape.family === 'filter') filterCases(kernel, test, open);
        if (shape.family === 'ringbuf' || shape.family === 'pages') keylessCases(kernel, shape, test, open);

        test('can or can not be an inner map', () => {
          open((map) => {
            const outer = { map_type: 'array_of_maps', key_size: 4, value_size: 4, max_entries: 1 } as const;
            const answer = outcome(() =>
              withMap(kernel, { ...outer, inner_map_fd: map.fd }, () => undefined),
            );
            expect(answer).toBe(INNER[shape.attr.map_type] ?? 'ok');
          });
        });

        test('batches, or does not', () => {
          open((map) => {
            const keys = new Uint8Array(shape.attr.key_size);
            const values = map.value(0);
            const { bpf } = kernel;
            const batch = { map_fd: map.fd, count: 0 };
            const answers = [
              () => bpf.map_lookup_batch(batch),
              () => bpf.map_lookup_and_delete_batch(batch),
              () => bpf.map_update_batch({ ...batch, keys, values }),
              () => bpf.map_delete_batch({ ...batch, keys }),
            ].map(outcome);
            expect(answers.join(' ')).toBe(BATCHES[shape.attr.map_type] ?? NO_BATCHES);
          });
        });

        test('a frozen map refuses writes, and to be frozen again', () => {
          open((map) => {
            kernel.bpf.map_freeze({ map_fd: map.fd });
            expect([
              map.update(0, 1),
              map.delete(0),
              outcome(() => kernel.bpf.map_freeze({ map_fd: map.fd })),
            ]).toEqual(['EPERM', 'EPERM', 'EPERM']);
          });
        });
      });
    }

    describe('access flags', () => {
      for (const [flag, read, write] of [
        ['BPF_F_RDONLY', 'ok', 'EPERM'],
        ['BPF_F_WRONLY', 'EPERM', 'ok'],
      ] as const) {
        test(`${flag} holds for its descriptor and for one by id`, () => {
          const attr = { map_type: 'array', key_size: 4, value_size: 4, max_entries: 1 } as const;
          const check = (fd: ReturnType<typeof kernel.bpf.map_create>) => {
            const key = u32(0);
            expect(outcome(() => kernel.bpf.map_lookup_elem({ map_fd: fd, key }))).toBe(read);
            expect(outcome(() => kernel.bpf.map_update_elem({ map_fd: fd, key, value: u32(1) }))).toBe(write);
          };
          withMap(kernel, { ...attr, map_flags: C[flag] }, check);
          withMap(kernel, attr, (fd) => {
            const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: fd });
            if (info.kind !== 'map') throw new Error('no map');
            const other = kernel.bpf.map_get_fd_by_id({ map_id: info.id, open_flags: C[flag] });
            check(other);
            kernel.closeFd(other);
          });
        });
      }
    });
  });
}

const INNER: Readonly<Record<string, string>> = {
  prog_array: 'ENOTSUPP',
  cgroup_storage: 'ENOTSUPP',
  percpu_cgroup_storage: 'ENOTSUPP',
  array_of_maps: 'EINVAL',
  hash_of_maps: 'EINVAL',
};

/** Lookup, lookup and delete, update, delete. */
const NO_BATCHES = 'ENOTSUPP ENOTSUPP ENOTSUPP ENOTSUPP';
const ALL_BATCHES = 'ok ok ok ok';
const BATCHES: Readonly<Record<string, string>> = {
  hash: ALL_BATCHES,
  percpu_hash: ALL_BATCHES,
  lru_hash: ALL_BATCHES,
  lru_percpu_hash: ALL_BATCHES,
  hash_of_maps: ALL_BATCHES,
  array: 'ok ENOTSUPP ok ENOTSUPP',
  percpu_array: 'ok ENOTSUPP ok ENOTSUPP',
  array_of_maps: 'ok ENOTSUPP ok ENOTSUPP',
  lpm_trie: 'ok ENOTSUPP ok ok',
};

function expectedFlags(shape: Shape): Record<string, string> {
  const answers: Record<string, string> = {};
  for (const name of Object.keys(C)) {
    if (name === 'BPF_F_TOKEN_FD') continue;
    answers[name] = shape.flags.includes(name) ? 'ok' : (shape.flagErrors?.[name] ?? 'EINVAL');
  }
  return answers;
}
