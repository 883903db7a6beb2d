/** The attach matrix: each kind of attachment made, fired by a real event, counted, and taken off again. */
import { existsSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Row } from './matrix/row.ts';
import { runMatrix } from './matrix/start.ts';
import { linux } from './support.ts';

const possible =
  linux !== undefined &&
  process.geteuid?.() === 0 &&
  process.arch === 'x64' &&
  existsSync('/usr/bin/unshare');

describe.skipIf(!possible)('the attach matrix', () => {
  let rows: readonly Row[] = [];

  beforeAll(() => {
    rows = runMatrix();
  }, 120_000);

  test('every case works, or the kernel was built without it, or forbids it', () => {
    expect(rows.length).toBeGreaterThan(80);
    expect(rows.filter(({ result }) => result === 'wrong')).toEqual([]);
  });

  test('what is refused names the errno and says why', () => {
    for (const row of rows.filter(({ result }) => result !== 'works')) {
      expect(row.errno).toMatch(/^E[A-Z0-9]+$/);
      expect(row.reason).toContain(': ');
    }
  });

  test('what the kernel can do works', () => {
    const works = new Set(rows.filter(({ result }) => result === 'works').map(({ group }) => group));
    expect([...works].sort()).toEqual([
      'control group',
      'iterator',
      'network',
      'socket',
      'struct_ops',
      'tracing',
      'user space',
    ]);
  });
});
