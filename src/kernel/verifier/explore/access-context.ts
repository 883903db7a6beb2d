/** Accesses to the context: which fields the program type has, and what a load of one yields. */
import type { AttachType, ProgType } from '../../../sys/tables.ts';
import {
  type ContextField,
  effectiveAttachType,
  type FieldCapability,
  type FieldValue,
  type OpenRange,
  PROGRAMS,
  type ProgramFacts,
} from '../../programs/index.ts';
import type { Draft } from '../structure/draft.ts';
import { formatBits } from '../value/print.ts';
import { loadUnknown } from './access-value.ts';
import { accessBtfContext } from './btf-context.ts';
import type { Explorer } from './explorer.ts';
import { pointerReg, type RegState } from './reg.ts';
import {
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_FLOW_KEYS,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TP_BUFFER,
  PTR_TRUSTED,
  type RegType,
  regTypeName,
} from './reg-type.ts';

const POINTERS: Readonly<Record<Exclude<FieldValue, 'scalar'>, RegType>> = {
  packet: PTR_TO_PACKET,
  packet_end: PTR_TO_PACKET_END,
  packet_meta: PTR_TO_PACKET_META,
  flow_keys: PTR_TO_FLOW_KEYS,
  tp_buffer: PTR_TO_TP_BUFFER,
  sock: PTR_TO_SOCKET,
  sock_or_null: PTR_TO_SOCKET | PTR_MAYBE_NULL,
  sock_common_or_null: PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL,
  trusted_ptr: PTR_TO_BTF_ID | PTR_TRUSTED,
};

/** Types of which BTF says what the context's arguments are. */
const BTF_CONTEXTS: ReadonlySet<ProgType> = new Set(['tracing', 'lsm', 'struct_ops']);

/** The type by whose rules the program goes: an extension's are those of the program that it replaces a part of. */
export function programType({ input }: Draft): ProgType {
  return input.type === 'ext' ? (input.attachTarget?.prog?.input.type ?? 'ext') : input.type;
}

/** What the context access rules look at, beside the access itself. */
interface Rules {
  readonly facts: ProgramFacts;
  readonly type: ProgType;
  readonly attach: AttachType | undefined;
  readonly caps: ReadonlySet<FieldCapability>;
}

const rulesOf = new WeakMap<Draft, Rules>();

function rules(draft: Draft): Rules {
  let known = rulesOf.get(draft);
  if (known === undefined) {
    const { capabilities } = draft.environment;
    const { expectedAttachType } =
      draft.input.type === 'ext' ? (draft.input.attachTarget?.prog?.input ?? draft.input) : draft.input;
    const type = programType(draft);
    const caps = new Set<FieldCapability>();
    if (capabilities.bpf || capabilities.sysAdmin) caps.add('bpf');
    if (capabilities.perfmon || capabilities.sysAdmin) caps.add('perfmon');
    const attach =
      effectiveAttachType(type, expectedAttachType ?? 'cgroup_inet_ingress') ?? expectedAttachType;
    known = { facts: PROGRAMS[type], type, attach, caps };
    rulesOf.set(draft, known);
  }
  return known;
}

/**
 * @param off offset in the instruction, the pointer's own not included
 * @param valueRegno register that is loaded or stored; -1 for none
 */
export function accessContext(
  ex: Explorer,
  regno: number,
  reg: RegState,
  off: number,
  size: number,
  access: 'read' | 'write',
  valueRegno: number,
  signed: boolean,
): void {
  const { facts, type, attach, caps } = rules(ex.draft);
  checkContextPointer(ex, regno, reg);
  if (BTF_CONTEXTS.has(type)) {
    accessBtfContext(ex, off, size, access, valueRegno, signed);
    return;
  }
  const place = facts.context.access(access, off, size, attach, caps);
  // A pointer can't be extended from its sign.
  const extended = signed && place !== undefined && isField(place) && place.value !== 'scalar';
  if (place === undefined || extended) refuseAccess(ex, facts, type, off, size, access);
  if (access === 'write' || valueRegno < 0) return;
  if (!isField(place) || place.value === 'scalar') {
    loadUnknown(ex, valueRegno, size, signed);
    return;
  }
  ex.state.frame().regs[valueRegno] = fieldPointer(ex, place, POINTERS[place.value]);
}

function isField(place: ContextField | OpenRange): place is ContextField {
  return 'value' in place;
}

function fieldPointer(ex: Explorer, field: ContextField, type: RegType): RegState {
  const reg = pointerReg(type);
  if (mayBeNull(type)) reg.id = ex.newId();
  if (field.btf !== undefined) {
    const btf = ex.draft.environment.kernelBtf;
    const id = btf?.find(field.btf, 'struct');
    if (btf === undefined || id === undefined) {
      ex.refuse('context-access', `struct ${field.btf} is not in the kernel's BTF`, {
        reason: `the field ${field.name} is a pointer to it`,
      });
    }
    reg.btf = btf;
    reg.btfId = id;
  }
  return reg;
}

/** The context's fields are reached by constant offsets in the instruction only. */
export function checkContextPointer(ex: Explorer, regno: number, reg: RegState, fixedAllowed = false): void {
  const type = regTypeName(reg.type);
  const reason = `what is behind a pointer of type ${type} is found by the offset in the instruction`;
  const hint = 'use the pointer as it was given';
  if (reg.off < 0) {
    const problem = `negative offset ${type} ptr R${regno} off=${reg.off} disallowed`;
    ex.refuse('modified-pointer', problem, { reason, hint });
  }
  if (!fixedAllowed && reg.off !== 0) {
    const problem = `dereference of modified ${type} ptr R${regno} off=${reg.off} disallowed`;
    ex.refuse('modified-pointer', problem, { reason, hint });
  }
  if (!reg.scalar.isConstValue(0, 0)) {
    const problem = `variable ${type} access var_off=${formatBits(reg.scalar)} disallowed`;
    ex.refuse('modified-pointer', problem, { reason, hint });
  }
}

function refuseAccess(
  ex: Explorer,
  facts: ProgramFacts,
  type: ProgType,
  off: number,
  size: number,
  access: 'read' | 'write',
): never {
  const { context } = facts;
  const field = context.fieldAt(off);
  const what = access === 'read' ? 'read' : 'written';
  const reason =
    field === undefined
      ? `programs of type ${type} have no field of struct ${context.name} there`
      : `field ${field.name} of struct ${context.name} can't be ${what} so: ${size} bytes at its offset ${off - field.offset}`;
  ex.log.line(ex.insnIdx);
  ex.refuse('context-access', `invalid bpf_context access off=${off} size=${size}`, { reason });
}
