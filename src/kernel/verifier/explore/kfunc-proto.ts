/**
 * What a kernel function takes and returns, from its prototype in the kernel's BTF: the types of its parameters and
 * the endings of their names.
 *
 * @see Documentation/bpf/kfuncs.rst
 */
import { type Btf, type BtfType, type BtfTypeId, resolve } from '../../../btf/index.ts';
import type { ProgType } from '../../../sys/tables.ts';
import {
  KF_ITER_DESTROY,
  KF_ITER_NEW,
  KF_ITER_NEXT,
  KF_RELEASE,
  KF_TRUSTED_ARGS,
  kfuncAllowed,
  kfuncFlags,
} from '../../kfuncs/index.ts';
import { effectiveAttachType } from '../../programs/index.ts';
import type { Draft } from '../structure/draft.ts';
import { contextStruct } from './func-args.ts';

/** What the prototype alone says of an argument; `pointer` ones depend on the register too. */
export type KfuncArgKind =
  | 'ignored'
  | 'scalar'
  | 'constant'
  | 'rdonly_buf_size'
  | 'rdwr_buf_size'
  | 'ctx'
  | 'alloc_obj'
  | 'refcounted_kptr'
  | 'dynptr'
  | 'iter'
  | 'list_head'
  | 'list_node'
  | 'rb_root'
  | 'rb_node'
  | 'const_str'
  | 'map'
  | 'wq'
  | 'task_work'
  | 'irq_flag'
  | 'res_spin_lock'
  | 'pointer'
  | 'unknown';

export interface KfuncArg {
  readonly kind: KfuncArgKind;
  /** Null is taken too. */
  readonly nullable: boolean;
  /** Null is taken for memory: nothing is written then. */
  readonly optional: boolean;
  /** The dynptr is made by the function. */
  readonly uninit: boolean;
  /** The next argument is the size of this one's memory: any size, or a constant. */
  readonly size: 'variable' | 'constant' | undefined;
  /** What is pointed to, behind typedefs and qualifiers; for what is no pointer, its own type. */
  readonly pointee: BtfTypeId;
}

export interface Kfunc {
  readonly name: string;
  readonly btf: Btf;
  readonly btfId: BtfTypeId;
  readonly flags: number;
  readonly args: readonly KfuncArg[];
  /** Behind typedefs and qualifiers. */
  readonly returns: BtfType;
  /** For returned pointers: what they point to, behind typedefs and qualifiers. */
  readonly returnsTo: BtfTypeId;
  /** Pointers must be sure to be valid. */
  readonly trusted: boolean;
}

/** Structs whose pointers are arguments of their own kind. */
const STRUCT_KINDS: Readonly<Record<string, KfuncArgKind>> = {
  bpf_list_head: 'list_head',
  bpf_list_node: 'list_node',
  bpf_rb_root: 'rb_root',
  bpf_rb_node: 'rb_node',
  bpf_wq: 'wq',
  bpf_task_work: 'task_work',
  bpf_res_spin_lock: 'res_spin_lock',
};

const cache = new WeakMap<Draft, Map<number, Kfunc | undefined>>();

/** The kernel function with that id in the kernel's BTF; `undefined` when the program may not call it. */
export function kfuncOf(draft: Draft, btfId: number): Kfunc | undefined {
  let known = cache.get(draft);
  if (known === undefined) {
    known = new Map();
    cache.set(draft, known);
  }
  if (known.has(btfId)) return known.get(btfId);
  const kfunc = find(draft, btfId as BtfTypeId);
  known.set(btfId, kfunc);
  return kfunc;
}

/** Name of the function with that id in the kernel's BTF; `undefined` when it is no function. */
export function kfuncName({ environment: { kernelBtf } }: Draft, btfId: number): string | undefined {
  if (kernelBtf === undefined || btfId <= 0 || btfId >= kernelBtf.endId) return undefined;
  const type = kernelBtf.type(btfId as BtfTypeId);
  return type.kind === 'func' ? type.name : undefined;
}

function find(draft: Draft, btfId: BtfTypeId): Kfunc | undefined {
  const { input, environment } = draft;
  const btf = environment.kernelBtf;
  const name = kfuncName(draft, btfId);
  if (btf === undefined || name === undefined) return undefined;
  const { type, expectedAttachType: given } = input;
  const flags = kfuncFlags(name);
  if (flags === undefined || !kfuncAllowed(name, type, given && effectiveAttachType(type, given)))
    return undefined;
  const proto = btf.type(btf.typeOf(btfId, 'func').type);
  if (proto.kind !== 'func_proto') return undefined;
  const returns = btf.type(resolve(btf, proto.returns));
  const args = proto.params.map((param, i): KfuncArg => {
    const next = proto.params[i + 1];
    return argOf(btf, param.name, param.type, {
      name,
      flags,
      progType: type,
      index: i,
      next: next?.name ?? '',
    });
  });
  return {
    name,
    btf,
    btfId,
    flags,
    args,
    returns,
    returnsTo: returns.kind === 'ptr' ? resolve(btf, returns.type) : (0 as BtfTypeId),
    trusted: (flags & (KF_TRUSTED_ARGS | KF_RELEASE)) !== 0,
  };
}

