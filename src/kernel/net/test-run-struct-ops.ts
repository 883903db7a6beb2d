/**
 * `BPF_PROG_TEST_RUN` of struct_ops programs. Only those for `bpf_dummy_ops`, the struct that Linux has for it, can be run:
 * their arguments are the context, of which the first one is an address in user space.
 *
 * @see net/bpf/bpf_dummy_struct_ops.c
 */
import { type Btf, type BtfTypeId, type BtfTypeOf, resolveType } from '../../btf/index.ts';
import { attachTypeId } from '../../sys/attach-types.ts';
import type { Addr } from '../memory/index.ts';
import { PlainContext } from './plain-context.ts';
import { type Outcome, type Request, refuse } from './test-run.ts';
import { nothing, runOn } from './test-run-context.ts';

const STRUCT = 'bpf_dummy_ops';
/** `struct bpf_dummy_ops_state`: a number. */
const STATE_BYTES = 4;
const WORD = 8;

interface Member {
  readonly name: string;
  readonly proto: BtfTypeOf<'func_proto'>;
}

/** The member of the struct that the program implements, and the function's type. */
function memberOf({ program }: Request): { readonly btf: Btf; readonly member: Member } {
  const { kernelBtf: btf, attachBtfId, expectedAttachType } = program.facts;
  const struct = btf?.find(STRUCT, 'struct');
  if (!btf || struct === undefined) throw refuse(program, 'EINVAL', `the kernel has no struct ${STRUCT}`);
  if (attachBtfId !== struct) {
    throw refuse(program, 'EOPNOTSUPP', `only functions of ${STRUCT} can be run so`);
  }
  const index = expectedAttachType === undefined ? 0 : attachTypeId(expectedAttachType);
  const type = btf.type(struct);
  const member = type.kind === 'struct' ? type.members[index] : undefined;
  const pointer = member && resolveType(btf, member.type);
  const proto = pointer?.kind === 'ptr' ? btf.type(pointer.type) : undefined;
  if (!member || proto?.kind !== 'func_proto') {
    throw refuse(program, 'EINVAL', `${STRUCT} has no function ${index}`);
  }
  return { btf, member: { name: member.name, proto } };
}

/** Whether an argument may be null: its name in the kernel's own function says so. */
function mayBeNull(btf: Btf, member: Member, index: number): boolean {
  const id = btf.find(`${STRUCT}__${member.name}`, 'func');
  const func = id === undefined ? undefined : btf.type(id);
  const proto = func?.kind === 'func' ? btf.type(func.type) : undefined;
  return proto?.kind === 'func_proto' && proto.params[index]?.name.endsWith('__nullable') === true;
}

const isPointer = (btf: Btf, id: BtfTypeId): boolean => resolveType(btf, id).kind === 'ptr';

export function runStructOps(request: Request): Outcome {
  const { program, attr, kernel } = request;
  const { btf, member } = memberOf(request);
  const { params } = member.proto;
  const given = attr.ctx_in ?? new Uint8Array();
  if (given.length !== WORD * params.length) {
    const reason = `${member.name} takes ${params.length} arguments of 8 bytes, and the context has ${given.length}`;
    throw refuse(program, 'EINVAL', reason);
  }
  const words = new BigUint64Array(given.slice().buffer);
  const user = words[0] ?? 0n;
  const found = user === 0n ? undefined : kernel.task.userMemory?.(user, STATE_BYTES);
  if (user !== 0n && (found === undefined || found.length < STATE_BYTES)) {
    throw refuse(program, 'EFAULT', `the task has no memory at 0x${user.toString(16)}`);
  }
  const wrong = params.findIndex(
    ({ type }, i) => words[i] === 0n && isPointer(btf, type) && !mayBeNull(btf, member, i),
  );
  if (wrong >= 0) throw refuse(program, 'EINVAL', `argument ${wrong} of ${member.name} may not be null`);
  const { memory } = kernel.machine;
  let state: Addr | undefined;
  if (found) {
    state = memory.allocate(STATE_BYTES, { kind: 'mem', owner: `${STRUCT}_state`, access: 'rw' });
    memory.write(state, found.subarray(0, STATE_BYTES));
    words[0] = BigInt(state);
  }
  const context = new PlainContext(memory, new Uint8Array(words.buffer));
  try {
    const retval = runOn(request, context);
    // What user space shows of its memory is that memory.
    if (found && state !== undefined) found.set(memory.read(state, STATE_BYTES));
    return nothing(retval);
  } finally {
    context.close();
    if (state !== undefined) memory.free(state);
  }
}
