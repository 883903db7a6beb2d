/** Runs the command line in this process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { runCli } from '../../src/cli/cli.ts';
import type { World } from '../../src/cli/world/world.ts';

export interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the terminal would be; default none. */
export interface Terminal {
  readonly width?: number;
  /** Interrupts as soon as the command listens. */
  readonly interrupt?: boolean;
  /** What is on standard input; default nothing. */
  readonly stdin?: Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  /** The kernel that stays; default one for each command line. */
  readonly world?: () => World;
}

const text = (given: string | Uint8Array) =>
  typeof given === 'string' ? given : new TextDecoder().decode(given);

export async function skep(argv: readonly string[], terminal: Terminal = {}): Promise<Answer> {
  let stdout = '';
  let stderr = '';
  const code = await runCli(argv, {
    stdout: (given) => {
      stdout += text(given);
    },
    stderr: (given) => {
      stderr += text(given);
    },
    stdin: async () => terminal.stdin ?? new Uint8Array(0),
    cwd: process.cwd(),
    env: terminal.env ?? {},
    ...(terminal.world && { world: terminal.world }),
    progressWidth: terminal.width,
    colour: false,
    onInterrupt: (callback) => {
      if (terminal.interrupt) callback();
      return () => {};
    },
  });
  return { code, stdout, stderr };
}

/** A folder that is gone after the file's tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'skep-test-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  return folder;
}

export const SYN = 'examples/syn_counter.o';
export const MIXED = 'examples/captures/mixed.pcap';