interface Place {
  readonly name: string;
  readonly flags: number;
  readonly progType: ProgType;
  readonly index: number;
  /** Name of the next parameter. */
  readonly next: string;
}

function argOf(btf: Btf, param: string, typeId: BtfTypeId, place: Place): KfuncArg {
  const id = resolve(btf, typeId);
  const type = btf.type(id);
  const ends = (suffix: string) => param.length > suffix.length && param.endsWith(suffix);
  const pointer = type.kind === 'ptr';
  const pointee = pointer ? resolve(btf, type.type) : id;
  return {
    kind:
      ends('__ign') || ends('__prog')
        ? 'ignored'
        : pointer
          ? pointerKind(btf, pointee, ends, place)
          : isScalar(type)
            ? scalarKind(param, ends)
            : 'unknown',
    nullable: ends('__nullable'),
    optional: ends('__opt'),
    uninit: ends('__uninit'),
    size: place.next.endsWith('__sz') ? 'variable' : place.next.endsWith('__szk') ? 'constant' : undefined,
    pointee,
  };
}

function scalarKind(param: string, ends: (suffix: string) => boolean): KfuncArgKind {
  if (ends('__k')) return 'constant';
  return param === 'rdonly_buf_size' || param === 'rdwr_buf_size' ? param : 'scalar';
}

function pointerKind(
  btf: Btf,
  pointee: BtfTypeId,
  ends: (suffix: string) => boolean,
  { name, flags, progType, index }: Place,
): KfuncArgKind {
  const type = btf.type(pointee);
  const struct = type.kind === 'struct' ? type.name : '';
  if (name === 'bpf_cast_to_kern_ctx') return 'ctx';
  const context = contextStruct(progType);
  if (struct !== '' && context !== undefined && (struct === context || isProjection(context, struct)))
    return 'ctx';
  if (ends('__alloc')) return 'alloc_obj';
  if (ends('__refcounted_kptr')) return 'refcounted_kptr';
  if (struct === 'bpf_dynptr') return 'dynptr';
  const isIter = (flags & (KF_ITER_NEW | KF_ITER_NEXT | KF_ITER_DESTROY)) !== 0;
  if (isIter ? index === 0 : ends('__iter')) return 'iter';
  const graph = STRUCT_KINDS[struct];
  const late = graph === 'wq' || graph === 'task_work' || graph === 'res_spin_lock';
  if (graph !== undefined && !late) return graph;
  if (ends('__str')) return 'const_str';
  if (ends('__map')) return 'map';
  if (graph !== undefined) return graph;
  return ends('__irq_flag') ? 'irq_flag' : 'pointer';
}

/** User space sees the kernel's struct `tname` as the struct `pname`. @see kernel/bpf/btf.c, btf_is_projection_of */
export function isProjection(pname: string, tname: string): boolean {
  return (pname === '__sk_buff' && tname === 'sk_buff') || (pname === 'xdp_md' && tname === 'xdp_buff');
}

export function isScalar(type: BtfType): boolean {
  return type.kind === 'int' || type.kind === 'enum' || type.kind === 'enum64';
}

/** Nesting of structs that is looked into. */
const MAX_NESTING = 3;

/** The struct holds numbers only, arrays and nested structs included. */
export function isScalarStruct(
  btf: Btf,
  type: BtfType,
  tooDeep: () => void = () => undefined,
  depth = 0,
): boolean {
  if (type.kind !== 'struct' && type.kind !== 'union') return false;
  for (const member of type.members) {
    const inner = btf.type(resolve(btf, member.type));
    if (inner.kind === 'struct' || inner.kind === 'union') {
      if (depth >= MAX_NESTING) {
        tooDeep();
        return false;
      }
      if (!isScalarStruct(btf, inner, tooDeep, depth + 1)) return false;
    } else if (inner.kind === 'array') {
      if (inner.length === 0 || !isScalar(btf.type(resolve(btf, inner.type)))) return false;
    } else if (!isScalar(inner)) {
      return false;
    }
  }
  return true;
}
