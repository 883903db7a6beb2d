import { InputError } from '../base/error.ts';
import { ALL_CAPABILITIES, type Capabilities, NO_CAPABILITIES } from '../kernel/judge.ts';
import { type ObjectSpec, parseObject } from '../loader/index.ts';
import { readWhole } from './files.ts';
import { EXIT, type Io } from './io.ts';
import { runningTypes } from './kernel-types.ts';
import { type Arguments, type CommandFact, JSON_OPTION } from './options.ts';
import type { Command } from './registry.ts';
import { checkLinux, type JudgeOptions, judgeProgram } from './verify/judge.ts';
import { JudgingKernel } from './verify/judging-kernel.ts';
import { LONG_TERM, type MatrixRow, matrixRow, showMatrix } from './verify/matrix.ts';
import type { ProgramReport } from './verify/report.ts';
import { COLOURS, NO_COLOURS, showProgram } from './verify/show.ts';

const NEWEST = '6.18';

const fact: CommandFact = {
  name: 'verify',
  about: "judge an object's programs as Linux's verifier does, and explain what is refused",
  positionals: [{ name: 'OBJECT' }, { name: 'PROGRAM', optional: true, rest: true }],
  options: [
    {
      name: '--log',
      value: 'LEVEL',
      choices: ['0', '1', '2', '4'],
      about: "print the kernel's log at that level",
    },
    JSON_OPTION,
    {
      name: '--cap',
      value: 'LIST',
      about: 'capabilities of the caller: bpf, net_admin, perfmon, sys_admin, all or none (all)',
    },
    { name: '--kernel-version', value: 'X.Y', about: `judge as that Linux offers (${NEWEST})` },
    { name: '--matrix', about: 'print a row for each long-term Linux from 4.19 up' },
    { name: '--compare-linux', about: "ask this machine's Linux too" },
    { name: '--stats', about: 'show where the work of verification goes' },
    { name: '--btf', value: 'FILE', about: "the kernel's types (the running Linux's)" },
  ],
  notes: `Every program of the object is judged alone, or those that are named; maps are made in a kernel of skep's own.
A refusal tells what is wrong, the instructions that made it so with their source lines, and how to mend it.
Exit code: 0 all are accepted, 1 some are refused, 2 the input is bad or a program could not be judged.

--json prints one object: object, kernel_version, capabilities, programs [{program, type, section, accepted, error,
notes, diagnosis {code, category, title, errno, problem, reason, suggestion, at, registers, causes, path_length}, counts,
stack_depth, milliseconds, log, linux, stats}], or with --matrix rows [{kernel, programs [{program, accepted, problem,
reason}]}]. docs/verifier.md says what each member means.`,
};

/** `skep verify OBJECT [PROGRAM…]`. */
export const verifyCommand: Command = { fact, run };

function run(args: Arguments, io: Io): number {
  const path = args.positionals.get('OBJECT')!;
  const spec = parseObject(readWhole(path), path);
  const names = chosen(spec, args.rest);
  const { options } = args;
  const manner = {
    capabilities: capabilitiesOf(options.get('--cap') ?? 'all'),
    version: kernelVersion(options.get('--kernel-version') ?? NEWEST),
    logLevel: Number(options.get('--log') ?? 0),
  };
  using kernel = new JudgingKernel(manner, runningTypes(options.get('--btf')));
  const judging: JudgeOptions = {
    ...manner,
    kernel,
    stats: options.has('--stats'),
    compareLinux: options.has('--compare-linux'),
  };
  if (judging.compareLinux) checkLinux();
  if (options.has('--matrix')) return matrix(args, io, spec, names, judging);
  const paint = io.colour ? COLOURS : NO_COLOURS;
  const reports: ProgramReport[] = [];
  for (const name of names) {
    const report = judgeProgram(spec, name, judging);
    reports.push(report);
    if (!options.has('--json')) io.stdout(showProgram(report, paint));
  }
  if (options.has('--json')) {
    const { capabilities, version } = manner;
    io.stdout(
      `${JSON.stringify({ object: path, kernel_version: version, capabilities, programs: reports }, null, 2)}\n`,
    );
  }
  return exitCode(reports);
}

function exitCode(reports: readonly ProgramReport[]): number {
  if (reports.some(({ error }) => error !== undefined)) return EXIT.input;
  return reports.every(({ accepted }) => accepted) ? EXIT.ok : EXIT.refused;
}

function matrix(
  args: Arguments,
  io: Io,
  spec: ObjectSpec,
  names: readonly string[],
  judging: JudgeOptions,
): number {
  const rows: MatrixRow[] = LONG_TERM.map((version) =>
    matrixRow(spec, names, { ...judging, version, logLevel: 0 }),
  );
  if (args.options.has('--json')) {
    io.stdout(`${JSON.stringify({ object: spec.file, rows }, null, 2)}\n`);
  } else {
    io.stdout(showMatrix(rows, io.colour ? COLOURS : NO_COLOURS));
  }
  return rows.every(({ programs }) => programs.every(({ accepted }) => accepted)) ? EXIT.ok : EXIT.refused;
}

function chosen(spec: ObjectSpec, given: readonly string[]): readonly string[] {
  const all = [...spec.programs.keys()];
  for (const name of given) {
    if (spec.programs.has(name)) continue;
    throw new InputError(
      'verify-program',
      `${spec.file}: there is no program ${name}; there are: ${all.join(', ') || 'none'}`,
    );
  }
  if (all.length === 0) throw new InputError('verify-program', `${spec.file}: the object has no programs`);
  return given.length > 0 ? given : all;
}

function kernelVersion(text: string): string {
  const found = /^(\d+)\.(\d+)(?:\.\d+)?$/.exec(text);
  if (found) return `${found[1]}.${found[2]}`;
  throw new InputError('cli-usage', `--kernel-version is a version such as 5.15, not ${text}`);
}

const CAPABILITIES: Readonly<Record<string, keyof Capabilities>> = {
  bpf: 'bpf',
  net_admin: 'netAdmin',
  perfmon: 'perfmon',
  sys_admin: 'sysAdmin',
};

function capabilitiesOf(text: string): Capabilities {
  if (text === 'all') return ALL_CAPABILITIES;
  if (text === 'none') return NO_CAPABILITIES;
  const held: { -readonly [K in keyof Capabilities]: boolean } = { ...NO_CAPABILITIES };
  for (const word of text.split(',')) {
    const name = CAPABILITIES[word.toLowerCase().replace(/^cap_/, '')];
    if (name === undefined) {
      throw new InputError(
        'cli-usage',
        `--cap is a list of ${Object.keys(CAPABILITIES).join(', ')}, or all or none; ${word} is none of them`,
      );
    }
    held[name] = true;
  }
  // CAP_SYS_ADMIN stands for each of the others.
  return held.sysAdmin ? ALL_CAPABILITIES : held;
}
