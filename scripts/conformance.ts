/**
 * Runs the instruction cases of bpf_conformance, read from a folder that is not part of this project.
 *
 *     npx tsx scripts/conformance.ts [FOLDER] [--include REGEX] [--plugin COMMAND] [--jit] [--linux]
 *
 * FOLDER defaults to `../shared/corpora/bpf_conformance`; where it is absent, the suite is reported as skipped. Cases run
 * on the embedded kernel's interpreter, with `--jit` compiled, or with `--plugin` by a program that speaks that project's
 * protocol. `--linux` also runs them on the machine's own kernel, as XDP programs behind a prologue that puts the packet
 * into r1 and r2; Linux shows only the low 32 bits of r0. Prints `figure conformance_passed`; exit code 1 when a case fails or none ran.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { InputError } from '../src/base/error.ts';
import { assembleLlvm } from '../src/isa/index.ts';
import { runRaw } from '../src/kernel/interpreter/index.ts';
import { runCompiledRaw } from '../src/kernel/jit/index.ts';
import { linuxStatus, openLinux } from '../src/linux/index.ts';
import type { Kernel } from '../src/sys/index.ts';
import { type ConformanceCase, readCases } from './conformance-cases.ts';

const DEFAULT_FOLDER = '../shared/corpora/bpf_conformance';
/** Linux runs an XDP program on no packet that is shorter than an Ethernet header. */
const SHORTEST_PACKET = 14;

/** What a runner made of a case. */
type Outcome = { readonly r0: bigint } | { readonly error: string };

function onInterpreter({ insns, memory }: ConformanceCase): Outcome {
  const result = runRaw(insns, memory);
  return result.fault ? { error: result.fault.problem } : { r0: result.r0 };
}

function compiled({ insns, memory }: ConformanceCase): Outcome {
  const result = runCompiledRaw(insns, memory);
  return result.fault ? { error: result.fault.problem } : { r0: result.r0 };
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

function byPlugin(command: string, { insns, memory }: ConformanceCase): Outcome {
  const [program, ...args] = command.split(' ');
  const memoryArgs = memory.length === 0 ? [] : [hex(memory)];
  const { status, stdout, error } = spawnSync(program!, [...args, ...memoryArgs], {
    input: `${hex(insns)}\n`,
    encoding: 'utf8',
  });
  if (error !== undefined) return { error: error.message };
  const text = stdout.trim();
  return status === 0 ? { r0: BigInt(`0x${text}`) } : { error: text };
}

/** Puts the memory's address into r1 and its length into r2. */
function prologue(length: number): Uint8Array {
  const { bytes } = assembleLlvm(`
    r0 = -1
    r6 = r1
    r1 = *(u32 *)(r6 + 0)
    r2 = *(u32 *)(r6 + 4)
    r3 = r1
    r3 += ${length}
    if r3 <= r2 goto +1
    exit
    r2 = ${length}
  `);
  return bytes;
}

function onLinux(kernel: Kernel, { insns, memory }: ConformanceCase): Outcome {
  const before = prologue(memory.length);
  const program = new Uint8Array(before.length + insns.length);
  program.set(before);
  program.set(insns, before.length);
  const packet = new Uint8Array(Math.max(memory.length, SHORTEST_PACKET));
  packet.set(memory);
  try {
    const { fd } = kernel.bpf.prog_load({ prog_type: 'xdp', insns: program, license: 'GPL', log_level: 1 });
    try {
      return { r0: BigInt(kernel.bpf.prog_test_run({ prog_fd: fd, data_in: packet }).retval) };
    } finally {
      kernel.closeFd(fd);
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const said = (error.detail ?? '').split('\n').filter((line) => !/^(\d+: |;|processed |$)/.test(line));
    return { error: said.at(-1) ?? error.message };
  }
}

/** Why an outcome is not what the case expects, or `undefined`. @param bits of r0 that the runner shows */
function complaint(expected: ConformanceCase, outcome: Outcome, bits: 32 | 64): string | undefined {
  if ('error' in outcome) {
    const wanted = expected.error !== undefined && outcome.error.includes(expected.error);
    return wanted ? undefined : outcome.error;
  }
  if (expected.r0 === undefined) return `r0 is 0x${outcome.r0.toString(16)}, but an error is expected`;
  if (BigInt.asUintN(bits, outcome.r0) === BigInt.asUintN(bits, expected.r0)) return undefined;
  return `r0 is 0x${outcome.r0.toString(16)}, but must be 0x${expected.r0.toString(16)}`;
}

/** Runs the cases, prints the failures and returns how many passed. */
function runAll(
  where: string,
  cases: readonly ConformanceCase[],
  bits: 32 | 64,
  run: (one: ConformanceCase) => Outcome,
): number {
  let passed = 0;
  for (const one of cases) {
    const why = complaint(one, run(one), bits);
    if (why === undefined) passed++;
    else console.log(`${where}: ${one.name}: ${why}`);
  }
  console.log(`${where}: ${passed} of ${cases.length} cases passed`);
  return passed;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    include: { type: 'string' },
    plugin: { type: 'string' },
    jit: { type: 'boolean', default: false },
    linux: { type: 'boolean', default: false },
  },
});
const folder = positionals[0] ?? DEFAULT_FOLDER;

if (!existsSync(folder)) {
  console.log(`skipped: 1 suite (bpf_conformance), since there is no folder ${folder}`);
} else {
  const pattern = new RegExp(values.include ?? '');
  const cases = readCases(folder).filter((one) => pattern.test(one.name));
  const { plugin } = values;
  const passed =
    plugin === undefined
      ? values.jit
        ? runAll('compiled', cases, 64, compiled)
        : runAll('interpreter', cases, 64, onInterpreter)
      : runAll(plugin, cases, 64, (one) => byPlugin(plugin, one));
  console.log(`figure conformance_passed ${passed}`);
  if (passed !== cases.length || cases.length === 0) process.exitCode = 1;
  if (values.linux) {
    const status = linuxStatus();
    if (status.ok) {
      using kernel = openLinux();
      const linux = runAll('Linux', cases, 32, (one) => onLinux(kernel, one));
      console.log(`figure conformance_passed_linux ${linux}`);
    } else {
      console.log(`skipped: 1 suite (bpf_conformance on Linux): ${status.reason}`);
    }
  }
}
