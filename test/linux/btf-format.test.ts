import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { decodeValue, encodeValue, formatValue, sizeOf, valueTree, writeJson } from '../../src/btf/index.ts';
import { compile, has, isRoot, readObject, scratch } from './btf-tools.ts';

const dir = scratch();
afterAll(() => dir.remove());
const ready = has('clang-19') && has('bpftool', 'version') && isRoot;

function bpftool(...args: string[]): string {
  return execFileSync('bpftool', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

const VALUE = {
  u8: 200,
  s8: -5,
  u16: 65535,
  s16: -2,
  u32: 4294967295,
  s32: -1,
  u64: 2n ** 64n - 1n,
  s64: -(2n ** 63n),
  flag: true,
  letter: 65,
  text: 'curl',
  // bpftool 7.1 writes a backslash as a line break; one is left out here.
  quoted: 'a"b/c',
  bytes: [1, 2, 255, 0],
  color: 'BLUE',
  unknown: 77,
  wide: 'HIGH',
  b1: 5,
  b2: -7,
  b3: 0xabcdef0123n,
  pointer: '0xffff888000001234',
  null: '0x0',
  grid: [
    [1, 2, 3],
    [4, 5, -6],
  ],
  named: { inner: 9 },
  as_int: 0x04030201,
  as_bytes: [1, 2, 3, 4],
  huge: 0x123456789abcdef0123456789n,
  qualified: -100,
  binary: [1, 2, 3, 200 - 256],
};

describe('values print as bpftool map dump prints them', () => {
  it.skipIf(!ready)('in plain text and as JSON', () => {
    const object = join(dir.path, 'values.o');
    compile('clang-19', join(import.meta.dirname, '../btf/values.c'), object);
    const { btf } = readObject(object);
    const value = btf.find('value', 'struct')!;
    const int = btf.find('int', 'int')!;
    const bytes = encodeValue(btf, value, VALUE);
    expect(bytes.length).toBe(sizeOf(btf, value));
    expect(decodeValue(btf, value, bytes)).toEqual(VALUE);

    const pins = '/sys/fs/bpf/skep_btf_format_test';
    execFileSync('mkdir', ['-p', pins]);
    try {
      bpftool('prog', 'load', object, `${pins}/prog`, 'pinmaps', pins);
      const hex = (data: Uint8Array) => [...data].map((byte) => byte.toString(16).padStart(2, '0'));
      const map = `${pins}/values`;
      bpftool(
        'map',
        'update',
        'pinned',
        map,
        'key',
        'hex',
        '07',
        '00',
        '00',
        '00',
        'value',
        'hex',
        ...hex(bytes),
      );
      const key = new Uint8Array([7, 0, 0, 0]);
      const entry = (json: boolean) =>
        ({
          kind: 'array',
          items: [
            {
              kind: 'object',
              fields: [
                ['key', valueTree(btf, int, key, { json })],
                ['value', valueTree(btf, value, bytes, { json })],
              ],
            },
          ],
        }) as const;
      // Addresses have quotes since bpftool 7.2.
      const text = bpftool('map', 'dump', 'pinned', map).trim();
      expect(writeJson(entry(false), 0)).toBe(
        text.replace(/"(pointer|null)": (0x[0-9a-f]+|\(nil\))/g, '"$1": "$2"'),
      );
      const dumped = bpftool('-j', 'map', 'dump', 'pinned', map);
      const formatted = `"formatted":{"key":7,"value":${formatValue(btf, value, bytes, { json: true })}}`;
      expect(dumped).toContain(formatted);
    } finally {
      execFileSync('rm', ['-rf', pins]);
    }
  });
});
