#!/usr/bin/env node
/**
 * `skep-conformance-plugin`: runs one program for the runner of the bpf_conformance project, on the interpreter.
 *
 *     skep-conformance-plugin [--program HEX] [MEMORY] [--elf] [--debug]
 *
 * MEMORY is hex bytes, separated by spaces; r1 points to it and r2 is its length. The program is hex bytes on the first
 * line of stdin: instructions, or with `--elf` an object whose first executable section is run. Prints r0 in hex. A program that
 * can't be run, or that faults, is exit code 1 and one line that says why, on stdout and stderr: runners differ in
 * where they look for it.
 */
import { readFileSync } from 'node:fs';
import { InputError } from '../base/error.ts';
import { readBpfElf, SECTION_FLAG } from '../elf/index.ts';
import { runRaw } from '../kernel/interpreter/index.ts';

interface Request {
  readonly program: Uint8Array;
  readonly memory: Uint8Array;
  readonly elf: boolean;
}

/** Bytes of a text of hex bytes; white space separates them and may be missing. */
function hexBytes(text: string, what: string): Uint8Array {
  const bytes: number[] = [];
  for (const word of text.split(/\s+/)) {
    if (word === '') continue;
    const pairs = word.length === 1 ? `0${word}` : word.replace(/^0x/i, '');
    if (pairs.length % 2 !== 0 || !/^[0-9a-fA-F]+$/.test(pairs)) {
      throw new InputError('conformance-input', `reading ${what}: ${JSON.stringify(word)} is not a hex byte`);
    }
    for (let at = 0; at < pairs.length; at += 2) bytes.push(Number.parseInt(pairs.slice(at, at + 2), 16));
  }
  return Uint8Array.from(bytes);
}

function parseArguments(args: readonly string[]): Request {
  let program: string | undefined;
  let memory = '';
  let elf = false;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!;
    if (arg === '--program') {
      program = args[++at];
      if (program === undefined) {
        throw new InputError(
          'conformance-input',
          'reading arguments: --program needs the program as hex bytes',
        );
      }
    } else if (arg === '--elf') elf = true;
    else if (arg === '--debug') continue;
    else if (arg.startsWith('--')) {
      throw new InputError('conformance-input', `reading arguments: option ${arg} is unknown`);
    } else memory += ` ${arg}`;
  }
  program ??= readFileSync(0, 'utf8');
  return { program: hexBytes(program, 'the program'), memory: hexBytes(memory, 'the memory'), elf };
}

/** The instructions of an object's first executable section. */
function sectionOf(bytes: Uint8Array): Uint8Array {
  const elf = readBpfElf(bytes, 'the object on stdin');
  const section = elf.sections.find((s) => (s.flags & SECTION_FLAG.execinstr) !== 0 && s.data.length > 0);
  if (section === undefined) {
    throw new InputError('conformance-input', 'reading the object on stdin: no section holds instructions');
  }
  if (elf.relocs.some((relocs) => relocs.target === section.index && relocs.relocs.length > 0)) {
    throw new InputError(
      'conformance-input',
      `reading the object on stdin: section ${section.name} has relocations; run it with skep run`,
    );
  }
  if (!elf.littleEndian) {
    throw new InputError('conformance-input', 'reading the object on stdin: it is big-endian');
  }
  return section.data;
}

function fail(sentence: string): void {
  process.stdout.write(`${sentence}\n`);
  process.stderr.write(`${sentence}\n`);
  process.exitCode = 1;
}

function run(): void {
  const { program, memory, elf } = parseArguments(process.argv.slice(2));
  const insns = elf ? sectionOf(program) : program;
  if (insns.length === 0) {
    throw new InputError('conformance-input', 'reading the program: it has no instructions');
  }
  const result = runRaw(insns, memory);
  if (result.fault) fail(`instruction ${result.fault.insn}: ${result.fault.problem}`);
  else process.stdout.write(`${result.r0.toString(16)}\n`);
}

try {
  run();
} catch (error) {
  if (!(error instanceof InputError)) throw error;
  fail(error.message);
}
