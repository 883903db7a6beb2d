/**
 * `skep gen skeleton --c` and `gen subskeleton` against bpftool's, byte for byte, over the objects of folders.
 *
 *     npm run parity:skeleton -- [--bpftool PROGRAM] [--show N] [FOLDER…]
 *
 * Headers are written for the libbpf that the bpftool was built with. Where bpftool refuses an object, skep must refuse it with
 * its exit code. Prints `figure parity_skeleton_percent` and `figure parity_subskeleton_percent`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runCli } from '../src/cli/cli.ts';

const args = process.argv.slice(2);
const option = (name: string): string | undefined => {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args.splice(at, 2)[1];
};
const bpftool = option('--bpftool') ?? 'bpftool';
const shown = Number(option('--show') ?? 10);
const folders = args.length > 0 ? args : ['examples', 'corpora/debian', 'corpora/selftests-6.12'];

/** What is written otherwise on purpose. */
const WHY_EMPTY =
  'bpftool writes nothing and says nothing where a map of global data has no types, or is an arena';

const objects = folders
  .filter((folder) => existsSync(folder))
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  .filter((name) => name.endsWith('.o'));
const version = spawnSync(bpftool, ['-j', 'version'], { encoding: 'utf8' });
if (version.status !== 0) {
  console.log(`skipped: ${bpftool} is not there`);
  process.exit(0);
}
if (objects.length === 0) throw new Error(`${folders.join(', ')} have no objects: nothing was compared`);
const libbpf = (JSON.parse(version.stdout) as { readonly libbpf_version: string }).libbpf_version;
const edition = Number(libbpf.split('.')[1]) >= 8 || Number(libbpf.split('.')[0]) > 1 ? '1.8' : '1.1';
console.log(`${objects.length} objects; bpftool has libbpf ${libbpf}, skep writes for ${edition}`);

let failed = false;
for (const [command, figure] of [
  ['skeleton', 'parity_skeleton_percent'],
  ['subskeleton', 'parity_subskeleton_percent'],
] as const) {
  let equal = 0;
  let refused = 0;
  let explained = 0;
  const differences: string[] = [];
  for (const file of objects) {
    const expected = answerOfBpftool(command, file);
    const found = await answerOfSkep(command, file);
    if (expected.code === found.code && expected.text === found.text) {
      equal++;
      if (expected.code !== 0) refused++;
    } else if (expected.code === 0 && expected.text === '' && found.code === 0) explained++;
    else differences.push(`${file}: ${difference(expected, found)}`);
  }
  for (const line of differences.slice(0, shown)) console.log(`${command}: ${line}`);
  const count = objects.length;
  console.log(`${command}: ${equal} of ${count} are equal, ${refused} of them refused`);
  if (explained > 0) console.log(`  ${explained} differ: ${WHY_EMPTY}`);
  const percent = (100 * equal) / count;
  console.log(`figure ${figure} ${equal === count ? 100 : Math.min(percent, 99.99).toFixed(2)}`);
  failed ||= differences.length > 0;
}
process.exitCode = failed ? 1 : 0;

interface Answer {
  readonly code: number;
  /** The header; empty where there is none. */
  readonly text: string;
}

function answerOfBpftool(command: string, file: string): Answer {
  const { stdout, status, error } = spawnSync(bpftool, ['gen', command, file], {
    encoding: 'latin1',
    maxBuffer: 1 << 28,
  });
  if (error) throw error;
  return { code: status ?? -1, text: status === 0 ? stdout : '' };
}

async function answerOfSkep(command: string, file: string): Promise<Answer> {
  let text = '';
  const code = await runCli(['gen', command, `--c=${edition}`, file], {
    stdout: (given) => {
      text += String(given);
    },
    stderr: () => {},
    stdin: async () => new Uint8Array(),
    cwd: process.cwd(),
    env: {},
    progressWidth: undefined,
    colour: false,
    onInterrupt: () => () => {},
  });
  return { code, text: code === 0 ? text : '' };
}

function difference(expected: Answer, found: Answer): string {
  if (expected.code !== found.code) return `exit code ${found.code} in place of ${expected.code}`;
  const [a, b] = [expected.text.split('\n'), found.text.split('\n')];
  let at = 0;
  while (a[at] === b[at]) at++;
  return `line ${at + 1}: - ${a[at]?.slice(0, 100)} + ${b[at]?.slice(0, 100)}`;
}
