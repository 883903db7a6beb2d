/** Which helpers the program may call. */
import { HELPERS, helperName } from '../../../sys/helper-ids.ts';
import type { Verdict } from '../rejection.ts';
import type { Draft } from './draft.ts';

const HELPER_COUNT = Object.keys(HELPERS).length;

export function checkHelperCall({ environment }: Draft, idx: number, id: number): Verdict {
  if (id < 0 || id > HELPER_COUNT) {
    return {
      code: 'unknown-func',
      insn: idx,
      problem: `invalid func unknown#${id}`,
      reason: `helper functions are numbered 1 to ${HELPER_COUNT}`,
    };
  }
  const name = helperName(id);
  const label = `bpf_${name ?? 'unspec'}#${id}`;
  if (name === undefined) {
    return {
      code: 'helper-not-allowed',
      insn: idx,
      problem: `program of this type cannot use helper ${label}`,
      reason: 'there is no helper with the number 0',
      hint: 'a relocation of the object file was not applied',
    };
  }
  if (!environment.helperImplemented(id)) {
    return {
      code: 'unsupported-helper',
      insn: idx,
      problem: `the embedded kernel does not have the helper ${label} yet`,
      reason: 'Linux has it; the program is refused here because it could not be run',
      hint: 'run the program on Linux (--kernel linux)',
    };
  }
  return undefined;
}
