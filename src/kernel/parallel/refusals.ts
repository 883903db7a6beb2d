/** What can't be done on several processors, told before anything is started. */
import { InputError } from '../../base/error.ts';
import type { Effects } from '../batch/effects.ts';
import type { RunKernel } from '../interpreter/environment.ts';
import { TooLarge } from '../jit/wasm/module.ts';
import type { Program } from '../objects/program.ts';
import { providable } from './imports.ts';
import type { SentProgram } from './port.ts';

/** The program and those that it tail-calls, for other threads. @throws InputError naming what stands against it */
export function sentPrograms(
  kernel: RunKernel,
  { facts }: Program,
  { handling, single, programs }: Effects,
): readonly SentProgram[] {
  const { jit } = kernel;
  const refuse = (problem: string): InputError =>
    new InputError(
      'kernel-processors',
      `running ${facts.type} program ${facts.name} on several processors: ${problem}; run it on one (--cpus 1)`,
    );
  if (jit === undefined) throw refuse('programs are interpreted, which is done on one processor');
  if (handling === 'single') throw refuse(single ?? 'its packets are run one at a time');
  return programs.map((each) => {
    const compiled = compile(jit, each, refuse);
    for (const name of compiled.host) {
      const problem =
        providable(name) && !kernel.mocks.has(name as never) ? undefined : describe(kernel, name);
      if (problem !== undefined) throw refuse(`${each.facts.name} ${problem}`);
    }
    for (const map of each.maps) {
      const problem = map.share();
      if (problem !== undefined) throw refuse(`${map.label} ${problem}`);
    }
    const { index, module, host } = compiled;
    return { name: each.facts.name, index, module, host };
  });
}

function compile(
  jit: NonNullable<RunKernel['jit']>,
  program: Program,
  refuse: (problem: string) => InputError,
) {
  try {
    return jit.compile(program);
  } catch (error) {
    if (error instanceof TooLarge) throw refuse(`${program.facts.name} is too large to be compiled`);
    throw error;
  }
}

/** @param name of an imported function: a helper, with the address of its map where that is known */
function describe(kernel: RunKernel, name: string): string {
  const [helper, addr] = name.split(' ');
  const map = addr === undefined ? undefined : kernel.mapAt(Number(addr));
  if (map === undefined) return `calls bpf_${helper}, which this kernel does on one processor only`;
  return `calls bpf_${helper} on ${map.label}, a ${map.shape.type} map, which this kernel does on one processor only`;
}
