/** Looks up the maps that instructions name, and refuses what is no instruction at all. */
import type { BtfTypeId } from '../../../btf/index.ts';
import { decode } from '../../../isa/decode.ts';
import type { Insn } from '../../../isa/insn.ts';
import { FORMS } from '../../../isa/opcodes.ts';
import { SLOT_SIZE } from '../../../isa/slot.ts';
import { MAP_CREATE_FLAGS } from '../../../sys/flags.ts';
import { LIMITS } from '../../../sys/limits.ts';
import type { FdFacts, MapFacts } from '../environment.ts';
import type { Refusal, Verdict } from '../rejection.ts';
import type { Draft } from './draft.ts';
import { checkMapUse } from './map-use.ts';

/** Largest offset that a pointer may have. @see include/linux/bpf_verifier.h, BPF_MAX_VAR_OFF */
const MAX_VAR_OFF = 1 << 29;

export function resolveLoads(draft: Draft): Verdict {
  for (let idx = 0; idx < draft.count; idx++) {
    const form = FORMS[draft.slots[idx]!.code]?.form;
    const problem = draft.problems.get(idx);
    const early =
      problem?.code === 'unknown-opcode' ||
      problem?.code === 'bad-ldimm64' ||
      problem?.linux === 'unrecognized bpf_ld_imm64 insn' ||
      (problem?.code === 'reserved-field' && form === 'ldx');
    if (problem && early) {
      return {
        code: problem.code as Refusal['code'],
        insn: idx,
        problem: problem.linux,
        reason: problem.problem,
      };
    }
    if (form === 'callx') {
      return {
        code: 'unknown-opcode',
        insn: idx,
        problem: 'unknown opcode 8d',
        reason: 'a call of the address in a register is reserved by RFC 9669 and not supported by Linux',
        hint: 'call functions directly, or through a table of programs with bpf_tail_call',
      };
    }
    if (form !== 'ldimm64') continue;
    const refusal = resolveLoad(draft, idx);
    if (refusal) return refusal;
    idx++;
  }
  return undefined;
}

/** The variable or function of the kernel that the load names by its type. */
function checkSymbol({ environment }: Draft, idx: number, id: number, btfFd: number): Verdict {
  const { kernelBtf, symbol } = environment;
  const refuse = (problem: string, reason: string, errno: 'EINVAL' | 'ENOENT'): Verdict => ({
    code: 'bad-ldimm64',
    insn: idx,
    problem,
    reason,
    errno,
  });
  if (btfFd !== 0) {
    const problem = 'invalid module BTF object FD specified.';
    return refuse(problem, `file descriptor ${btfFd} is no BTF of a kernel module`, 'EINVAL');
  }
  if (kernelBtf === undefined) {
    const problem = 'kernel is missing BTF, make sure CONFIG_DEBUG_INFO_BTF=y is specified in Kconfig.';
    return refuse(problem, "the kernel's types are not known", 'EINVAL');
  }
  if (id >= kernelBtf.endId) {
    return refuse(
      `ldimm64 insn specifies invalid btf_id ${id}.`,
      'the kernel has no type of that number',
      'ENOENT',
    );
  }
  const type = id === 0 ? undefined : kernelBtf.type(id as BtfTypeId);
  if (type?.kind !== 'var' && type?.kind !== 'func') {
    const problem = `pseudo btf_id ${id} in ldimm64 isn't KIND_VAR or KIND_FUNC`;
    return refuse(problem, `the number is that of a ${type?.kind ?? 'void'}`, 'EINVAL');
  }
  // A kernel may know the type of a variable whose address it does not tell.
  if (symbol === undefined || symbol(type.name) !== undefined) return undefined;
  return {
    code: 'bad-ldimm64',
    insn: idx,
    problem: `ldimm64 failed to find the address for kernel symbol '${type.name}'.`,
    reason: 'the kernel has a type for it, but its list of symbols has no address',
    hint: 'variables are listed where the kernel was built with CONFIG_KALLSYMS_ALL',
    errno: 'ENOENT',
  };
}

