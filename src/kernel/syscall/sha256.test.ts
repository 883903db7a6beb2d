import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { sha256 } from './sha256.ts';

it('digests as the host does', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (message) => {
      expect([...sha256(message)]).toEqual([...createHash('sha256').update(message).digest()]);
    }),
  );
});
