/**
 * What the BTF of a subprogram says of its arguments. For a global function, which is verified on its own, it is the
 * contract between it and its callers; for a static one it is a hint that may turn out wrong.
 *
 * @see kernel/bpf/btf.c, btf_prepare_func_args
 */
import {
  type Btf,
  type BtfType,
  type BtfTypeId,
  resolve,
  resolveType,
  trySizeOf,
} from '../../../btf/index.ts';
import type { AttachType, ProgType } from '../../../sys/tables.ts';
import type { Draft } from '../structure/draft.ts';
import { declTags } from './decl-tags.ts';
import type { Explorer } from './explorer.ts';

/** What is passed in an argument register of a subprogram. */
export interface FuncArg {
  readonly kind: 'scalar' | 'ctx' | 'mem' | 'dynptr' | 'btf_id' | 'arena';
  readonly nullable: boolean;
  /** Kernel pointers: they stay valid. */
  readonly trusted: boolean;
  /** Memory and kernel pointers that may point anywhere: they can only be read. */
  readonly untrusted: boolean;
  /** Memory: bytes. */
  readonly memSize: number;
  /** Kernel pointers: the struct, in the kernel's BTF. */
  readonly btfId: BtfTypeId;
}

/** `bad` functions can't be called at all; `unusable` ones only without a look at their arguments. */
export type FuncArgs = { readonly args: readonly FuncArg[] } | { readonly failed: 'bad' | 'unusable' };

const MAX_ARGS = 5;
const SCALAR: FuncArg = {
  kind: 'scalar',
  nullable: false,
  trusted: false,
  untrusted: false,
  memSize: 0,
  btfId: 0 as BtfTypeId,
};

type Tag = 'ctx' | 'nonnull' | 'trusted' | 'untrusted' | 'nullable' | 'arena';
const TAGS: readonly string[] = [
  'ctx',
  'nonnull',
  'trusted',
  'untrusted',
  'nullable',
  'arena',
] satisfies Tag[];

const cache = new WeakMap<Draft, (FuncArgs | undefined)[]>();

/** The arguments of a subprogram with function info. What is wrong with them goes to the log. */
export function funcArgs(ex: Explorer, subprog: number): FuncArgs {
  let known = cache.get(ex.draft);
  if (known === undefined) {
    known = [];
    cache.set(ex.draft, known);
  }
  const found = known[subprog] ?? prepare(ex, subprog);
  if ('args' in found) known[subprog] = found;
  return found;
}

function prepare(ex: Explorer, subprog: number): FuncArgs {
  const sub = ex.draft.subprograms[subprog]!;
  const { btf, type: progType, expectedAttachType } = ex.draft.input;
  const global = sub.linkage === 'global';
  const log = (text: string) => ex.log.write(`${text}\n`);
  if (btf === undefined || sub.btfFunc === undefined) return { failed: 'bad' };
  const func = btf.typeOf(sub.btfFunc, 'func');
  const proto = btf.type(func.type);
  if (proto.kind !== 'func_proto') {
    log(`Invalid type of function ${func.name}()`);
    return { failed: 'bad' };
  }
  const count = proto.params.length;
  if (count > MAX_ARGS) {
    if (!global) return { failed: 'unusable' };
    log(`Global function ${func.name}() with ${count} > ${MAX_ARGS} args. Buggy compiler.`);
    return { failed: 'unusable' };
  }
  const returns = resolveType(btf, proto.returns);
  if (!isNumber(returns)) {
    if (!global) return { failed: 'unusable' };
    log(`Global function ${func.name}() doesn't return scalar. Only those are supported.`);
    return { failed: 'unusable' };
  }
  const args: FuncArg[] = [];
  for (const [i, param] of proto.params.entries()) {
    const tags = tagsOf(btf, sub.btfFunc, i, global, log);
    if (tags === undefined) return { failed: 'unusable' };
    const arg = argOf({
      btf,
      kernelBtf: ex.draft.environment.kernelBtf,
      progType,
      attach: expectedAttachType,
      funcName: func.name,
      index: i,
      type: param.type,
      tags,
      global,
      log,
    });
    if (arg === undefined) return { failed: 'unusable' };
    args.push(arg);
  }
  return { args };
}

function isNumber(type: BtfType): boolean {
  return type.kind === 'int' || type.kind === 'enum' || type.kind === 'enum64';
}

/** The `__arg_*` tags of a parameter; `undefined` when there is one that is not understood. */
function tagsOf(
  btf: Btf,
  func: BtfTypeId,
  index: number,
  global: boolean,
  log: (text: string) => void,
): ReadonlySet<Tag> | undefined {
  const tags = new Set<Tag>();
  for (const tag of declTags(btf, func)) {
    if (tag.component !== index || !tag.name.startsWith('arg:')) continue;
    if (!global) {
      log(`arg#${index} type tag is not supported in static functions`);
      return undefined;
    }
    const name = tag.name.slice('arg:'.length);
    if (!TAGS.includes(name)) {
      log(`arg#${index} has unsupported set of tags`);
      return undefined;
    }
    tags.add(name as Tag);
  }
  return tags;
}

