/** What a program may return, by its type, attach type and target. */
import { type Btf, type BtfTypeId, resolveType } from '../../../btf/index.ts';
import { ATTACH_TYPES } from '../../../sys/attach-types.ts';
import { effectiveAttachType, returnRange } from '../../programs/index.ts';
import type { Draft } from '../structure/draft.ts';
import type { RegState } from './reg.ts';

/** Both ends are included; compared as a signed number of that width. */
export interface ExitRange {
  readonly min: number;
  readonly max: number;
  readonly bits: 32 | 64;
}

export interface ProgramExit {
  /** r0 is not looked at. */
  readonly returnsVoid: boolean;
  /** Absent: any number. */
  readonly range?: ExitRange;
  /** Pointers that may be returned to the kernel, together with the reference that they hold. */
  readonly mayReturn?: (reg: RegState) => boolean;
  /** A line that the log adds when the range is missed. */
  readonly note?: string;
}

const ANY: ProgramExit = { returnsVoid: false };
const VOID: ProgramExit = { returnsVoid: true };
const exits = new WeakMap<Draft, ProgramExit>();

export function programExit(draft: Draft): ProgramExit {
  let exit = exits.get(draft);
  if (exit === undefined) {
    exit = find(draft);
    exits.set(draft, exit);
  }
  return exit;
}

function find(draft: Draft): ProgramExit {
  const { type, expectedAttachType: given, attachTarget } = draft.input;
  const attach = given && effectiveAttachType(type, given);
  switch (type) {
    case 'struct_ops':
      return structOpsExit(draft);
    case 'lsm':
      return lsmExit(draft, attach === 'lsm_cgroup');
    case 'raw_tracepoint':
    case 'raw_tracepoint_writable':
      return attachTarget === undefined ? ANY : { returnsVoid: false, range: { min: 0, max: 0, bits: 64 } };
    default: {
      // What has no attach type is loaded with 0.
      const range = returnRange(type, attach ?? 'cgroup_inet_ingress');
      return range === undefined
        ? ANY
        : { returnsVoid: false, range: { min: range.min, max: range.max, bits: 64 } };
    }
  }
}

/** The prototype of what the program attaches to: a function, or a member of an operations struct. */
export function attachProto(
  draft: Draft,
): { readonly btf: Btf; readonly returns: BtfTypeId; readonly name: string } | undefined {
  const { attachTarget, type, expectedAttachType } = draft.input;
  const btf = attachTarget?.btf ?? draft.environment.kernelBtf;
  if (attachTarget === undefined || btf === undefined) return undefined;
  let target = btf.type(attachTarget.btfId as BtfTypeId);
  let name = 'name' in target ? String(target.name) : '';
  if (type === 'struct_ops') {
    if (target.kind !== 'struct') return undefined;
    const member = target.members[expectedAttachType === undefined ? 0 : ATTACH_TYPES[expectedAttachType].id];
    if (member === undefined) return undefined;
    name = member.name;
    target = resolveType(btf, member.type);
    if (target.kind === 'ptr') target = resolveType(btf, target.type);
  } else if (target.kind === 'func') {
    target = btf.type(target.type);
  }
  return target.kind === 'func_proto' ? { btf, returns: target.returns, name } : undefined;
}

function structOpsExit(draft: Draft): ProgramExit {
  const proto = attachProto(draft);
  if (proto === undefined) return ANY;
  if (proto.returns === 0) return VOID;
  const type = resolveType(proto.btf, proto.returns);
  if (type.kind !== 'ptr') return ANY;
  const pointee = resolveType(proto.btf, type.type);
  return {
    returnsVoid: false,
    range: { min: 0, max: 0, bits: 64 },
    mayReturn: (reg) => reg.refObjId !== 0 && reg.btf === proto.btf && reg.btf.type(reg.btfId) === pointee,
  };
}

/** Hooks that answer with a truth value, not with an errno. @see kernel/bpf/bpf_lsm.c, bool_lsm_hooks */
const BOOLEAN_HOOKS: ReadonlySet<string> = new Set([
  'bpf_lsm_audit_rule_known',
  'bpf_lsm_inode_xattr_skipcap',
]);
/** Hooks that may return anything. @see kernel/bpf/bpf_lsm.c, bpf_lsm_get_retval_range */
const MAX_ERRNO = 4095;

function lsmExit(draft: Draft, cgroup: boolean): ProgramExit {
  const proto = attachProto(draft);
  const isVoid = proto !== undefined && proto.returns === 0;
  if (cgroup) {
    return isVoid
      ? {
          returnsVoid: false,
          range: { min: 1, max: 1, bits: 64 },
          note: "\nNote, BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!",
        }
      : { returnsVoid: false, range: { min: 0, max: 1, bits: 64 } };
  }
  if (isVoid) return VOID;
  const boolean = proto !== undefined && BOOLEAN_HOOKS.has(proto.name);
  return { returnsVoid: false, range: { min: boolean ? 0 : -MAX_ERRNO, max: boolean ? 1 : 0, bits: 32 } };
}
