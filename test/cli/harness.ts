/** Runs the command line in this process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { runCli } from '../../src/cli/cli.ts';

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
}

export async function skep(argv: readonly string[], terminal: Terminal = {}): Promise<Answer> {
  let stdout = '';
  let stderr = '';
  const code = await runCli(argv, {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
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
