import { expect, test } from 'vitest';
import { assembleLlvm, origin } from './index.ts';

test.each([
  ['r1 += r2', 'base64', '3.18'],
  ['w1 *= 3', 'divmul32', '3.18'],
  ['r1 s/= 3', 'divmul64', '6.6'],
  ['w1 = (s8)w2', 'base32', '6.6'],
  ['r1 = be64 r1', 'base64', '3.18'],
  ['r1 = bswap16 r1', 'base32', '6.6'],
  ['if w1 < 3 goto +0', 'base32', '5.1'],
  ['if r1 < 3 goto +0', 'base64', '4.14'],
  ['gotol +0', 'base32', '6.6'],
  ['may_goto +0', undefined, '6.9'],
  ['call 1', 'base32', '3.18'],
  ['call pc+0', 'base32', '4.16'],
  ['callx r1', undefined, undefined],
  ['r1 = *(s8 *)(r2 + 0)', 'base64', '6.6'],
  ['*(u64 *)(r1 + 0) = 3', 'base64', '3.18'],
  ['lock *(u32 *)(r1 + 0) += r2', 'atomic32', '3.18'],
  ['r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)', 'atomic64', '5.12'],
  ['w1 = load_acquire((u32 *)(r2 + 0))', undefined, '6.15'],
  ['r1 = map[id:3]', 'base64', '3.18'],
  ['r1 = map[id:3][0]+4', 'base64', '5.2'],
  ['r0 = *(u8 *)skb[3]', 'packet', '3.18'],
])('%s is of %s, since Linux %s', (text, group, linux) => {
  expect(assembleLlvm(text).insns.map(origin)).toEqual([{ group, linux }]);
});
