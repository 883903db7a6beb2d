/** Instructions that load, store, or do both at once. */
import type { Insn } from '../../../isa/insn.ts';
import { checkMemAccess, SIGNED, STRICT } from './access.ts';
import { isSocket } from './access-socket.ts';
import type { Explorer } from './explorer.ts';
import { scalarReg } from './reg.ts';
import {
  baseType,
  MEM_RDONLY,
  NOT_INIT,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  PTR_UNTRUSTED,
  type RegType,
  regTypeName,
} from './reg-type.ts';
import { checkWritable, isPointer, readReg } from './regs.ts';

const UNKNOWN = scalarReg();

type Load = Extract<Insn, { kind: 'ldx' | 'load_acquire' }>;
type Store = Extract<Insn, { kind: 'st' | 'stx' | 'store_release' }>;
type Atomic = Extract<Insn, { kind: 'atomic' }>;

export function checkLoad(ex: Explorer, insn: Load): void {
  const { src, dst, off, size } = insn;
  const { type } = readReg(ex, src);
  const acquire = insn.kind === 'load_acquire';
  if (acquire && !allowsAtomics(type)) {
    refuseAtomic(ex, `BPF_ATOMIC loads from R${src} ${regTypeName(type)} is not allowed`);
  }
  checkWritable(ex, dst);
  checkMemAccess(ex, src, off, size, 'read', dst, acquire ? STRICT : insn.signed ? SIGNED : 0);
  noteType(ex, type, !acquire);
}

export function checkStore(ex: Explorer, insn: Store): void {
  const { dst, off, size } = insn;
  if (insn.kind === 'st') {
    const { type } = readReg(ex, dst);
    checkMemAccess(ex, dst, off, size, 'write', -1);
    noteType(ex, type, false);
    return;
  }
  readReg(ex, insn.src);
  const { type } = readReg(ex, dst);
  const release = insn.kind === 'store_release';
  checkMemAccess(ex, dst, off, size, 'write', insn.src, release ? STRICT : 0);
  noteType(ex, type, false);
  if (release && !allowsAtomics(type)) refuseAtomicStore(ex, dst, type);
}

export function checkAtomic(ex: Explorer, insn: Atomic): void {
  const { dst, src, off, size, op } = insn;
  const operand = readReg(ex, src);
  const { type } = readReg(ex, dst);
  if (op === 'cmpxchg' && isPointer(ex.caps.allowPtrLeaks, readReg(ex, 0))) refuseLeak(ex, 0);
  if (isPointer(ex.caps.allowPtrLeaks, operand)) refuseLeak(ex, src);
  if (!allowsAtomics(type)) refuseAtomicStore(ex, dst, type);
  const fetched = op === 'cmpxchg' ? 0 : insn.fetch ? src : -1;
  if (fetched >= 0) {
    checkWritable(ex, fetched);
    // The old register is gone, also where it is the one that points to the memory.
    ex.state.frame().regs[fetched] = UNKNOWN;
  }
  checkMemAccess(ex, dst, off, size, 'read', -1, STRICT);
  if (fetched >= 0) checkMemAccess(ex, dst, off, size, 'read', fetched, STRICT);
  noteType(ex, ex.state.frame().reg(dst).type, false);
  checkMemAccess(ex, dst, off, size, 'write', -1, STRICT);
}

function refuseLeak(ex: Explorer, regno: number): never {
  ex.refuse('pointer-leak', `R${regno} leaks addr into mem`, {
    reason: `r${regno} holds an address of the kernel, which the caller must not learn`,
  });
}

function refuseAtomicStore(ex: Explorer, regno: number, type: RegType): never {
  refuseAtomic(ex, `BPF_ATOMIC stores into R${regno} ${regTypeName(type)} is not allowed`);
}

function refuseAtomic(ex: Explorer, problem: string): never {
  ex.refuse('atomic-target', problem, {
    reason: 'atomic instructions work on the stack, on map values and on memory of the kernel’s allocators',
  });
}

/** Whether atomic instructions may go through a pointer of the type. */
function allowsAtomics(type: RegType): boolean {
  return (
    type !== PTR_TO_CTX &&
    type !== PTR_TO_PACKET &&
    type !== PTR_TO_PACKET_META &&
    type !== PTR_TO_FLOW_KEYS &&
    !isSocket(type)
  );
}

/** Types of which an access is rewritten in its own way, so that an instruction can't have another as well. */
function isRewritten(type: RegType): boolean {
  switch (baseType(type)) {
    case PTR_TO_CTX:
    case PTR_TO_SOCKET:
    case PTR_TO_SOCK_COMMON:
    case PTR_TO_TCP_SOCK:
    case PTR_TO_XDP_SOCK:
    case PTR_TO_BTF_ID:
    case PTR_TO_ARENA:
      return true;
    default:
      return false;
  }
}

function isObject(type: RegType): boolean {
  return baseType(type) === PTR_TO_MEM || baseType(type) === PTR_TO_BTF_ID;
}

/** Remembers what the instruction went through: it must be of one kind on every path. */
function noteType(ex: Explorer, type: RegType, mergeable: boolean): void {
  const aux = ex.aux[ex.insnIdx]!;
  const before = aux.ptrType;
  if (before === undefined || before === NOT_INIT) {
    aux.ptrType = type;
    return;
  }
  if (before === type || !(isRewritten(type) || isRewritten(before))) return;
  if (mergeable && isObject(type) && isObject(before)) {
    // Read with instructions that survive a fault, which is safe for all of them.
    const memory = baseType(type) === PTR_TO_MEM || baseType(before) === PTR_TO_MEM;
    aux.ptrType = (memory ? PTR_TO_MEM : PTR_TO_BTF_ID) | ((type | before) & (PTR_UNTRUSTED | MEM_RDONLY));
    return;
  }
  ex.refuse('pointer-type-mismatch', 'same insn cannot be used with different pointers', {
    reason: `the register is of type ${regTypeName(before)} on another path and ${regTypeName(type)} on this one`,
    hint: 'give each path a load or store of its own',
  });
}
