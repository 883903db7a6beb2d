/** The examples of docs/loader.md run, one behind the other, in a network namespace of their own. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { linux } from '../linux/support.ts';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/loader.md'), 'utf8');
const blocks = [...page.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((found) => found[1]!);
const possible = linux !== undefined && process.geteuid?.() === 0 && existsSync('/usr/bin/unshare');

describe.skipIf(!possible)('docs/loader.md', () => {
  test('its examples run', () => {
    expect(blocks.length).toBeGreaterThan(5);
    const script = blocks.join('\n').replaceAll("'skep'", JSON.stringify(join(ROOT, 'src/index.ts')));
    const seen =
      'console.log(JSON.stringify([name, where, text, retval, run_cnt > 0n, able, functions.size > 0]));';
    const folder = mkdtempSync(join(tmpdir(), 'skep-docs-'));
    try {
      const file = join(folder, 'loader.mts');
      writeFileSync(file, `${script}\n${seen}`);
      const node = [process.execPath, '--import', join(ROOT, 'node_modules/tsx/dist/loader.mjs'), file];
      const out = execFileSync('/usr/bin/unshare', ['-n', ...node], {
        encoding: 'utf8',
        cwd: join(ROOT, 'test/linux/objects'),
      });
      const [name, where, text, retval, ...rest] = JSON.parse(out);
      expect(name).toBe('count_tp_btf');
      expect(where).toEqual({ type: 'tcx', ifindex: 1, attach_type: 'tcx_ingress' });
      expect(text).toContain(` of ${/of (\d+)/.exec(text)?.[1]}`);
      expect(retval).toBe(2);
      expect(rest).toEqual([true, true, true]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
