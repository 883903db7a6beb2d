/** A verified program made ready to run: maps' addresses in place, each instruction's registers known. */
import type { Insn, InsnIdx } from '../../isa/index.ts';
import type { ProgType } from '../../sys/tables.ts';
import { callableKfuncs } from '../kfuncs/callable.ts';
import { ArenaMap } from '../maps/arena.ts';
import type { BpfMap } from '../maps/map.ts';
import type { Program } from '../objects/program.ts';
import type { VerifiedProgram } from '../verifier/index.ts';
import type { CallableKfunc } from './environment.ts';
import { type Execute, executor } from './execute.ts';
import { indirectExecutor } from './indirect.ts';
import { reads, writes } from './registers.ts';

/** Where function addresses begin; a subprogram's is this plus eight times its first slot. No memory is mapped there. */
export const CODE_BASE = 0xffff_ffff_c000_0000n;

export interface Executable {
  readonly name: string;
  readonly type: ProgType;
  /** By slot; `undefined` is the second slot of a 64-bit immediate load. */
  readonly insns: readonly (Insn | undefined)[];
  /** By slot: what the instruction does. */
  readonly ops: readonly (Execute | undefined)[];
  /** By slot: bit i is set when the instruction reads, or writes, register i. */
  readonly reads: Uint16Array;
  readonly writes: Uint16Array;
  /** By slot: what a 64-bit immediate load loads. */
  readonly constants: ReadonlyMap<number, bigint>;
  /** Maps by their address, for helpers that take one. */
  readonly maps: ReadonlyMap<number, BpfMap>;
  /** By slot: the kernel functions that it calls. */
  readonly kfuncs: ReadonlyMap<number, CallableKfunc>;
  /** The arena that it uses. */
  readonly arena?: ArenaMap | undefined;
  /** What it was verified from; absent for bare instructions. */
  readonly verified?: VerifiedProgram;
  /** The program that it is. */
  readonly owner?: Program;
}

/** Links instructions that name no maps. */
export function linkBare(name: string, insns: readonly (Insn | undefined)[]): Executable {
  return link(name, 'unspec' as ProgType, insns, new Map(), []);
}

/** Instructions of a loaded program, as it was verified. */
function linkVerified(owner: Program, variable: (btfId: number) => number): Executable {
  const { verified, maps, facts } = owner;
  const { name, type } = verified.input;
  const program = link(name, type, verified.insns, verified.mapRefs, maps);
  const constants = new Map(program.constants);
  const ops = [...program.ops];
  for (const [idx, insn] of verified.insns.entries()) {
    if (insn?.kind === 'ldimm64' && insn.imm.kind === 'btf_id') {
      constants.set(idx, BigInt(variable(insn.imm.id)));
    }
    const access = insn && verified.proofs.get(idx as InsnIdx)?.access;
    const careful = access && indirectExecutor(insn, access);
    if (careful) ops[idx] = careful;
  }
  return {
    ...program,
    constants,
    ops,
    kfuncs: facts.kernelBtf ? callableKfuncs(verified, facts.kernelBtf) : new Map(),
    arena: maps.find((map) => map instanceof ArenaMap),
    verified,
    owner,
  };
}

function link(
  name: string,
  type: ProgType,
  insns: readonly (Insn | undefined)[],
  mapRefs: ReadonlyMap<InsnIdx, number>,
  maps: readonly BpfMap[],
): Executable {
  const constants = new Map<number, bigint>();
  for (const [idx, insn] of insns.entries()) {
    if (insn?.kind !== 'ldimm64') continue;
    const map = maps[mapRefs.get(idx as InsnIdx) ?? -1];
    const { imm } = insn;
    switch (imm.kind) {
      case 'value':
        constants.set(idx, imm.value);
        break;
      case 'func':
        constants.set(idx, functionAddress(idx + 1 + imm.off));
        break;
      case 'map_fd':
      case 'map_idx':
        if (map) constants.set(idx, BigInt(map.addr));
        break;
      case 'map_value':
      case 'map_idx_value':
        if (map instanceof ArenaMap) constants.set(idx, map.userAddress + BigInt(imm.off));
        else if (map) constants.set(idx, BigInt(map.directValue(imm.off)));
        break;
      case 'btf_id':
        break;
    }
  }
  return {
    name,
    type,
    insns,
    ops: insns.map((insn) => insn && executor(insn)),
    reads: Uint16Array.from(insns, (insn) => (insn ? reads(insn) : 0)),
    writes: Uint16Array.from(insns, (insn) => (insn ? writes(insn) : 0)),
    constants,
    maps: new Map(maps.map((map) => [map.addr, map])),
    kfuncs: new Map(),
  };
}

export function functionAddress(slot: number): bigint {
  return CODE_BASE + BigInt(slot) * 8n;
}

/** The slot that a function address names, or `undefined` when it is none of the program's. */
export function functionSlot(program: Executable, addr: bigint): number | undefined {
  const slot = Number(addr - CODE_BASE) / 8;
  return Number.isInteger(slot) && program.insns[slot] !== undefined ? slot : undefined;
}

const linked = new WeakMap<Program, Executable>();

/** A loaded program, linked once. */
export function executableOf(program: Program): Executable {
  let executable = linked.get(program);
  if (!executable) {
    executable = linkVerified(program, program.variable);
    linked.set(program, executable);
  }
  return executable;
}
