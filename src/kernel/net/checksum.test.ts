import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  csumAdd,
  csumFold,
  csumFrom32,
  csumPartial,
  csumReplace2,
  csumReplace4,
  csumReplaceByDiff,
  csumShift,
  csumSub,
} from './checksum.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const words = fc
  .uint8Array({ minLength: 8, maxLength: 64 })
  .map((bytes) => bytes.subarray(0, bytes.length & ~3));

/** The checksum of RFC 1071, by its definition. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i]! | ((bytes[i + 1] ?? 0) << 8);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return ~sum & 0xffff;
}

/** 0 and 0xffff are the same number in ones' complement. */
const same = (a: number, b: number) => expect(a % 0xffff).toBe(b % 0xffff);

describe('checksum', () => {
  it('is that of RFC 1071', () => {
    // The header of RFC 1071's kind that the literature uses: 4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7.
    const header = Uint8Array.from('45000073000040004011b861c0a80001c0a800c7'.match(/../g)!, (byte) =>
      Number.parseInt(byte, 16),
    );
    expect(csumFold(csumPartial(header, 0))).toBe(0);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(csumFold(csumPartial(bytes, 0))).toBe(checksum(bytes));
      }),
    );
  });

  it('does not matter how it is cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.nat(), (bytes, n) => {
        const at = n % bytes.length;
        const rest = csumShift(csumPartial(bytes.subarray(at), 0), at);
        same(
          csumFrom32(csumAdd(csumPartial(bytes.subarray(0, at), 0), rest)),
          csumFrom32(csumPartial(bytes, 0)),
        );
      }),
    );
  });

  it('takes away what it added', () => {
    fc.assert(
      fc.property(u32, u32, (a, b) => {
        same(csumFrom32(csumSub(csumAdd(a, b), b)), csumFrom32(a));
      }),
    );
  });

  it('follows a change of what it covers', () => {
    fc.assert(
      fc.property(words, u32, (bytes, to) => {
        const before = checksum(bytes);
        const changed = bytes.slice();
        const view = new DataView(changed.buffer);
        const from = view.getUint32(0, true);
        view.setUint32(0, to, true);
        const after = checksum(changed);
        same(csumReplace4(before, from, to), after);
        same(csumReplaceByDiff(before, csumSub(to, from)), after);
        const half = bytes.slice();
        new DataView(half.buffer).setUint16(0, to & 0xffff, true);
        same(csumReplace2(before, from & 0xffff, to & 0xffff), checksum(half));
      }),
    );
  });
});
