/** What every map type promises, on every kernel. A case that Linux answers otherwise is a wrong case. */
import { afterAll, describe, expect, it } from 'vitest';
import {
  MAP_CREATE_FLAGS as C,
  type Kernel,
  type MapCreateAttr,
  MAP_UPDATE_FLAGS as U,
} from '../../src/sys/index.ts';
import { arrayCases, hashCases, lpmCases, objectCases, queueCases, valueCases } from './cases.ts';
import { outcome, SUBJECTS, u32, withMap } from './kernels.ts';
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
            answers[name] = outcome(() => withMap(kernel, withInner(kernel, attr), () => undefined));
          }
          expect(answers).toEqual(expectedFlags(shape));
        });
      }
    });

    for (const shape of SHAPES) {
      describe(shape.attr.map_type, () => {
        const open = <T>(use: (map: TestMap) => T, over: Partial<MapCreateAttr> = {}): T => {
          const attr = withInner(kernel, { ...shape.attr, ...over });
          return withMap(kernel, attr, (fd) => use(new TestMap(kernel, fd, shape)));
        };

        test('info says what was asked for', () => {
          open((map) => {
            const info = kernel.bpf.obj_get_info_by_fd({ bpf_fd: map.fd });
            const { map_type: type, key_size, value_size, max_entries, map_flags = 0 } = shape.attr;
            expect(info).toMatchObject({ kind: 'map', type, key_size, value_size, max_entries, map_flags });
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

/** Gives a map of maps its inner map; the descriptor is closed with the process. */
const inners = new WeakMap<Kernel, ReturnType<Kernel['bpf']['map_create']>>();
function withInner(kernel: Kernel, attr: MapCreateAttr): MapCreateAttr {
  if (!attr.map_type.endsWith('_of_maps')) return attr;
  let inner = inners.get(kernel);
  if (inner === undefined) {
    inner = kernel.bpf.map_create({ map_type: 'array', key_size: 4, value_size: 4, max_entries: 1 });
    inners.set(kernel, inner);
  }
  return { ...attr, inner_map_fd: inner };
}

function expectedFlags(shape: Shape): Record<string, string> {
  const answers: Record<string, string> = {};
  for (const name of Object.keys(C)) {
    if (name === 'BPF_F_TOKEN_FD') continue;
    answers[name] = shape.flags.includes(name) ? 'ok' : (shape.flagErrors?.[name] ?? 'EINVAL');
  }
  return answers;
}
