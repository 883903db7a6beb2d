/** The example of docs/cli.md runs: a skeleton is opened, set, loaded, attached and read, on both kernels. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { linux } from '../linux/support.ts';
import { skep, temporaryFolder } from './harness.ts';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/cli.md'), 'utf8');
const [, command = '', example = '', printed = ''] =
  /## Skeletons[\s\S]*?```sh\nskep (.*) > syn_counter.ts\n```\n\n```ts\n([\s\S]*?)```\n\n```\n([\s\S]*?)```/.exec(
    page,
  ) ?? [];
const folder = temporaryFolder();

/** With the package's sources in its place. */
function sources(text: string): string {
  return text.replace(/'skep(\/\w+)?'/g, (_, room = '') => JSON.stringify(join(ROOT, `src${room}/index.ts`)));
}

/** Writes the skeleton, and the example beside it. @returns the example's file */
async function write(script: string): Promise<string> {
  const { stdout } = await skep(command.split(' '));
  writeFileSync(join(folder, 'syn_counter.ts'), sources(stdout));
  const file = join(folder, `example-${Math.random()}.mts`);
  writeFileSync(file, sources(script));
  return file;
}

/** A hash map has no order. */
const sorted = (text: string) => text.trim().split('\n').sort();

describe('docs/cli.md', () => {
  it('counts the connections of a capture on the embedded kernel', async () => {
    const lines: string[] = [];
    const log = vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
    await import(await write(example));
    log.mockRestore();
    expect(lines.sort()).toEqual(sorted(printed));
  });

  const possible = linux !== undefined && spawnSync('unshare', ['-n', 'true']).status === 0;
  it.skipIf(!possible)('counts them on Linux', async () => {
    const script = example.replace("{ createKernel } from 'skep'", "{ openLinux } from 'skep'");
    const file = await write(script.replace('createKernel()', 'openLinux()'));
    const loader = join(ROOT, 'node_modules/tsx/dist/loader.mjs');
    const argv = ['-n', process.execPath, '--import', loader, file];
    expect(sorted(execFileSync('unshare', argv, { encoding: 'utf8', cwd: ROOT }))).toEqual(sorted(printed));
  });
});
