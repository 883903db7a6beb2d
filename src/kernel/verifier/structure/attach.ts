/** What the program says it will attach to: that it exists, is of the right kind and takes such programs. */
import { type Btf, type BtfType, type BtfTypeId, resolveType } from '../../../btf/index.ts';
import { ATTACH_TYPES } from '../../../sys/attach-types.ts';
import { PROG_LOAD_FLAGS } from '../../../sys/flags.ts';
import type { AttachType } from '../../../sys/tables.ts';
import { PROGRAMS } from '../../programs/index.ts';
import { isGplCompatible } from '../license.ts';
import type { RejectCode, Verdict } from '../rejection.ts';
import type { Draft } from './draft.ts';
import { DISABLED_LSM_HOOKS, LSM_PREFIX, SLEEPABLE_LSM_HOOKS } from './hooks.ts';

const TRACEPOINT_PREFIX = 'btf_trace_';
const ITER_PREFIX = 'bpf_iter_';
/** Struct that the kernel wraps an operations struct in when programs may implement it. */
const STRUCT_OPS_PREFIX = 'bpf_struct_ops_';

/** Members that are called where no program can run. @see net/ipv4/bpf_tcp_ca.c */
const UNSUPPORTED_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  tcp_congestion_ops: ['get_info'],
};

/** Members at which programs may sleep, for structs that let not all of them. @see net/bpf/bpf_dummy_struct_ops.c */
const SLEEPABLE_MEMBERS: Readonly<Record<string, readonly string[]>> = { bpf_dummy_ops: ['test_sleepable'] };

/** Kernel functions that tracing programs may not attach to, since programs themselves run through them. */
const DENIED: ReadonlySet<string> = new Set([
  'migrate_disable',
  'migrate_enable',
  'rcu_read_unlock_strict',
  'preempt_count_add',
  'preempt_count_sub',
  '__rcu_read_lock',
  '__rcu_read_unlock',
]);

function refuse(problem: string, reason: string, errno?: 'ENOTSUPP' | 'EACCES', code?: RejectCode): Verdict {
  return { code: code ?? 'bad-attach-target', insn: 0, problem, reason, ...(errno && { errno }) };
}

export function checkAttachTarget(draft: Draft): Verdict {
  const { type, flags, expectedAttachType } = draft.input;
  const sleeps = (flags & PROG_LOAD_FLAGS.BPF_F_SLEEPABLE) !== 0;
  const { sleepable } = PROGRAMS[type];
  if (sleepable === 'must') {
    if (sleeps) return undefined;
    return refuse('Syscall programs can only be sleepable', 'the load must have the flag BPF_F_SLEEPABLE');
  }
  if (sleeps && !maySleep(sleepable, expectedAttachType)) {
    return refuse(
      'Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable',
      `a ${type} program runs where nothing may sleep, and the load has the flag BPF_F_SLEEPABLE`,
    );
  }
  switch (type) {
    case 'struct_ops':
      return checkStructOps(draft);
    case 'tracing':
    case 'lsm':
      return checkFunction(draft, sleeps);
    case 'ext':
      return checkExtension(draft);
    default:
      return undefined;
  }
}

function maySleep(
  sleepable: true | readonly AttachType[] | undefined,
  attach: AttachType | undefined,
): boolean {
  return sleepable === true || (attach !== undefined && sleepable?.includes(attach) === true);
}

function checkStructOps(draft: Draft): Verdict {
  const { input, environment, subprograms } = draft;
  if (!isGplCompatible(input.license)) {
    return refuse(
      'struct ops programs must have a GPL compatible license',
      `the program's license is "${input.license}"`,
      undefined,
      'gpl-only',
    );
  }
  const id = input.attachTarget?.btfId ?? 0;
  const btf = input.attachTarget?.btf ?? environment.kernelBtf;
  const type = btf && typeAt(btf, id);
  const known =
    type?.kind === 'struct' && btf?.find(`${STRUCT_OPS_PREFIX}${type.name}`, 'struct') !== undefined;
  if (btf === undefined || type?.kind !== 'struct' || !known) {
    return refuse(
      `attach_btf_id ${id} is not a supported struct`,
      'programs can implement only the operations structs that the kernel registers for it',
      'ENOTSUPP',
    );
  }
  const index = input.expectedAttachType === undefined ? 0 : ATTACH_TYPES[input.expectedAttachType].id;
  const member = type.members[index];
  if (member === undefined) {
    return refuse(
      `attach to invalid member idx ${index} of struct ${type.name}`,
      `the struct has ${type.members.length} members`,
    );
  }
  if (functionOf(btf, member.type) === undefined) {
    return refuse(
      `attach to invalid member ${member.name}(@idx ${index}) of struct ${type.name}`,
      'the member is no pointer to a function',
    );
  }
  if (UNSUPPORTED_MEMBERS[type.name]?.includes(member.name)) {
    return refuse(
      `attach to unsupported member ${member.name} of struct ${type.name}`,
      'the kernel does not call programs for this member',
      'ENOTSUPP',
    );
  }
  const sleeps = (input.flags & PROG_LOAD_FLAGS.BPF_F_SLEEPABLE) !== 0;
  const may = SLEEPABLE_MEMBERS[type.name];
  if (sleeps && may !== undefined && !may.includes(member.name)) {
    return refuse(
      `attach to unsupported member ${member.name} of struct ${type.name}`,
      'the kernel calls this member where nothing may sleep, and the load has the flag BPF_F_SLEEPABLE',
    );
  }
  const stub = btf.find(`${type.name}__${member.name}`, 'func');
  const holds = stub === undefined ? [] : parameterNames(btf, stub);
  if (holds.some((param) => param.endsWith('__ref')) && subprograms.some(({ hasTailCall }) => hasTailCall)) {
    return refuse(
      'program with __ref argument cannot tail call',
      `${member.name}() gets an object that it must give back, and the target of a tail call does not know of it`,
    );
  }
  return undefined;
}

