/** Runs the scenarios on one side: bpftool, `skep --kernel linux`, or `skep` on an embedded kernel. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCli } from '../src/cli/cli.ts';
import { embeddedWorld, kernelOptions } from '../src/cli/world/embedded.ts';
import { createKernel, type EmbeddedKernel } from '../src/kernel/index.ts';
import { type Answer, LAYOUTS, SCENARIOS, type Scenario, type Side } from './parity-bpftool-cases.ts';
import { before, toolAt } from './parity-bpftool-tool.ts';

const INSTANCE = `parity${process.pid}`;
const BPFFS = '/sys/fs/bpf';
/** Where the cgroups of version 2 are: alone, or beside those of version 1. */
const CGROUPS = existsSync('/sys/fs/cgroup/unified') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup';
const CGROUP = `${CGROUPS}/skep_parity`;

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** What is run: files of programs. */
export interface Programs {
  readonly bpftool: string;
  /** skep's command line, to start as a process each time; absent: it runs in this process, which a busy machine allows more of. */
  readonly cli: string | undefined;
}

class Runner {
  readonly #side: Side;
  readonly #bpftool: string;
  readonly #cli: string | undefined;
  /** Where files of the scenarios are; the working folder of every command. */
  readonly #folder: string;
  #kernel: EmbeddedKernel | undefined;

  constructor(side: Side, { bpftool, cli }: Programs, folder: string) {
    this.#side = side;
    this.#bpftool = bpftool;
    this.#cli = cli;
    this.#folder = folder;
  }

  async run(argv: readonly string[], input: string | undefined): Promise<Outcome> {
    if (this.#side === 'bpftool') return this.#process(this.#bpftool, argv, input);
    if (this.#cli !== undefined) {
      const which = this.#side === 'linux' ? ['--kernel', 'linux'] : ['--instance', INSTANCE];
      return this.#process(process.execPath, [this.#cli, ...which, ...argv], input);
    }
    let stdout = '';
    let stderr = '';
    const text = (given: string | Uint8Array) =>
      typeof given === 'string' ? given : new TextDecoder().decode(given);
    const code = await runCli(this.#side === 'linux' ? ['--kernel', 'linux', ...argv] : argv, {
      stdout: (given) => {
        stdout += text(given);
      },
      stderr: (given) => {
        stderr += text(given);
      },
      stdin: async () => new TextEncoder().encode(input ?? ''),
      cwd: this.#folder,
      env: {},
      progressWidth: undefined,
      colour: false,
      onInterrupt: () => () => {},
      world: () => {
        this.#kernel ??= createKernel(kernelOptions());
        return embeddedWorld(this.#kernel);
      },
    });
    return { stdout, stderr, code };
  }

  #process(program: string, argv: readonly string[], input: string | undefined): Outcome {
    const { stdout, stderr, status, signal, error } = spawnSync(program, argv, {
      cwd: this.#folder,
      input: input ?? '',
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      timeout: 60_000,
    });
    if (error && status === null && signal === null) throw error;
    return { stdout, stderr, code: status ?? -1 };
  }

  /** Makes the cgroup that the scenario uses. */
  prepare(): void {
    if (this.#side !== 'embedded') mkdirSync(CGROUP, { recursive: true });
    else if (this.#cli === undefined) {
      this.#kernel ??= createKernel(kernelOptions());
      this.#kernel.files.mkdir(CGROUP);
    }
  }

  /** Removes all that a scenario made. */
  clear(): void {
    if (this.#side === 'embedded') {
      this.#kernel?.close();
      this.#kernel = undefined;
      if (this.#cli !== undefined) {
        spawnSync(process.execPath, [this.#cli, 'kernel', 'stop', '--instance', INSTANCE]);
      }
      return;
    }
    for (const name of readdirSync(BPFFS)) {
      if (!name.endsWith('.debug')) rmSync(join(BPFFS, name), { recursive: true, force: true });
    }
    rmdirSync(CGROUP);
  }

  /** `{id map PATH}`, `{tag prog PATH}`: what the side itself says of a pin. */
  async resolve(line: string): Promise<string> {
    let resolved = line;
    for (const [whole, field, kind, path] of line.matchAll(/\{(id|tag) (prog|map|link) (\S+)\}/g)) {
      const { stdout } = await this.run(['-j', kind!, 'show', 'pinned', path!], undefined);
      let value = '0';
      try {
        value = String((JSON.parse(stdout) as Record<string, unknown>)[field!]);
      } catch {
        // What was to be pinned there is not: the line then asks for what is not there.
      }
      resolved = resolved.replace(whole, value);
    }
    return resolved;
  }
}

/** Words, as a shell splits them: quotes keep blanks. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

async function runScenario(
  runner: Runner,
  scenario: Scenario,
  layout: string,
  root: string,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const line of scenario.lines) {
    const { command, input } = typeof line === 'string' ? { command: line, input: undefined } : line;
    const placed = command.replaceAll('{root}', root).replaceAll('{cgroup}', CGROUP);
    const argv = words(await runner.resolve(placed));
    const outcome = await runner.run([...(layout === '' ? [] : [layout]), ...argv], input);
    answers.push({ scenario: scenario.name, line: `${layout} ${command}`.trim(), ...outcome });
  }
  return answers;
}

/** Runs everything, in a mount namespace of this process's own. */
export async function runSide(
  side: Side,
  programs: Programs,
  work: string,
  only: string | undefined,
): Promise<Answer[]> {
  if (side !== 'embedded') {
    // What is mounted there would be walked through too.
    spawnSync('umount', [BPFFS]);
    const { status, stderr } = spawnSync('mount', ['-t', 'bpf', 'bpf', BPFFS], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`mounting a BPF file system: ${stderr}`);
  }
  const answers: Answer[] = [];
  const tool = toolAt(programs.bpftool);
  for (const scenario of SCENARIOS) {
    if (scenario.since && tool && before(tool, ...scenario.since)) continue;
    if (only !== undefined && !scenario.name.startsWith(only)) continue;
    for (const layout of scenario.layouts ?? LAYOUTS) {
      const folder = join(work, `run-${side}`);
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder);
      for (const [name, bytes] of Object.entries(scenario.files ?? {}))
        writeFileSync(join(folder, name), bytes);
      const runner = new Runner(side, programs, folder);
      try {
        runner.prepare();
        answers.push(...(await runScenario(runner, scenario, layout, process.cwd())));
      } finally {
        runner.clear();
      }
    }
  }
  return answers;
}
