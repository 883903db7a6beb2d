/**
 * Scripts of bpftool command lines, run by bpftool on Linux, by `skep --kernel linux` and by `skep` on an embedded kernel:
 * output, errors and exit codes must be the same where they can be.
 *
 *     npx tsx scripts/parity-bpftool.ts [--bpftool PATH] [--only SCENARIO] [--show N] [--list] [--kernel linux|embedded]
 *         [--processes | --cli FILE]
 *
 * skep runs in one process; with --processes each command line is a process of its own, as bpftool's are. --bpftool compares
 * with another bpftool than the one in the path: a later version, or one that was built with other features. Linux's
 * `make -C tools/bpf/bpftool OUTPUT=FOLDER/` makes one.
 *
 * Needs root on Linux and bpftool. Pins are made in a BPF file system of a mount namespace of its own; only objects of its own
 * are touched. What must differ is masked (`parity-bpftool-mask.ts`); what differs for a reason is listed with it
 * (`parity-bpftool-reasons.ts`). Prints `figure parity_linux_percent` and `figure parity_embedded_percent`; with --bpftool
 * `figure parity_current_percent` and `figure parity_current_embedded_percent`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linuxStatus } from '../src/linux/index.ts';
import { bundleCli } from './bundle-cli.ts';
import { type Answer, LAYOUTS, SCENARIOS, type Side } from './parity-bpftool-cases.ts';
import { comparable } from './parity-bpftool-mask.ts';
import { reasonFor } from './parity-bpftool-reasons.ts';
import { runSide } from './parity-bpftool-sides.ts';
import { type Tool, toolAt } from './parity-bpftool-tool.ts';

/** What only earlier versions of bpftool have in their usage. */
const OLD_WORDS: ReadonlySet<string> = new Set(['l', 'legacy', 'dev']);

const args = process.argv.slice(2);
const option = (name: string): string | undefined => {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args[at + 1];
};

const side = option('--side') as Side | undefined;
if (side !== undefined) {
  // In a mount namespace of this process's own: see below.
  process.stdout.write(
    JSON.stringify(
      await runSide(
        side,
        { bpftool: option('--bpftool') ?? 'bpftool', cli: option('--cli') },
        option('--work')!,
        option('--only'),
      ),
    ),
  );
} else if (args.includes('--list')) {
  for (const { name, lines } of SCENARIOS) console.log(`${name}: ${lines.length} command lines`);
} else main();

function main(): void {
  const status = linuxStatus();
  if (!status.ok) {
    console.log(`skipped: ${status.reason}`);
    return;
  }
  const given = option('--bpftool');
  const tool = toolAt(given ?? 'bpftool');
  if (tool === undefined) {
    console.log(`skipped: ${given ?? 'bpftool'} is not installed`);
    return;
  }
  console.log(`${tool.path} ${tool.version.join('.')}, with ${tool.features.join(', ') || 'no features'}`);
  const work = mkdtempSync(join(tmpdir(), 'skep-parity-'));
  try {
    const cli =
      option('--cli') ?? (args.includes('--processes') ? bundleCli(work, tool.version.join('.')) : undefined);
    const expected = answersOf('bpftool', tool, cli, work);
    for (const kernel of ['linux', 'embedded'] as const) {
      if ((option('--kernel') ?? kernel) === kernel) {
        report(kernel, tool, given !== undefined, expected, answersOf(kernel, tool, cli, work));
      }
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function answersOf(which: Side, tool: Tool, cli: string | undefined, work: string): readonly Answer[] {
  const own = [
    '--import',
    'tsx',
    'scripts/parity-bpftool.ts',
    '--side',
    which,
    '--work',
    work,
    '--bpftool',
    tool.path,
  ];
  if (cli !== undefined) own.push('--cli', cli);
  const only = option('--only');
  const argv = [process.execPath, ...own, ...(only === undefined ? [] : ['--only', only])];
  const { stdout, stderr, status } = spawnSync('unshare', ['-m', '-n', '--propagation', 'private', ...argv], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  if (status !== 0) throw new Error(`${which}: ${stderr}`);
  return JSON.parse(stdout) as readonly Answer[];
}

function report(
  which: 'linux' | 'embedded',
  tool: Tool,
  named: boolean,
  expected: readonly Answer[],
  found: readonly Answer[],
): void {
  const shown = Number(option('--show') ?? 400);
  let equal = 0;
  const explained = new Map<string, number>();
  let unexplained = 0;
  for (const [i, wanted] of expected.entries()) {
    const got = found[i]!;
    const left = comparable(wanted, which);
    const right = comparable(got, which);
    if (left === right || sameUsage(left, right)) {
      equal++;
      continue;
    }
    const reason = reasonFor(wanted, which, tool);
    if (reason !== undefined) {
      explained.set(reason, (explained.get(reason) ?? 0) + 1);
      continue;
    }
    unexplained++;
    console.log(`${which}: ${wanted.scenario}: ${wanted.line}`);
    for (const line of difference(left, right)) console.log(`    ${line.slice(0, shown)}`);
  }
  const count = expected.length;
  console.log(
    `${which}: ${equal} of ${count} command lines are equal, ${unexplained} differ without a reason`,
  );
  for (const [reason, times] of explained) console.log(`  ${times} differ: ${reason}`);
  const percent = count === 0 ? 0 : (100 * equal) / count;
  const figure = named ? `parity_current${which === 'linux' ? '' : '_embedded'}` : `parity_${which}`;
  console.log(`figure ${figure}_percent ${equal === count ? percent : Math.min(percent, 99.99).toFixed(2)}`);
  if (which === 'linux') {
    console.log(`figure parity_command_lines ${count}`);
    console.log(`figure parity_layouts ${LAYOUTS.length}`);
  }
  if (count === 0 || unexplained > 0) process.exitCode = 1;
}

/** A usage text is the same when ours says all that bpftool's says; it may say more. */
function sameUsage(left: string, right: string): boolean {
  if (!left.includes('Usage: ') || !right.includes('Usage: ')) return false;
  const [before, usage] = split(left);
  const [ours, ourUsage] = split(right);
  const names = (text: string) => text.match(/[\w/]+/g) ?? [];
  const known = new Set(names(ourUsage));
  return before === ours && names(usage).every((word) => known.has(word) || OLD_WORDS.has(word));
}

function split(text: string): readonly [string, string] {
  const at = text.indexOf('Usage: ');
  return [text.slice(0, at), text.slice(at)];
}

/** The first lines that differ, of each side. */
function difference(left: string, right: string): string[] {
  const [a, b] = [left.split('\n'), right.split('\n')];
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return [`- ${a.slice(at, at + 2).join('⏎')}`, `+ ${b.slice(at, at + 2).join('⏎')}`];
}
