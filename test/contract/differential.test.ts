/** Random operations on maps: the embedded kernel answers what Linux answers. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { linux } from '../linux/support.ts';
import { freshEmbedded } from './kernels.ts';
import { compareSequence, LRU_TYPES, SEQUENCE_TYPES } from './sequences.ts';

const SEQUENCES = 60;
const LENGTH = 24;

describe.skipIf(linux === undefined)('random operations, the embedded kernel against Linux', () => {
  for (const type of SEQUENCE_TYPES) {
    if (LRU_TYPES.includes(type)) continue;
    const count = type.endsWith('_of_maps') ? 10 : SEQUENCES;
    it(`${type}: ${count} sequences`, () => {
      const embedded = freshEmbedded();
      let compared = 0;
      for (let seed = 1; seed <= count; seed++) {
        const result = compareSequence([embedded, linux!], type, seed, LENGTH);
        expect(result.difference).toBeUndefined();
        compared += result.compared;
      }
      // A sequence whose map both refuse to make is one operation.
      expect(compared).toBeGreaterThan((count * LENGTH) / 2);
    });
  }

  it('drops from LRU maps what Linux drops, in a process on one CPU', () => {
    const args = ['--import', 'tsx', 'scripts/fuzz-maps.ts', '25', '1', ...LRU_TYPES];
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(stdout).toContain('figure mapfuzz_differences 0');
    expect(stdout).toContain('figure mapfuzz_sequences 50');
    expect(status).toBe(0);
  });
});