/** The load, whose reserved fields and register are looked at only when a path reaches it. */
function wideLoad({ insns, input }: Draft, idx: number): Insn | undefined {
  if (insns[idx] !== undefined) return insns[idx];
  const bytes = input.insns.slice(idx * SLOT_SIZE, (idx + 2) * SLOT_SIZE);
  bytes.fill(0, 2, 4);
  bytes[1]! &= 0xf0;
  return decode(bytes).insns[0];
}

function resolveLoad(draft: Draft, idx: number): Verdict {
  const insn = wideLoad(draft, idx);
  if (insn?.kind !== 'ldimm64') return undefined;
  const { imm } = insn;
  let fd: number;
  switch (imm.kind) {
    case 'value':
    case 'func':
      return undefined;
    case 'btf_id':
      return checkSymbol(draft, idx, imm.id, imm.btfFd);
    case 'map_fd':
    case 'map_value':
      fd = imm.fd;
      break;
    case 'map_idx':
    case 'map_idx_value': {
      const array = draft.input.fdArray;
      if (!array) {
        return {
          code: 'no-fd-array',
          insn: idx,
          problem: 'fd_idx without fd_array is invalid',
          reason: `the instruction names entry ${imm.idx} of fd_array, which the load does not have`,
        };
      }
      fd = array[imm.idx] ?? -1;
      break;
    }
  }
  const facts: FdFacts = draft.environment.map(fd);
  if (facts === 'bad-fd' || facts === 'not-a-map') {
    return {
      code: facts === 'bad-fd' ? 'bad-fd' : 'fd-not-a-map',
      insn: idx,
      problem: `fd ${fd} is not pointing to valid bpf_map`,
      reason:
        facts === 'bad-fd' ? 'no such file descriptor is open' : 'the file descriptor is of another object',
    };
  }
  const before = draft.maps.length;
  const index = use(draft, facts);
  const added = draft.maps.length > before;
  if (index === undefined) {
    return {
      code: 'too-many-maps',
      insn: idx,
      problem: `The total number of maps per program has reached the limit of ${LIMITS.MAX_USED_MAPS}`,
      reason: 'each map that instructions name counts once',
    };
  }
  const misuse = added ? checkMapUse(draft, facts, draft.maps.slice(0, -1), idx) : undefined;
  if (misuse) return misuse;
  draft.mapRefs.set(idx, index);
  if (imm.kind === 'map_value' || imm.kind === 'map_idx_value') return checkDirectValue(facts, imm.off, idx);
  return undefined;
}

function use({ maps }: Draft, facts: MapFacts): number | undefined {
  const known = maps.findIndex((map) => map.id === facts.id);
  if (known >= 0) return known;
  if (maps.length === LIMITS.MAX_USED_MAPS) return undefined;
  return maps.push(facts) - 1;
}

const ARENA_PAGE = 4096;

function checkDirectValue(map: MapFacts, off: number, idx: number): Verdict {
  if (off >= MAX_VAR_OFF) {
    return {
      code: 'direct-value-range',
      insn: idx,
      problem: `direct value offset of ${off} is not allowed`,
      reason: `offsets into a map value are below ${MAX_VAR_OFF}`,
    };
  }
  if (map.type === 'arena') {
    if (off <= map.maxEntries * ARENA_PAGE) return undefined;
    return {
      code: 'direct-value-range',
      insn: idx,
      problem: `invalid access to map value pointer, value_size=${map.valueSize} off=${off}`,
      reason: `the arena ends after ${map.maxEntries} pages`,
      errno: 'ERANGE',
    };
  }
  if (map.type !== 'array' || (map.flags & MAP_CREATE_FLAGS.BPF_F_INNER_MAP) !== 0) {
    return {
      code: 'no-direct-value',
      insn: idx,
      problem: 'no direct value access support for this map type',
      reason: `the address of a value can be loaded from an array, and ${map.name || 'the map'} is of type ${map.type}`,
    };
  }
  if (map.maxEntries !== 1 || off >= map.valueSize) {
    return {
      code: 'direct-value-range',
      insn: idx,
      problem: `invalid access to map value pointer, value_size=${map.valueSize} off=${off}`,
      reason:
        map.maxEntries !== 1
          ? `the array has ${map.maxEntries} entries; only that of an array with one entry can be addressed`
          : `the offset is past the value's end`,
      ...(map.maxEntries !== 1 && { errno: 'ENOTSUPP' as const }),
    };
  }
  return undefined;
}
