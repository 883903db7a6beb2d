import { describe, expect, it } from 'vitest';
import { format } from './format.ts';

const memory = {
  bytes: (addr: bigint, size: number) =>
    addr === 1n ? Uint8Array.from({ length: size }, (_, i) => i + 1) : undefined,
  string: (addr: bigint) => (addr === 1n ? 'text' : undefined),
};
const print = (text: string, ...args: bigint[]) => {
  const found = format(text, args, memory);
  return typeof found === 'string' ? found : found.text;
};
const minusOne = (1n << 64n) - 1n;

describe('format', () => {
  it.each([
    ['plain 100%%', [], 'plain 100%'],
    ['%d %i', [minusOne, 5n], '-1 5'],
    ['%u %lu', [minusOne, minusOne], '4294967295 18446744073709551615'],
    ['%ld %lld', [minusOne, minusOne], '-1 -1'],
    ['%x %X %lx', [0xabcn, 0xabcn, minusOne], 'abc ABC ffffffffffffffff'],
    ['[%5d] [%-5d] [%05d] [%+d]', [42n, 42n, 42n, 42n], '[   42] [42   ] [00042] [+42]'],
    ['%s|%8s', [1n, 1n], 'text|    text'],
    ['%c', [65n], 'A'],
    ['%pI4 %pi4', [1n, 1n], '1.2.3.4 001.002.003.004'],
    ['%pI6', [1n], '0102:0304:0506:0708:090a:0b0c:0d0e:0f10'],
    ['%px', [0x1234n], '0000000000001234'],
    ['%pks', [1n], 'text'],
    ['h\u00c3\u00a9', [], 'h\u00c3\u00a9'],
    ['[%20pI4]', [1n], '[1.2.3.4]'],
  ] as const)('%j', (text, args, expected) => {
    expect(print(text, ...args)).toBe(expected);
  });

  it.each(['%f', '%', '%hd', '%n', '%pM', '%sx', '\u0001', '%é', '%pI5', '%5.2d'])('refuses %j', (text) => {
    expect(print(text, 1n, 1n, 1n)).toBe('EINVAL');
  });

  it('wants an argument for each conversion', () => {
    expect(print('%d %d', 1n)).toBe('EINVAL');
  });

  it('gathers 512 bytes of arguments', () => {
    const long = { ...memory, string: () => 'x'.repeat(400) };
    expect(format('%s%s', [1n, 1n], long)).toEqual({ text: 'x'.repeat(400 + 110) });
    expect(format('%s%s%d', [1n, 1n, 1n], long)).toBe('ENOSPC');
  });

  it('leaves out addresses that begin behind the room', () => {
    expect(format('1234%pI4', [1n], memory, 5)).toEqual({ text: '12341.2.3.4' });
    expect(format('1234%pI4', [1n], memory, 4)).toEqual({ text: '1234' });
  });
});