interface ArgQuery {
  readonly btf: Btf;
  readonly kernelBtf: Btf | undefined;
  readonly progType: ProgType;
  readonly attach: AttachType | undefined;
  readonly funcName: string;
  readonly index: number;
  readonly type: BtfTypeId;
  readonly tags: ReadonlySet<Tag>;
  readonly global: boolean;
  readonly log: (text: string) => void;
}

function argOf(query: ArgQuery): FuncArg | undefined {
  const { btf, index, tags, global, log } = query;
  const type = resolveType(btf, query.type);
  if (type.kind === 'ptr') {
    const arg = pointerArg(query, type.type);
    if (arg !== 'none') return arg;
  }
  if (tags.size > 0) {
    log(`arg#${index} has pointer tag, but is not a pointer type`);
    return undefined;
  }
  if (isNumber(type)) return SCALAR;
  if (global) {
    log(`Arg#${index} type ${kindName(type)} in ${query.funcName}() is not supported yet.`);
  }
  return undefined;
}

function pointerArg(query: ArgQuery, pointee: BtfTypeId): FuncArg | undefined | 'none' {
  const { btf, index, tags, global, log } = query;
  const invalid = (): undefined => {
    log(`arg#${index} has invalid combination of tags`);
    return undefined;
  };
  if (tags.has('ctx') || isContext(query, pointee)) {
    if (tags.size > (tags.has('ctx') ? 1 : 0)) return invalid();
    if (tags.has('ctx') && !mayBeContext(query, pointee)) return undefined;
    return { ...SCALAR, kind: 'ctx' };
  }
  const target = resolveType(btf, pointee);
  if (
    (target.kind === 'struct' || (target.kind === 'fwd' && target.of === 'struct')) &&
    target.name === 'bpf_dynptr'
  ) {
    return tags.size > 0 ? invalid() : { ...SCALAR, kind: 'dynptr' };
  }
  if (tags.has('trusted')) {
    if (tags.has('nonnull')) return invalid();
    const btfId = kernelStruct(query, pointee);
    return btfId && { ...SCALAR, kind: 'btf_id', trusted: true, nullable: tags.has('nullable'), btfId };
  }
  if (tags.has('untrusted')) return untrustedArg(query, pointee, target);
  if (tags.has('arena')) {
    if (tags.size === 1) return { ...SCALAR, kind: 'arena' };
    log(`arg#${index} arena cannot be combined with any other tags`);
    return undefined;
  }
  if (!global) return 'none';
  if (tags.has('nullable')) return invalid();
  const memSize = trySizeOf(btf, pointee);
  if (memSize === undefined) {
    const name = 'name' in target ? target.name : '';
    log(`arg#${index} reference type('${kindName(target)} ${name}') size cannot be determined: -22`);
    return undefined;
  }
  return { ...SCALAR, kind: 'mem', nullable: !tags.has('nonnull'), memSize };
}

function untrustedArg(query: ArgQuery, pointee: BtfTypeId, target: BtfType): FuncArg | undefined {
  const { index, tags, log, kernelBtf } = query;
  if (tags.size > 1) {
    log(`arg#${index} untrusted cannot be combined with any other tags`);
    return undefined;
  }
  if (target.kind === 'void' || isNumber(target) || target.kind === 'float') {
    return { ...SCALAR, kind: 'mem', untrusted: true };
  }
  const btfId = kernelStruct(query, pointee);
  if (btfId === undefined || kernelBtf === undefined) return undefined;
  const type = kernelBtf.type(btfId);
  if (type.kind !== 'struct' && type.kind !== 'union') {
    log(
      `arg#${index} has type ${kindName(type)} '${'name' in type ? type.name : ''}', but only struct or primitive types are allowed`,
    );
    return undefined;
  }
  return { ...SCALAR, kind: 'btf_id', untrusted: true, btfId };
}

/** The kernel's type of the same name and kind; a flavour (`task_struct___old`) names the type before the underscores. */
function kernelStruct(query: ArgQuery, pointee: BtfTypeId): BtfTypeId | undefined {
  const { btf, kernelBtf, index, log } = query;
  const type = btf.type(resolve(btf, pointee));
  const name = 'name' in type ? String(type.name) : '';
  const found =
    kernelBtf === undefined || type.kind === 'void' || name === ''
      ? []
      : kernelBtf.named(name.replace(/___.*$/, ''), type.kind);
  if (found.length === 1) return found[0];
  const problem = found.length === 0 ? 'has no matches' : 'is ambiguous';
  log(`arg#${index} reference type('${kindName(type)} ${name}') ${problem}`);
  return undefined;
}

