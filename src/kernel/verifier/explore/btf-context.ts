/**
 * Contexts that are the arguments of a function: of a tracepoint, a traced function, a security hook, an iterator or a
 * member of an operations struct. Each takes eight bytes, and BTF says what it is.
 *
 * @see kernel/bpf/btf.c, btf_ctx_access
 */
import {
  type Btf,
  type BtfFuncProto,
  type BtfType,
  type BtfTypeId,
  resolve,
  resolveType,
} from '../../../btf/index.ts';
import { ATTACH_TYPES } from '../../../sys/attach-types.ts';
import type { AttachType } from '../../../sys/tables.ts';
import { effectiveAttachType } from '../../programs/index.ts';
import type { Draft } from '../structure/draft.ts';
import { LSM_PREFIX, UNTRUSTED_LSM_HOOKS } from '../structure/hooks.ts';
import { Scalar } from '../value/scalar.ts';
import { loadUnknown } from './access-value.ts';
import { typeLabel } from './btf-walk.ts';
import { programExit } from './exit-range.ts';
import type { Explorer } from './explorer.ts';
import { kindName } from './func-args.ts';
import { ITER_ARGS } from './iter-args.ts';
import { RAW_TP_NULL_ARGS } from './raw-tp-null.ts';
import { pointerReg, type RegState, scalarReg } from './reg.ts';
import {
  baseType,
  MEM_PERCPU,
  MEM_USER,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TRUSTED,
  type RegType,
} from './reg-type.ts';
import type { Reference } from './state.ts';
import { hasTemplate, TEMPLATE_PREFIX } from './tracepoint-templates.ts';

const ARG_BYTES = 8;
/** Arguments that a context can have. @see include/linux/bpf.h, MAX_BPF_FUNC_ARGS */
const MAX_ARGS = 12;
const MAX_REG_ARGS = 5;
const TRACEPOINT_PREFIX = 'btf_trace_';
const ITER_PREFIX = 'bpf_iter_';

/** What the program attaches to, as far as its context goes. */
interface Target {
  readonly btf: Btf;
  /** As the log names it. */
  readonly name: string;
  /** Absent: five numbers. */
  readonly proto: BtfFuncProto | undefined;
  /** Parameters before those of the context. */
  readonly skipped: number;
  readonly attach: AttachType | undefined;
  /** Objects in arguments stay valid while the program runs. */
  readonly trusted: boolean;
  /** Arguments of which the kernel says more than BTF. */
  readonly known: ReadonlyMap<number, KnownArg>;
  /** Digit per argument, see {@link RAW_TP_NULL_ARGS}. */
  readonly nulls: number;
  /** A function of another program, whose arguments only its BTF describes. */
  readonly ofProgram: boolean;
  /** A line about the target that the log gets before exploration. */
  readonly note: string;
}

interface KnownArg {
  readonly type: RegType;
  /** The program gets a reference with it. */
  readonly acquired: boolean;
}

const targets = new WeakMap<Draft, Target | null>();
const held = new WeakMap<Draft, ReadonlyMap<number, number>>();

function targetOf(draft: Draft): Target | undefined {
  let target = targets.get(draft);
  if (target === undefined) {
    target = findTarget(draft) ?? null;
    targets.set(draft, target);
  }
  return target ?? undefined;
}

function findTarget(draft: Draft): Target | undefined {
  const { attachTarget, type, expectedAttachType } = draft.input;
  const btf = attachTarget?.btf ?? attachTarget?.prog?.input.btf ?? draft.environment.kernelBtf;
  if (attachTarget === undefined || btf === undefined) return undefined;
  const found = btf.type(attachTarget.btfId as BtfTypeId);
  const attach = expectedAttachType && effectiveAttachType(type, expectedAttachType);
  const name = 'name' in found ? String(found.name) : '';
  const plain: Target = {
    btf,
    name,
    proto: found.kind === 'func' ? protoOf(btf, found.type) : undefined,
    skipped: 0,
    attach,
    trusted: attach === 'trace_iter',
    known: new Map(),
    nulls: 0,
    ofProgram: attachTarget.prog !== undefined,
    note: '',
  };
  if (type === 'struct_ops') return structOpsTarget(draft, plain, found);
  if (type === 'lsm') return { ...plain, trusted: !UNTRUSTED_LSM_HOOKS.has(name.slice(LSM_PREFIX.length)) };
  if (attach === 'trace_raw_tp') return tracepointTarget(plain, found);
  if (attach === 'trace_iter') {
    const known = ITER_ARGS[name.slice(ITER_PREFIX.length)] ?? {};
    const args = Object.entries(known).map(([index, reg]): [number, KnownArg] => [
      Number(index),
      { type: reg, acquired: false },
    ]);
    return { ...plain, known: new Map(args) };
  }
  return plain;
}

