/** Runs the scenarios on one side: bpftool, `skep --kernel linux`, or `skep` on an embedded kernel. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Answer, LAYOUTS, SCENARIOS, type Scenario, type Side } from './parity-bpftool-cases.ts';

const INSTANCE = `parity${process.pid}`;
const BPFFS = '/sys/fs/bpf';

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

class Runner {
  readonly #side: Side;
  readonly #cli: string;
  /** Where files of the scenarios are; the working folder of every command. */
  readonly #folder: string;

  constructor(side: Side, cli: string, folder: string) {
    this.#side = side;
    this.#cli = cli;
    this.#folder = folder;
  }

  run(argv: readonly string[], input: string | undefined): Outcome {
    const [program, before] =
      this.#side === 'bpftool'
        ? (['bpftool', []] as const)
        : this.#side === 'linux'
          ? ([process.execPath, [this.#cli, '--kernel', 'linux']] as const)
          : ([process.execPath, [this.#cli, '--instance', INSTANCE]] as const);
    const { stdout, stderr, status, signal, error } = spawnSync(program, [...before, ...argv], {
      cwd: this.#folder,
      input: input ?? '',
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      timeout: 60_000,
    });
    if (error && status === null && signal === null) throw error;
    return { stdout, stderr, code: status ?? -1 };
  }

  /** Removes all that a scenario pinned. */
  clear(): void {
    if (this.#side === 'embedded') {
      spawnSync(process.execPath, [this.#cli, 'kernel', 'stop', '--instance', INSTANCE]);
      return;
    }
    for (const name of readdirSync(BPFFS)) {
      if (!name.endsWith('.debug')) rmSync(join(BPFFS, name), { recursive: true, force: true });
    }
  }

  /** `{id map PATH}`, `{tag prog PATH}`: what the side itself says of a pin. */
  resolve(line: string): string {
    return line.replace(
      /\{(id|tag) (prog|map|link) (\S+)\}/g,
      (_, field: string, kind: string, path: string) => {
        const { stdout } = this.run(['-j', kind, 'show', 'pinned', path], undefined);
        try {
          return String((JSON.parse(stdout) as Record<string, unknown>)[field]);
        } catch {
          return '0';
        }
      },
    );
  }
}

/** Words, as a shell splits them: quotes keep blanks. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

function runScenario(runner: Runner, scenario: Scenario, layout: string, root: string): Answer[] {
  const answers: Answer[] = [];
  for (const line of scenario.lines) {
    const { command, input } = typeof line === 'string' ? { command: line, input: undefined } : line;
    const argv = words(runner.resolve(command.replaceAll('{root}', root)));
    const outcome = runner.run([...(layout === '' ? [] : [layout]), ...argv], input);
    answers.push({ scenario: scenario.name, line: `${layout} ${command}`.trim(), ...outcome });
  }
  return answers;
}

/** Runs everything, in a mount namespace of this process's own. */
export function runSide(side: Side, cli: string, work: string, only: string | undefined): Answer[] {
  if (side !== 'embedded') {
    // What is mounted there would be walked through too.
    spawnSync('umount', [BPFFS]);
    const { status, stderr } = spawnSync('mount', ['-t', 'bpf', 'bpf', BPFFS], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`mounting a BPF file system: ${stderr}`);
  }
  const answers: Answer[] = [];
  for (const scenario of SCENARIOS) {
    if (only !== undefined && !scenario.name.startsWith(only)) continue;
    for (const layout of scenario.layouts ?? LAYOUTS) {
      const folder = join(work, `run-${side}`);
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder);
      for (const [name, bytes] of Object.entries(scenario.files ?? {}))
        writeFileSync(join(folder, name), bytes);
      const runner = new Runner(side, cli, folder);
      try {
        answers.push(...runScenario(runner, scenario, layout, process.cwd()));
      } finally {
        runner.clear();
      }
    }
  }
  return answers;
}
