/** The command line as one program, for what must run it as processes of their own. */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';

/**
 * Bundles the command line into a folder, beside the modules that it needs.
 * @param version what it says that it is; default is what a source tree says
 * @returns its file
 */
export function bundleCli(folder: string, version?: string): string {
  buildSync({
    entryPoints: { cli: 'src/cli/main.ts' },
    outdir: join(folder, 'skep'),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    ...(version !== undefined && { define: { SKEP_VERSION: JSON.stringify(version) } }),
    logLevel: 'silent',
  });
  symlinkSync(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'));
  return join(folder, 'skep', 'cli.mjs');
}