function protoOf(btf: Btf, id: BtfTypeId): BtfFuncProto | undefined {
  const type = btf.type(id);
  return type.kind === 'func_proto' ? type : undefined;
}

/** The function behind the tracepoint names its arguments; where it has no BTF, the type of the tracepoint must do. */
function tracepointTarget(plain: Target, found: BtfType): Target {
  const { btf } = plain;
  const name = plain.name.slice(TRACEPOINT_PREFIX.length);
  const pointer = found.kind === 'typedef' ? btf.type(found.type) : found;
  const typed = pointer.kind === 'ptr' ? protoOf(btf, pointer.type) : undefined;
  const template = btf.find(TEMPLATE_PREFIX + name, 'func');
  const known = template !== undefined || (typed !== undefined && hasTemplate(btf, typed));
  return {
    ...plain,
    name,
    proto: template === undefined ? typed : protoOf(btf, btf.typeOf(template, 'func').type),
    skipped: 1,
    trusted: true,
    nulls: RAW_TP_NULL_ARGS[name] ?? 0,
    note: known ? '' : `Cannot find btf of tracepoint template, fall back to ${TRACEPOINT_PREFIX}${name}.\n`,
  };
}

function structOpsTarget({ input }: Draft, plain: Target, found: BtfType): Target | undefined {
  const { btf } = plain;
  if (found.kind !== 'struct') return undefined;
  const index = input.expectedAttachType === undefined ? 0 : ATTACH_TYPES[input.expectedAttachType].id;
  const member = found.members[index];
  const pointer = member && resolveType(btf, member.type);
  if (member === undefined || pointer?.kind !== 'ptr') return undefined;
  const proto = resolveType(btf, pointer.type);
  const stub = btf.find(`${found.name}__${member.name}`, 'func');
  const params = stub === undefined ? [] : (protoOf(btf, btf.typeOf(stub, 'func').type)?.params ?? []);
  const known = new Map<number, KnownArg>();
  for (const [i, param] of params.entries()) {
    if (param.name.endsWith('__nullable')) {
      known.set(i, { type: PTR_TO_BTF_ID | PTR_TRUSTED | PTR_MAYBE_NULL, acquired: false });
    } else if (param.name.endsWith('__ref')) {
      known.set(i, { type: PTR_TO_BTF_ID | PTR_TRUSTED, acquired: true });
    }
  }
  return {
    ...plain,
    name: member.name,
    proto: proto.kind === 'func_proto' ? proto : undefined,
    trusted: true,
    known,
  };
}

/** What the log says of the target before exploration. */
export function attachNote(draft: Draft): string {
  return draft.input.type === 'tracing' ? (targetOf(draft)?.note ?? '') : '';
}

/** References that the entry function holds when it begins: objects that the kernel hands over to it. */
export function initialReferences(ex: Explorer): readonly Reference[] {
  const refs: Reference[] = [];
  const ids = new Map<number, number>();
  if (ex.draft.input.type === 'struct_ops') {
    for (const [index, { acquired }] of targetOf(ex.draft)?.known ?? []) {
      if (!acquired) continue;
      const id = ex.newId();
      ids.set(index, id);
      refs.push({ kind: 'object', id, insnIdx: 0, holder: null });
    }
  }
  held.set(ex.draft, ids);
  return refs;
}

