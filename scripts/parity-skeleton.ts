/**
 * `skep gen skeleton --c`, `gen subskeleton` and `-L gen skeleton` against bpftool's, byte for byte, over the objects of folders.
 *
 *     npm run parity:skeleton -- [--bpftool PROGRAM] [--show N] [FOLDER…]
 *
 * Headers are written for the libbpf that the bpftool was built with. Where bpftool refuses an object, skep must refuse it with
 * its exit code. Prints `figure parity_skeleton_percent`, `figure parity_subskeleton_percent` and `figure parity_light_skeleton_percent`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCli } from '../src/cli/cli.ts';
import { linuxStatus } from '../src/linux/index.ts';
import { parseObject } from '../src/loader/index.ts';

const args = process.argv.slice(2);
const option = (name: string): string | undefined => {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args.splice(at, 2)[1];
};
const bpftool = option('--bpftool') ?? 'bpftool';
const shown = Number(option('--show') ?? 10);
const folders = args.length > 0 ? args : ['examples', 'corpora/debian', 'corpora/selftests-6.12'];

const WHY_EMPTY =
  'bpftool writes nothing and says nothing where a map of global data has no types, or is an arena';

/** Exit code of bpftool where the loader program would lack a map, because libbpf found it pinned. */
const REUSED = 242;

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

const COMMANDS = [
  { words: ['gen', 'skeleton'], figure: 'parity_skeleton_percent' },
  { words: ['gen', 'subskeleton'], figure: 'parity_subskeleton_percent' },
  { words: ['-L', 'gen', 'skeleton'], figure: 'parity_light_skeleton_percent' },
] as const;

let failed = false;
for (const { words, figure } of COMMANDS) {
  const light = words[0] === '-L';
  // A light skeleton has the configuration of the kernel in it.
  const reason = light ? linuxReason() : undefined;
  if (reason !== undefined) {
    console.log(`${words.join(' ')}: skipped: ${reason}`);
    continue;
  }
  let equal = 0;
  let refused = 0;
  const explained = new Map<string, number>();
  const differences: string[] = [];
  for (const file of objects) {
    const expected = answerOfBpftool(words, file);
    const found = await answerOfSkep(words, file);
    if (expected.code === found.code && expected.text === found.text) {
      equal++;
      if (expected.code !== 0) refused++;
      continue;
    }
    const known = reasonFor(expected, found, light, file);
    if (known === undefined) differences.push(`${file}: ${difference(expected, found)}`);
    else explained.set(known, (explained.get(known) ?? 0) + 1);
  }
  for (const line of differences.slice(0, shown)) console.log(`${words.join(' ')}: ${line}`);
  const count = objects.length;
  console.log(`${words.join(' ')}: ${equal} of ${count} are equal, ${refused} of them refused`);
  for (const [text, times] of explained) console.log(`  ${times} differ: ${text}`);
  const percent = (100 * equal) / count;
  console.log(`figure ${figure} ${equal === count ? 100 : Math.min(percent, 99.99).toFixed(2)}`);
  failed ||= differences.length > 0;
}
process.exitCode = failed ? 1 : 0;

function linuxReason(): string | undefined {
  const status = linuxStatus();
  return status.ok ? undefined : status.reason;
}

/** Why skep answers otherwise on purpose. */
function reasonFor(expected: Answer, found: Answer, light: boolean, file: string): string | undefined {
  if (expected.code < 0) return 'bpftool crashes';
  if (expected.code === 0 && expected.text === '' && found.code === 0) return WHY_EMPTY;
  if (light && expected.code === REUSED && found.code !== 0)
    return 'a map of that name is pinned on this machine';
  if (!light || found.code !== 0) return undefined;
  if (expected.code === 234) return 'this libbpf does not know the section of a program';
  const { programs, maps } = parseObject(readFileSync(file), file);
  if ([...maps.values()].some(({ type }) => type === 'arena'))
    return 'bpftool uses a member for the arena that it does not declare';
  const throws = [...programs.values()].some(({ exceptionCallback }) => exceptionCallback !== undefined);
  return throws ? 'this libbpf does not know exception callbacks, and leaves them out' : undefined;
}

interface Answer {
  /** Negative: it was killed by a signal. */
  readonly code: number;
  /** The header; empty where there is none. */
  readonly text: string;
}

function answerOfBpftool(words: readonly string[], file: string): Answer {
  const { stdout, status, error } = spawnSync(bpftool, [...words, file], {
    encoding: 'latin1',
    maxBuffer: 1 << 28,
  });
  if (error) throw error;
  return { code: status ?? -1, text: status === 0 ? stdout : '' };
}

async function answerOfSkep(words: readonly string[], file: string): Promise<Answer> {
  let text = '';
  const code = await runCli(['--kernel', 'linux', ...words, `--c=${edition}`, file], {
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