/** The UAPI struct of a program type's context; empty where it has no name. */
const CONTEXTS: Readonly<Partial<Record<ProgType, string>>> = {
  socket_filter: '__sk_buff',
  sched_cls: '__sk_buff',
  sched_act: '__sk_buff',
  xdp: 'xdp_md',
  cgroup_skb: '__sk_buff',
  cgroup_sock: 'bpf_sock',
  cgroup_sock_addr: 'bpf_sock_addr',
  lwt_in: '__sk_buff',
  lwt_out: '__sk_buff',
  lwt_xmit: '__sk_buff',
  lwt_seg6local: '__sk_buff',
  sock_ops: 'bpf_sock_ops',
  sk_skb: '__sk_buff',
  sk_msg: 'sk_msg_md',
  flow_dissector: '__sk_buff',
  kprobe: 'pt_regs',
  perf_event: 'bpf_perf_event_data',
  raw_tracepoint: 'bpf_raw_tracepoint_args',
  raw_tracepoint_writable: 'bpf_raw_tracepoint_args',
  cgroup_device: 'bpf_cgroup_dev_ctx',
  cgroup_sysctl: 'bpf_sysctl',
  cgroup_sockopt: 'bpf_sockopt',
  sk_reuseport: 'sk_reuseport_md',
  sk_lookup: 'bpf_sk_lookup',
  netfilter: 'bpf_nf_ctx',
};

/** Name of the struct that programs of a type see their context as; `undefined` where it has none. */
export function contextStruct(type: ProgType): string | undefined {
  return CONTEXTS[type];
}

/** The typedef that kprobe programs may call their context by. */
const USER_REGS = 'bpf_user_pt_regs_t';

/** Typedefs, from the outermost on, that a type is behind. */
function hasTypedef(btf: Btf, id: BtfTypeId, name: string): boolean {
  let type = btf.type(id);
  while (
    type.kind === 'const' ||
    type.kind === 'volatile' ||
    type.kind === 'restrict' ||
    type.kind === 'type_tag'
  ) {
    type = btf.type(type.type);
  }
  return type.kind === 'typedef' && type.name === name;
}

function isContext({ btf, progType }: ArgQuery, pointee: BtfTypeId): boolean {
  if (progType === 'kprobe' && hasTypedef(btf, pointee, USER_REGS)) return true;
  const type = resolveType(btf, pointee);
  if (type.kind !== 'struct' && type.kind !== 'union') return false;
  // The typedef's name will do for a struct too.
  return type.name === CONTEXTS[progType] || (progType === 'kprobe' && type.name === USER_REGS);
}

/** Whether a parameter tagged as the context has a type that a context may be written as. */
function mayBeContext(query: ArgQuery, pointee: BtfTypeId): boolean {
  const { btf, progType, attach, index, log } = query;
  if ((progType === 'kprobe' || progType === 'perf_event') && hasTypedef(btf, pointee, USER_REGS))
    return true;
  const type = resolveType(btf, pointee);
  if (type.kind === 'void') return true;
  const name = 'name' in type ? String(type.name) : '';
  if (name === '') {
    log(`arg#${index} type doesn't have a name`);
    return false;
  }
  const struct = type.kind === 'struct' || type.kind === 'union';
  const u64 = type.kind === 'int' && type.size === 8;
  switch (progType) {
    case 'kprobe':
    case 'perf_event':
      if (struct && name === 'pt_regs') return true;
      break;
    case 'raw_tracepoint':
    case 'raw_tracepoint_writable':
    case 'lsm':
    case 'struct_ops':
      if (u64) return true;
      break;
    case 'tracing':
      if (attach === 'trace_iter' ? struct && name.startsWith('bpf_iter__') : u64) return true;
      if (attach === 'trace_raw_tp' && struct && name === 'bpf_raw_tracepoint_args') return true;
      break;
    case 'tracepoint':
    case 'syscall':
    case 'ext':
      return true;
    default:
  }
  const expected = CONTEXTS[progType];
  if (expected === undefined) {
    log(`arg#${index} should be void pointer`);
    return false;
  }
  if (!struct || name !== expected) {
    log(`arg#${index} should be \`struct ${expected} *\``);
    return false;
  }
  return true;
}

const KIND_NAMES: Readonly<Record<string, string>> = { void: 'UNKNOWN' };

/** A kind as the kernel's messages spell it. */
export function kindName(type: BtfType): string {
  return KIND_NAMES[type.kind] ?? type.kind.toUpperCase();
}
