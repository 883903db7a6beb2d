/** The built command's thread: from source each thread would compile the kernel's TypeScript first. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { afterAll, beforeAll } from 'vitest';
import { threadOf } from '../../src/cli/run/threads.ts';
import type { ThreadMaker } from '../../src/kernel/index.ts';

/** Builds it before the tests of a file. @returns what starts one, and a folder that goes when the tests end */
export function builtWorker(): { readonly folder: string; readonly threads: ThreadMaker } {
  const folder = mkdtempSync(join(tmpdir(), 'skep-test-'));
  const outfile = join(folder, 'worker.mjs');
  beforeAll(async () => {
    await build({
      entryPoints: ['src/cli/run/worker.ts'],
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'node',
      logLevel: 'error',
    });
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true }));
  return { folder, threads: () => threadOf(new Worker(outfile)) };
}
