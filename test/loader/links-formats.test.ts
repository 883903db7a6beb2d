/** What attaching reads and writes, byte by byte: USDT arguments and specs, netlink attributes, link information. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  encodeAttributes,
  parseAttributes,
  readText,
  readU32,
  textAttr,
  u32Attr,
} from '../../src/linux/netlink.ts';
import { Binary } from '../../src/loader/attach/binary.ts';
import { wildcard } from '../../src/loader/attach/tracefs.ts';
import { encodeUsdtSpec, parseUsdtArguments, readUsdtNotes } from '../../src/loader/attach/usdt.ts';
import { type Kernel, type LinkInfo, linkDetails, linkTypeNames } from '../../src/sys/index.ts';
import { thrown } from '../linux/support.ts';

const X86 = 62;
const ARM64 = 183;

test('USDT arguments of x86-64', () => {
  const args = parseUsdtArguments('-4@%edi 8@-16(%rbp) 4@$-5 1@%r9b 8@(%rax,%rdx,8) 2@0x10(%rsp)', X86);
  expect(args).toEqual([
    { size: 4, signed: true, kind: 'register', register: 112 },
    { size: 8, signed: false, kind: 'memory', register: 32, offset: -16n },
    { size: 4, signed: false, kind: 'const', value: -5n },
    { size: 1, signed: false, kind: 'register', register: 64 },
    { size: 8, signed: false, kind: 'memory', register: 80, offset: 0n, index: { register: 96, shift: 3 } },
    { size: 2, signed: false, kind: 'memory', register: 152, offset: 16n },
  ]);
});

test('USDT arguments of arm64', () => {
  expect(parseUsdtArguments('-4@[sp, 12] 8@x19 4@w1 8@7 8@[x0]', ARM64)).toEqual([
    { size: 4, signed: true, kind: 'memory', register: 248, offset: 12n },
    { size: 8, signed: false, kind: 'register', register: 152 },
    { size: 4, signed: false, kind: 'register', register: 8 },
    { size: 8, signed: false, kind: 'const', value: 7n },
    { size: 8, signed: false, kind: 'memory', register: 0, offset: 0n },
  ]);
});

test.each(['3@%edi', '4@%foo', '4f@%xmm0', '8@sym(%rip)', '4@', '8@8(,%rax,4)'])(
  'no USDT argument: %s',
  (text) => {
    expect(thrown(() => parseUsdtArguments(text, X86)).code).toBe('loader-usdt');
  },
);

test('a USDT spec is laid out as usdt.bpf.h reads it', () => {
  const spec = encodeUsdtSpec(parseUsdtArguments('-4@%edi 8@-16(%rbp,%rcx,4)', X86), 9n, 208);
  const view = new DataView(spec.buffer);
  expect([view.getInt16(12, true), view.getUint8(14), view.getInt8(15), view.getUint8(8)]).toEqual([
    112, 1, 32, 1,
  ]);
  expect(view.getBigInt64(16, true)).toBe(-16n);
  expect(view.getUint32(24, true)).toBe(3 | (88 << 8) | (2 << 20));
  expect([view.getBigUint64(192, true), view.getInt16(200, true)]).toEqual([9n, 2]);
});

test('USDT notes and functions of a file', () => {
  const path = join(import.meta.dirname, '../linux/objects/target');
  const kernel = { files: { read_file: () => new Uint8Array(readFileSync(path)) } } as unknown as Kernel;
  const binary = new Binary(kernel, path);
  expect(readUsdtNotes(binary)).toMatchObject([
    { provider: 'skep', name: 'work', args: expect.stringMatching(/^-4@/) },
  ]);
  expect(binary.functions((name) => wildcard('probed*').test(name)).map(({ name }) => name)).toEqual([
    'probed',
    'probed_too',
  ]);
  expect(thrown(() => binary.functionOffset('nope')).errno).toBe('ENOENT');
});

test('netlink attributes nest, and what is cut off ends them', () => {
  const bytes = encodeAttributes([textAttr(3, 'lo'), [18, [textAttr(1, 'veth'), u32Attr(2, 7)]]]);
  const outer = parseAttributes(bytes);
  expect(readText(outer.get(3))).toBe('lo');
  const inner = parseAttributes(outer.get(18)!);
  expect([readText(inner.get(1)), readU32(inner.get(2))]).toEqual(['veth', 7]);
  for (let length = 0; length < bytes.length; length++) {
    expect(parseAttributes(bytes.subarray(0, length)).size).toBeLessThan(2 + 1);
  }
  expect(parseAttributes(Uint8Array.of(0, 0, 0, 0)).size).toBe(0);
});

test('every kind of link is told, from however short a tail', () => {
  for (const type of linkTypeNames) {
    const info = { kind: 'link', type, id: 1, prog_id: 2, raw: new Uint8Array(8) } as unknown as LinkInfo;
    expect(linkDetails(info).type).toBe(type);
  }
});

test('patterns', () => {
  expect(wildcard('vfs_*').test('vfs_read')).toBe(true);
  expect(wildcard('vfs_?ead').test('vfs_read')).toBe(true);
  expect(wildcard('vfs.read').test('vfs_read')).toBe(false);
});
