import { describe, expect, it } from 'vitest';
import { BtfBuilder, INT_BOOL, INT_SIGNED } from '../../src/btf/index.ts';
import { progressText } from '../../src/cli/run/progress.ts';
import { packetType } from '../../src/cli/run/verdicts.ts';
import { ipv6, lineOf, plainValue, typeLabel } from '../../src/cli/value.ts';

const builder = new BtfBuilder();
const int = (name: string, size: number, encoding = 0) =>
  builder.add({ kind: 'int', name, size, encoding, bits: size * 8, bitOffset: 0 });
const u8 = int('unsigned char', 1);
const char = int('char', 1, INT_SIGNED);
const u16 = int('unsigned short', 2);
const u32 = int('unsigned int', 4);
const s32 = int('int', 4, INT_SIGNED);
const u64 = int('unsigned long', 8);
const bool = int('_Bool', 1, INT_BOOL);
const be16 = builder.add({ kind: 'typedef', name: '__be16', type: u16 });
const be32 = builder.add({ kind: 'typedef', name: '__be32', type: u32 });
const in6 = builder.add({ kind: 'struct', name: 'in6_addr', size: 16, members: [], bitfields: false });
const text = builder.add({ kind: 'array', type: char, indexType: u32, length: 4 });
const triple = builder.add({ kind: 'array', type: u8, indexType: u32, length: 3 });
const state = builder.add({
  kind: 'enum',
  name: 'state',
  size: 4,
  signed: false,
  values: [{ name: 'OPEN', value: 1 }],
});
const lock = builder.add({ kind: 'struct', name: 'bpf_spin_lock', size: 4, members: [], bitfields: false });
const inner = builder.add({
  kind: 'union',
  name: '',
  size: 4,
  members: [
    { name: 'word', type: u32, bitOffset: 0, bitSize: 0 },
    { name: 'address', type: be32, bitOffset: 0, bitSize: 0 },
  ],
  bitfields: false,
});
const outer = builder.add({
  kind: 'struct',
  name: 'outer',
  size: 16,
  members: [
    { name: 'lock', type: lock, bitOffset: 0, bitSize: 0 },
    { name: '', type: inner, bitOffset: 32, bitSize: 0 },
    { name: 'low', type: u32, bitOffset: 64, bitSize: 3 },
    { name: 'high', type: u32, bitOffset: 67, bitSize: 5 },
  ],
  bitfields: true,
});
const btf = builder.build('test');

describe('values by BTF type', () => {
  it.each([
    ['__be32 as an address', be32, [10, 7, 0, 1], '10.7.0.1'],
    ['__be16 in network order', be16, [0x01, 0xbb], 443],
    ['a plain number as a number', u32, [10, 7, 0, 1], 0x0100070a],
    ['a negative number', s32, [0xff, 0xff, 0xff, 0xff], -1],
    ['2^53', u64, [0, 0, 0, 0, 0, 0, 0x20, 0], '9007199254740992'],
    ['a bool', bool, [1], true],
    ['in6_addr', in6, [0xfd, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 'fd07::1'],
    ['an enumerator', state, [1, 0, 0, 0], 'OPEN'],
    ['a number that no enumerator has', state, [2, 0, 0, 0], 2],
    ['text', text, [0x61, 0x62, 0, 0], 'ab'],
    ['chars that are no text', text, [0x61, 0, 0x62, 0], [97, 0, 98, 0]],
    ['bytes', triple, [1, 2, 3], [1, 2, 3]],
    ['fewer bytes than the type has', u32, [1, 2], '01 02'],
  ])('%s', (_, type, bytes, expected) => {
    expect(plainValue(btf, type, Uint8Array.from(bytes))).toEqual(expected);
  });

  it('puts anonymous members beside the others, splits bitfields and hides locks', () => {
    const bytes = Uint8Array.from([9, 9, 9, 9, 127, 0, 0, 1, 0b10101_011, 0, 0, 0, 0, 0, 0, 0]);
    const value = plainValue(btf, outer, bytes);
    expect(value).toEqual({ lock: {}, word: 0x0100007f, address: '127.0.0.1', low: 3, high: 21 });
    expect(lineOf(value)).toBe('{lock: {}, word: 16777343, address: 127.0.0.1, low: 3, high: 21}');
  });

  it('names types as C does', () => {
    expect([outer, be32, text, state, inner].map((type) => typeLabel(btf, type))).toEqual([
      'struct outer',
      '__be32',
      'char[4]',
      'enum state',
      'union',
    ]);
  });
});

describe('IPv6 addresses', () => {
  const address = (...groups: number[]) =>
    Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
  it.each([
    [address(0, 0, 0, 0, 0, 0, 0, 0), '::'],
    [address(0, 0, 0, 0, 0, 0, 0, 1), '::1'],
    [address(1, 0, 0, 2, 0, 0, 0, 3), '1:0:0:2::3'],
    [address(1, 0, 2, 0, 3, 0, 4, 0), '1:0:2:0:3:0:4:0'],
    [address(0xfe80, 0, 0, 0, 0, 0, 0, 0), 'fe80::'],
    [address(0, 0, 0, 0, 0, 0xffff, 0x0a07, 0x0001), '::ffff:10.7.0.1'],
  ])('%s', (bytes, expected) => expect(ipv6(bytes)).toBe(expected));
});

describe('verdicts', () => {
  it.each([
    [2, { name: 'PASS', kept: true }],
    [1, { name: 'DROP', kept: false }],
    [0, { name: 'ABORTED', kept: false }],
    [7, { name: 'ABORTED (r0 = 7)', kept: false }],
  ])('of XDP %i', (retval, expected) => {
    expect(packetType({ name: 'p' }, 'xdp').verdict(retval, 60)).toEqual(expected);
  });
  it.each([
    [0xffff_ffff, { name: 'UNSPEC', kept: true }],
    [2, { name: 'SHOT', kept: false }],
    [99, { name: 'UNSPEC (r0 = 99)', kept: true }],
  ])('of tc %i', (retval, expected) => {
    expect(packetType({ name: 'p' }, 'sched_cls').verdict(retval, 60)).toEqual(expected);
  });
});

it('progress says share, rate and time left', () => {
  expect(progressText(120_000, 42, 100, 3000)).toBe('42 % · 120,000 packets · 40,000 packets/s · 5 s left');
  expect(progressText(10, 0, 0, 1000)).toBe('10 packets · 10 packets/s');
});
