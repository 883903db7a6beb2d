/** A kernel that stays for the tests of a file, and command lines on it. */
import { afterAll } from 'vitest';
import { embeddedWorld } from '../../src/cli/world/embedded.ts';
import { createKernel, type EmbeddedKernel } from '../../src/kernel/index.ts';
import { type Answer, skep, type Terminal } from './harness.ts';

export interface KernelWorld {
  readonly kernel: EmbeddedKernel;
  /** Runs a command line, its words separated by blanks. */
  readonly run: (line: string, terminal?: Terminal) => Promise<Answer>;
  /** Its output. @throws when it failed */
  readonly ok: (line: string, terminal?: Terminal) => Promise<string>;
}

export function kernelWorld(): KernelWorld {
  const kernel = createKernel({ cpus: 2 });
  afterAll(() => kernel.close());
  const run = (line: string, terminal: Terminal = {}) =>
    skep(line.split(' '), { ...terminal, world: () => embeddedWorld(kernel) });
  return {
    kernel,
    run,
    ok: async (line, terminal) => {
      const { code, stdout, stderr } = await run(line, terminal);
      if (code !== 0) throw new Error(`${line}: ${code} ${stdout}${stderr}`);
      return stdout;
    },
  };
}