export function accessBtfContext(
  ex: Explorer,
  off: number,
  size: number,
  access: 'read' | 'write',
  valueRegno: number,
  signed: boolean,
): void {
  const inside = off >= 0 && off < ARG_BYTES * MAX_ARGS && off % size === 0;
  const target = targetOf(ex.draft);
  const loaded =
    inside && access === 'read' && target !== undefined ? argument(ex, target, off, size) : undefined;
  if (loaded === undefined) {
    ex.refuse('context-access', `invalid bpf_context access off=${off} size=${size}`, {
      reason:
        access === 'write'
          ? 'arguments can only be read'
          : `${target === undefined ? 'the target' : `${target.name}()`} has no argument that can be read there`,
    });
  }
  if (valueRegno < 0) return;
  if (loaded === 'scalar') loadUnknown(ex, valueRegno, size, signed);
  else ex.state.frame().regs[valueRegno] = loaded;
}

/** @returns `undefined` when it can't be read; why is in the log */
function argument(ex: Explorer, target: Target, off: number, size: number): RegState | 'scalar' | undefined {
  const { btf, proto, name } = target;
  const say = (text: string): undefined => {
    ex.log.write(`${text}\n`);
  };
  if (off % ARG_BYTES !== 0) return say(`func '${name}' offset ${off} is not multiple of 8`);
  const index = argumentIndex(btf, proto, off);
  const count = (proto?.params.length ?? MAX_REG_ARGS) - (proto === undefined ? 0 : target.skipped);
  if (index > count) return say(`func '${name}' doesn't have ${index + 1}-th argument`);
  if (index === count) return returned(ex, target, index);
  if (proto === undefined) return 'scalar';
  const param = proto.params[index + target.skipped]!;
  const type = resolveType(btf, param.type);
  if (isNumber(type) || type.kind === 'struct') return 'scalar';
  if (type.kind !== 'ptr') {
    const label = 'name' in type ? String(type.name) : '';
    return say(
      `func '${name}' arg${index} '${label}' has type ${kindName(type)}. Only pointer access is allowed`,
    );
  }
  if (size !== ARG_BYTES) return say(`func '${name}' size ${size} must be 8`);
  const known = target.known.get(index);
  if (known !== undefined && baseType(known.type) === PTR_TO_BUF)
    return object(ex, known.type, btf, type.type);
  const pointee = resolveType(btf, type.type);
  if (pointee.kind === 'void' || pointee.kind === 'int') return 'scalar';
  if (known !== undefined) {
    const reg = object(ex, known.type, btf, resolve(btf, type.type));
    if (known.acquired) reg.refObjId = heldReference(ex, index, off);
    return reg;
  }
  return pointerArgument(ex, target, index, param.name, type.type, pointee, say);
}

function heldReference(ex: Explorer, index: number, off: number): number {
  const id = held.get(ex.draft)?.get(index) ?? 0;
  if (!ex.state.refs.some((ref) => ref.id === id)) {
    ex.refuse('context-access', `invalid bpf_context access off=${off}. Reference may already be released`, {
      reason: 'the program gave the object of this argument back',
    });
  }
  return id;
}

function pointerArgument(
  ex: Explorer,
  target: Target,
  index: number,
  param: string,
  pointeeId: BtfTypeId,
  pointee: BtfType,
  say: (text: string) => undefined,
): RegState | 'scalar' | undefined {
  const { btf, name } = target;
  let type: RegType = PTR_TO_BTF_ID | (target.trusted ? PTR_TRUSTED : 0);
  const nulls = (target.nulls / 16 ** index) & 0xf;
  if (param.endsWith('__nullable') || (nulls & 1) !== 0) type |= PTR_MAYBE_NULL;
  const outermost = btf.type(pointeeId);
  if (outermost.kind === 'type_tag') {
    if (outermost.name === 'user') type |= MEM_USER;
    if (outermost.name === 'percpu') type |= MEM_PERCPU;
  }
  if (pointee.kind !== 'struct' && pointee.kind !== 'union') {
    return say(`func '${name}' arg${index} type ${kindName(pointee)} is not a struct`);
  }
  const btfId = resolve(btf, pointeeId);
  ex.log.write(`func '${name}' arg${index} has btf_id ${btfId} type ${typeLabel(pointee)}\n`);
  if ((nulls & 2) !== 0) {
    ex.log.write(`marking pointer arg${index} as scalar as it may encode error`);
    return 'scalar';
  }
  return object(ex, type, btf, btfId);
}

