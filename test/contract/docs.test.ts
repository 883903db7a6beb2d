/** The pages that are made from the code's tables are what the tables say now. */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

it.each(['docs-maps', 'docs-helpers'])('%s', (script) => {
  const args = ['--import', 'tsx', `scripts/${script}.ts`, '--check'];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});