function typeAt(btf: Btf, id: number): BtfType | undefined {
  return id > 0 && id < btf.length ? btf.type(id as BtfTypeId) : undefined;
}

/** The prototype behind a pointer to a function. */
function functionOf(btf: Btf, id: BtfTypeId): BtfType | undefined {
  const pointer = resolveType(btf, id);
  if (pointer.kind !== 'ptr') return undefined;
  const proto = resolveType(btf, pointer.type);
  return proto.kind === 'func_proto' ? proto : undefined;
}

function parameterNames(btf: Btf, func: BtfTypeId): readonly string[] {
  const proto = btf.type(btf.typeOf(func, 'func').type);
  return proto.kind === 'func_proto' ? proto.params.map(({ name }) => name) : [];
}

/** A kernel function, tracepoint or iterator, or a function of another program, that a tracing or LSM program runs at. */
function checkFunction(draft: Draft, sleeps: boolean): Verdict {
  const { input, environment } = draft;
  const { attachTarget, expectedAttachType: attach, type } = input;
  const id = attachTarget?.btfId ?? 0;
  if (id === 0) return refuse('Tracing programs must provide btf_id', 'the load names no target');
  const btf = attachTarget?.btf ?? environment.kernelBtf;
  const target = btf && typeAt(btf, id);
  if (btf === undefined || target === undefined) {
    return refuse(`attach_btf_id ${id} is invalid`, 'there is no type with that id');
  }
  const name = 'name' in target ? String(target.name) : '';
  if (name === '')
    return refuse(`attach_btf_id ${id} doesn't have a name`, 'only what has a name is attached to');
  if (attach === 'trace_raw_tp') {
    if (target.kind !== 'typedef') {
      return refuse(
        `attach_btf_id ${id} is not a typedef`,
        `tracepoints are typedefs named ${TRACEPOINT_PREFIX}*`,
      );
    }
    if (!name.startsWith(TRACEPOINT_PREFIX)) {
      return refuse(
        `attach_btf_id ${id} points to wrong type name ${name}`,
        `tracepoints are typedefs named ${TRACEPOINT_PREFIX}*`,
      );
    }
    return undefined;
  }
  if (target.kind !== 'func')
    return refuse(`attach_btf_id ${id} is not a function`, `it is a ${target.kind}`);
  if (attach === 'trace_iter') {
    if (name.startsWith(ITER_PREFIX)) return undefined;
    return refuse('', `${name} is no kernel iterator`);
  }
  if (type === 'lsm') return checkHook(draft, id, name, sleeps);
  if (DENIED.has(name)) {
    return refuse(
      `Attaching tracing programs to function '${name}' is rejected.`,
      'the kernel itself goes through this function when it runs a program',
    );
  }
  return undefined;
}

function checkHook({ input }: Draft, id: number, name: string, sleeps: boolean): Verdict {
  const hook = name.startsWith(LSM_PREFIX) ? name.slice(LSM_PREFIX.length) : undefined;
  if (sleeps && (hook === undefined || !SLEEPABLE_LSM_HOOKS.has(hook))) {
    return refuse(`${name} is not sleepable`, 'the hook is called where nothing may sleep');
  }
  if (!isGplCompatible(input.license)) {
    return refuse(
      'LSM programs must have a GPL compatible license',
      `the program's license is "${input.license}"`,
      undefined,
      'gpl-only',
    );
  }
  if (hook === undefined) {
    return refuse(`attach_btf_id ${id} points to wrong type name ${name}`, 'it is no security hook');
  }
  if (DISABLED_LSM_HOOKS.has(hook)) {
    return refuse(`attach_btf_id ${id} points to disabled hook ${name}`, 'programs may not decide this');
  }
  return undefined;
}

/** A function of another program that this one replaces. */
function checkExtension({ input }: Draft): Verdict {
  const { attachTarget } = input;
  const id = attachTarget?.btfId ?? 0;
  if (id === 0)
    return refuse('Tracing programs must provide btf_id', 'the load names no function to replace');
  const target = attachTarget?.prog;
  if (target === undefined) {
    return refuse(
      'Cannot replace kernel functions',
      'an extension replaces a function of a program, named by its fd',
    );
  }
  const btf = target.input.btf;
  if (btf === undefined) {
    return refuse(
      'Tracing program can only be attached to another program annotated with BTF',
      'only BTF says what the function that is replaced takes',
    );
  }
  const type = typeAt(btf, id);
  if (type === undefined) return refuse(`attach_btf_id ${id} is invalid`, 'there is no type with that id');
  const name = 'name' in type ? String(type.name) : '';
  const sub = type.kind === 'func' ? target.subprograms.findIndex((one) => one.name === name) : -1;
  if (type.kind !== 'func' || sub < 0) {
    return refuse(`Subprog ${name} doesn't exist`, 'the program to extend has no such function');
  }
  if (type.linkage !== 'global') {
    return refuse(
      'Cannot replace static functions',
      `${name}() is static: its callers may rely on what it does`,
    );
  }
  if (target.input.type === 'ext') {
    return refuse('Cannot recursively attach', 'the program to extend is an extension itself');
  }
  const { expectedAttachType } = target.input;
  if (expectedAttachType === 'trace_fentry' || expectedAttachType === 'trace_fexit') {
    return refuse(
      'Cannot extend fentry/fexit',
      'tracing programs can attach to extensions, which must not come back',
    );
  }
  return undefined;
}
