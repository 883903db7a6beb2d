/**
 * What an older Linux lacks: program, attach and map types, instructions, loops, function calls. Helpers are judged
 * where they are called, since what no path reaches is no obstacle.
 *
 * @see bpf_opcode_in_insntable of each version, and the `since` columns of the tables of sys/
 */
import { kernelText } from '../../../isa/kernel-notation.ts';
import { ALU, ATOMIC, JMP } from '../../../isa/opcodes.ts';
import { ATTACH_TYPES } from '../../../sys/attach-types.ts';
import { MAP_TYPES } from '../../../sys/map-types.ts';
import { PROG_TYPES } from '../../../sys/prog-types.ts';
import { PROGRAMS } from '../../programs/index.ts';
import type { Refusal, Verdict } from '../rejection.ts';
import { END, successor } from './cfg.ts';
import { type Draft, subprogramAt } from './draft.ts';

/** From this version on there may be loops. */
const LOOPS = '5.3';
/** From this version on programs may have a million instructions; before, 4096. */
const LARGE = '5.2';
const SMALL_PROGRAM = 4096;
/** Instructions processed that versions before 5.2 allow. @see BPF_COMPLEXITY_LIMIT_INSNS of Linux 5.1 */
const SMALL_COMPLEXITY = 131_072;
const LARGE_COMPLEXITY = 1_000_000;
/** From this version on tail calls may be made from functions. */
const NESTED_TAIL_CALLS = '5.10';

/** Versions that were read before, as numbers: they are asked for once for each instruction. */
const ranks = new Map<string, number>();

function rank(version: string): number {
  let found = ranks.get(version);
  if (found === undefined) {
    const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
    found = major * 0x10000 + minor;
    ranks.set(version, found);
  }
  return found;
}

/** Whether a version is at least another: `6.1` and `6.1.55` are at least `6.1`. */
export function atLeast(version: string, wanted: string): boolean {
  return rank(version) >= rank(wanted);
}

/** Instructions that verification may process. */
export function complexityLimit({ environment }: Draft): number {
  return atLeast(environment.kernelVersion, LARGE) ? LARGE_COMPLEXITY : SMALL_COMPLEXITY;
}

/** A refusal that names the version from which on the kernel has it. @param problem in that kernel's own words */
export function needsVersion(insn: number, what: string, since: string, problem?: string): Refusal {
  return {
    code: 'needs-newer-kernel',
    insn,
    problem: problem ?? `${what} needs Linux ≥ ${since}`,
    reason: `${what} needs Linux ≥ ${since}`,
    hint: `run on Linux ${since} or newer, or do without it`,
  };
}

export function checkVersion(draft: Draft): Verdict {
  const { environment, input } = draft;
  const { kernelVersion } = environment;
  const lacks = (since: string | undefined): since is string =>
    since !== undefined && !atLeast(kernelVersion, since);
  const type: { readonly since?: string } = PROG_TYPES[input.type];
  if (lacks(type.since)) return needsVersion(0, `the program type ${input.type}`, type.since);
  // Types that ignore the attach type load on kernels that don't know it.
  const attach = PROGRAMS[input.type].attachTypeChecked ? input.expectedAttachType : undefined;
  const attachFact: { readonly since?: string } | undefined = attach && ATTACH_TYPES[attach];
  if (lacks(attachFact?.since)) return needsVersion(0, `the attach type ${attach}`, attachFact.since);
  if (lacks(LARGE) && draft.count > SMALL_PROGRAM) {
    return needsVersion(0, `a program of ${draft.count} instructions (more than ${SMALL_PROGRAM})`, LARGE);
  }
  for (let idx = 0; idx < draft.count; idx++) {
    const since = insnVersion(draft, idx);
    if (lacks(since)) {
      const text = kernelText(draft.insns[idx]!);
      return needsVersion(idx, `the instruction "${text}"`, since, unknownOpcode(draft, idx));
    }
  }
  return undefined;
}

/** After maps are known and the control flow is sound. */
export function checkVersionOfFlow(draft: Draft): Verdict {
  const { kernelVersion } = draft.environment;
  for (const [idx, index] of draft.mapRefs) {
    const { type } = draft.maps[index]!;
    const { since }: { readonly since?: string } = MAP_TYPES[type];
    if (since !== undefined && !atLeast(kernelVersion, since)) {
      return needsVersion(idx, `the map type ${type}`, since);
    }
  }
  if (!atLeast(kernelVersion, NESTED_TAIL_CALLS)) {
    const calling = draft.subprograms.length > 1 && draft.subprograms.some(({ hasTailCall }) => hasTailCall);
    if (calling) {
      const insn = draft.subprograms.find(({ hasTailCall }) => hasTailCall)!.start;
      return needsVersion(insn, 'a tail call in a program with functions', NESTED_TAIL_CALLS);
    }
  }
  return atLeast(kernelVersion, LOOPS) ? undefined : findLoop(draft);
}

function unknownOpcode({ slots }: Draft, idx: number): string {
  return `unknown opcode ${slots[idx]!.code.toString(16).padStart(2, '0')}`;
}

/** The version that brought an instruction; what the first eBPF had has none. */
function insnVersion({ insns }: Draft, idx: number): string | undefined {
  const insn = insns[idx];
  switch (insn?.kind) {
    case 'jmp':
      return JMP[insn.op].linux[insn.width === 32 ? 0 : 1];
    case 'call':
      if (insn.target.kind === 'local') return '4.16';
      return insn.target.kind === 'kfunc' ? '5.13' : undefined;
    case 'ldimm64':
      switch (insn.imm.kind) {
        case 'map_value':
          return '5.2';
        case 'btf_id':
          return '5.10';
        case 'func':
          return '5.13';
        case 'map_idx':
        case 'map_idx_value':
          return '5.14';
        default:
          return undefined;
      }
    case 'atomic':
      return insn.fetch ? '5.12' : ATOMIC[insn.op].linux;
    case 'movsx':
      return '6.6';
    case 'ldx':
      return insn.signed ? '6.6' : undefined;
    case 'alu':
      return ALU[insn.op].linux[insn.width === 32 ? 0 : 1];
    case 'endian':
      return insn.order === 'bswap' ? '6.6' : undefined;
    case 'ja':
      return insn.wide ? '6.6' : undefined;
    case 'may_goto':
    case 'addr_space_cast':
      return '6.9';
    case 'load_acquire':
    case 'store_release':
      return '6.15';
    default:
      return undefined;
  }
}

const ON_PATH = 1;
const DONE = 2;

/** A way back to an instruction that is still on the path: within a function, since calls can't loop. */
function findLoop(draft: Draft): Verdict {
  const state = new Uint8Array(draft.count);
  for (const { start } of draft.subprograms) {
    const path: { readonly idx: number; taken: number }[] = [];
    const enter = (idx: number): void => {
      state[idx] = ON_PATH;
      path.push({ idx, taken: 0 });
    };
    if (state[start] === 0) enter(start);
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const to = successor(draft, top.idx, top.taken++);
      if (to === END) {
        state[top.idx] = DONE;
        path.pop();
      } else if (subprogramAt(draft, to) !== subprogramAt(draft, top.idx)) continue;
      else if (state[to] === 0) enter(to);
      else if (state[to] === ON_PATH) {
        return needsVersion(top.idx, 'a loop', LOOPS, `back-edge from insn ${top.idx} to ${to}`);
      }
    }
  }
  return undefined;
}