function object(ex: Explorer, type: RegType, btf: Btf, btfId: BtfTypeId): RegState {
  const reg = pointerReg(type);
  if (mayBeNull(type)) reg.id = ex.newId();
  if (baseType(type) === PTR_TO_BTF_ID) {
    reg.btf = btf;
    reg.btfId = promoted(ex.draft, btf, btfId);
  }
  return reg;
}

/** Congestion control only ever sees TCP's sockets. */
function promoted({ input }: Draft, btf: Btf, btfId: BtfTypeId): BtfTypeId {
  const target =
    input.type === 'struct_ops' ? btf.type((input.attachTarget?.btfId ?? 0) as BtfTypeId) : undefined;
  if (target?.kind !== 'struct' || target.name !== 'tcp_congestion_ops') return btfId;
  return btfId === btf.find('sock', 'struct') ? (btf.find('tcp_sock', 'struct') ?? btfId) : btfId;
}

/** The value that the function returned, behind its arguments. */
function returned(ex: Explorer, target: Target, index: number): RegState | 'scalar' | undefined {
  const { btf, proto, attach, name } = target;
  switch (attach) {
    case 'lsm_mac':
    case 'lsm_cgroup':
    case 'trace_fexit':
    case 'trace_fsession': {
      if (proto === undefined) return 'scalar';
      const type = resolveType(btf, proto.returns);
      const range = attach === 'lsm_mac' ? programExit(ex.draft).range : undefined;
      if (range !== undefined) return scalarReg(between(range.min, range.max));
      if (isNumber(type) || type.kind === 'struct') return 'scalar';
      if (type.kind === 'ptr') {
        const pointee = resolveType(btf, type.type);
        if (pointee.kind === 'void' || pointee.kind === 'int') return 'scalar';
        return pointerArgument(ex, target, index, '', type.type, pointee, (text) => {
          ex.log.write(`${text}\n`);
        });
      }
      ex.log.write(
        `func '${name}' arg${index} '' has type ${kindName(type)}. Only pointer access is allowed\n`,
      );
      return undefined;
    }
    case 'modify_return': {
      if (proto === undefined) return undefined;
      const type = resolveType(btf, proto.returns);
      if (isNumber(type)) return 'scalar';
      ex.log.write(`ret type ${kindName(type)} not allowed for fmod_ret\n`);
      return undefined;
    }
    default:
      ex.log.write(`func '${name}' doesn't have ${index + 1}-th argument\n`);
      return undefined;
  }
}

/** Signed numbers of 32 bits. */
function between(min: number, max: number): Scalar {
  const scalar = Scalar.UNKNOWN.copy();
  scalar.sminHi = min >> 31;
  scalar.sminLo = scalar.s32min = min;
  scalar.smaxHi = max >> 31;
  scalar.smaxLo = scalar.s32max = max;
  return scalar.sync();
}

function isNumber(type: BtfType): boolean {
  return (type.kind === 'int' && type.size <= 8) || type.kind === 'enum' || type.kind === 'enum64';
}

/** Structs that are passed by value may take more than one place. */
function argumentIndex(btf: Btf, proto: BtfFuncProto | undefined, off: number): number {
  if (proto === undefined) return off / ARG_BYTES;
  let end = 0;
  for (const [i, { type }] of proto.params.entries()) {
    end += places(resolveType(btf, type));
    if (off < end) return i;
  }
  return off < end + places(resolveType(btf, proto.returns)) ? proto.params.length : proto.params.length + 1;
}

function places(type: BtfType): number {
  return 'size' in type && type.kind !== 'datasec' ? Math.ceil(type.size / ARG_BYTES) * ARG_BYTES : ARG_BYTES;
}
