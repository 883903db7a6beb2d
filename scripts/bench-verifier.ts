/**
 * The time that verification takes, skep's against Linux's own, in one run: see bench-verifier-run.ts, which runs as it is
 * shipped, in one file of plain JavaScript. What is translated on the fly keeps the names of inner functions, at a cost.
 *
 *     npm run bench:verifier [-- --rounds N] [--filter REGEX] [--corpora FOLDER]
 */
import { spawnSync } from 'node:child_process';
import { bundle } from './fuzz-verifier-bundle.ts';

const { file, remove } = await bundle('bench-verifier-run.ts');
try {
  process.exitCode =
    spawnSync(process.execPath, [file, ...process.argv.slice(2)], { stdio: 'inherit' }).status ?? 1;
} finally {
  remove();
}
