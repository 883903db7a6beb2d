/** The scripts of command lines. Each runs in every layout, on objects of its own. */
import { CURRENT } from './parity-bpftool-current.ts';
import { GENERAL } from './parity-bpftool-general.ts';
import { HOOKS } from './parity-bpftool-hooks.ts';
import { MAPS } from './parity-bpftool-maps.ts';
import { PROGRAMS } from './parity-bpftool-programs.ts';

export type Side = 'bpftool' | 'linux' | 'embedded';

/** `{root}` is the project's folder, `{cgroup}` a cgroup of the scenario's own; `{id map PATH}` what the side says is the id of what is pinned there. */
export type Line = string | { readonly command: string; readonly input: string };

export interface Scenario {
  readonly name: string;
  readonly lines: readonly Line[];
  /** Files in the folder that the commands run in. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** The first version of bpftool that has the commands; earlier ones are not asked. */
  readonly since?: readonly [major: number, minor: number];
  /** Default: all. */
  readonly layouts?: readonly string[];
}

/** What a side answered to a command line. */
export interface Answer {
  readonly scenario: string;
  readonly line: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
  /** Of a listing of everything: how the names of own objects begin. */
  readonly filter?: string;
}

export const LAYOUTS = ['', '-j', '-p'] as const;

export const SCENARIOS: readonly Scenario[] = [...GENERAL, ...MAPS, ...PROGRAMS, ...HOOKS, ...CURRENT];
