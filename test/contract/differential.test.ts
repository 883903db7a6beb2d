/** Random operations on maps: the embedded kernel answers what Linux answers. */
import { describe, expect, it } from 'vitest';
import { linux } from '../linux/support.ts';
import { freshEmbedded } from './kernels.ts';
import { compareSequence, SEQUENCE_TYPES } from './sequences.ts';

const SEQUENCES = 150;
const LENGTH = 40;

describe.skipIf(linux === undefined)('random operations, the embedded kernel against Linux', () => {
  for (const type of SEQUENCE_TYPES) {
    it(`${type}: ${SEQUENCES} sequences`, () => {
      const embedded = freshEmbedded();
      let compared = 0;
      for (let seed = 1; seed <= SEQUENCES; seed++) {
        const result = compareSequence([embedded, linux!], type, seed, LENGTH);
        expect(result.difference).toBeUndefined();
        compared += result.compared;
      }
      expect(compared).toBe(SEQUENCES * LENGTH);
    });
  }
});
