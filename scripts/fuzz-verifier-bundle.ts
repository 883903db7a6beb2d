/** A script as one file of plain JavaScript: workers that judge millions of programs run faster so than translated on the fly. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';

export interface Bundle {
  /** The file to run. */
  readonly file: string;
  remove(): void;
}

/** @param script a file of this folder */
export async function bundle(script: string): Promise<Bundle> {
  // Inside node_modules, so that packages are found from there.
  const parent = join(import.meta.dirname, '../node_modules/.cache');
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, 'skep-bundle-'));
  const file = join(folder, `${basename(script, '.ts')}.mjs`);
  await build({
    entryPoints: [join(import.meta.dirname, script)],
    outfile: file,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    // What finds its neighbours does so from where it was written.
    define: { 'import.meta.dirname': JSON.stringify(import.meta.dirname), 'import.meta.filename': '""' },
    logLevel: 'error',
  });
  return { file, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
