import { expect, test } from 'vitest';
import { type Slot, xlatedInsn, xlatedSlots } from './index.ts';

test.each<[Partial<Slot>, string]>([
  [{ code: 0xb7, imm: 5 }, '(b7) r0 = 5'],
  // The kernel marks the zero extensions that it adds in the immediate.
  [{ code: 0xbc, dst: 1, src: 1, imm: 1 }, '(bc) w1 = w1'],
  [{ code: 0xbf, dst: 1, src: 2, off: -1 }, '(bf) r1 = &(void __percpu *)(r2)'],
  [{ code: 0xc2 }, '(c2) nospec'],
  [{ code: 0x85, imm: 236624, off: 3 }, '(85) call unknown#236624'],
  [{ code: 0x39, dst: 1, src: 2 }, 'BUG_ldx_39'],
  [{ code: 0xf5 }, 'BUG_f5'],
])('%j is %s', (fields, text) => {
  const slot = { code: 0, dst: 0, src: 0, off: 0, imm: 0, ...fields };
  expect(xlatedInsn(slot, undefined)).toBe(text);
  expect(xlatedSlots(slot)).toBe(1);
});

test('a 64-bit load whose second slot the kernel used', () => {
  const zero: Slot = { code: 0, dst: 0, src: 0, off: 0, imm: 0 };
  const load = { ...zero, code: 0x18, dst: 1, src: 1, imm: 7 };
  const names = { imm64: () => 'map[id:7]' };
  expect(xlatedInsn(load, { ...zero, imm: 3 }, names)).toBe('(18) r1 = map[id:7]');
  expect(xlatedSlots(load)).toBe(2);
});
