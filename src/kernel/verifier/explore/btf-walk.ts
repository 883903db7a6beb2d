/**
 * What lies at an offset of a kernel object: a number, a pointer to another object, or nothing that a program may
 * read. Structs in structs, arrays, unions and bitfields are looked through.
 *
 * @see kernel/bpf/btf.c, btf_struct_access
 */
import {
  type Btf,
  type BtfComposite,
  type BtfType,
  type BtfTypeId,
  resolve,
  resolveType,
  trySizeOf,
} from '../../../btf/index.ts';
import { kindName } from './func-args.ts';
import { MEM_PERCPU, MEM_RCU, MEM_USER, PTR_UNTRUSTED } from './reg-type.ts';

/** What a load of the place yields. */
export type Walked =
  | { readonly kind: 'scalar' }
  /** A pointer to an object of the kernel. */
  | { readonly kind: 'object'; readonly btfId: BtfTypeId; readonly flags: number; readonly field: string }
  /** A pointer to something else: it may be read, and reads that fault yield zero. */
  | { readonly kind: 'memory' }
  | { readonly kind: 'refused'; readonly problem: string; readonly errno: 'EACCES' | 'EINVAL' | 'EFAULT' };

const SCALAR: Walked = { kind: 'scalar' };
const MEMORY: Walked = { kind: 'memory' };
const POINTER_TAGS: Readonly<Record<string, number>> = { user: MEM_USER, percpu: MEM_PERCPU, rcu: MEM_RCU };

function refused(problem: string, errno: 'EACCES' | 'EINVAL' | 'EFAULT' = 'EACCES'): Walked {
  return { kind: 'refused', problem, errno };
}

function nameOf(type: BtfType): string {
  return 'name' in type ? String(type.name) : '';
}

function isStruct(type: BtfType): type is BtfComposite {
  return type.kind === 'struct' || type.kind === 'union';
}

/** A member with its array taken apart. */
interface Element {
  readonly id: BtfTypeId;
  /** Bytes of one element. */
  readonly size: number;
  /** Bytes of all. */
  readonly total: number;
  readonly array: boolean;
}

function elementOf(btf: Btf, member: BtfTypeId): Element | undefined {
  const total = trySizeOf(btf, member);
  if (total === undefined) return undefined;
  let id = resolve(btf, member);
  let count = 1;
  let array = false;
  for (let type = btf.type(id); type.kind === 'array'; type = btf.type(id)) {
    array = true;
    count *= type.length;
    id = resolve(btf, type.type);
  }
  return { id, total, size: count === 0 ? 0 : total / count, array };
}

const label = ({ name }: BtfComposite): string => (name === '' ? '(anon)' : name);

/**
 * @param start the object's type
 * @param offset bytes from its start
 * @param flexible the last member may be an array without a size
 */
export function walkStruct(
  btf: Btf,
  start: BtfTypeId,
  offset: number,
  size: number,
  flexible: boolean,
): Walked {
  let struct = resolveType(btf, start);
  let off = offset;
  let untrusted = false;
  for (;;) {
    if (!isStruct(struct)) return refused(`Type '${nameOf(struct)}' is not a struct`, 'EINVAL');
    if (struct.kind === 'union' && struct.members.length !== 1) untrusted = true;
    if (off + size > struct.size) {
      const behind = flexible ? flexibleElement(btf, struct, off) : undefined;
      if (behind === undefined) {
        return refused(`access beyond struct ${label(struct)} at off ${off} size ${size}`);
      }
      if (behind === 'scalar') return SCALAR;
      off = behind.off;
      struct = behind.struct;
      continue;
    }
    const found = walkMembers(btf, struct, off, size, untrusted);
    if ('kind' in found) return found;
    struct = resolveType(btf, found.id);
    off = found.off;
  }
}

function flexibleElement(
  btf: Btf,
  struct: BtfComposite,
  off: number,
): { readonly struct: BtfComposite; readonly off: number } | 'scalar' | undefined {
  const last = struct.members.at(-1);
  const array = last && resolveType(btf, last.type);
  if (last === undefined || array?.kind !== 'array' || array.length !== 0) return undefined;
  const at = last.bitOffset >> 3;
  if (off < at) return undefined;
  const element = resolveType(btf, array.type);
  if (element.kind === 'int') return 'scalar';
  if (!isStruct(element) || element.size === 0) return undefined;
  return { struct: element, off: (off - at) % element.size };
}

function walkMembers(
  btf: Btf,
  struct: BtfComposite,
  off: number,
  size: number,
  untrusted: boolean,
): Walked | { readonly id: BtfTypeId; readonly off: number } {
  for (const member of struct.members) {
    const start = member.bitOffset >> 3;
    if (off + size <= start) break;
    if (member.bitSize !== 0) {
      if (off <= start && Math.ceil((member.bitOffset + member.bitSize) / 8) <= off + size) return SCALAR;
      continue;
    }
    if (off < start) break;
    const element = elementOf(btf, member.type);
    if (element === undefined) return refused(`field ${member.name} doesn't have size`, 'EFAULT');
    const end = start + element.total;
    if (off >= end) continue;
    const at = element.array ? start + Math.floor((off - start) / element.size) * element.size : start;
    const type = btf.type(element.id);
    if (isStruct(type)) return { id: element.id, off: off - at };
    if (type.kind === 'ptr') {
      if (element.size !== size || off !== at) {
        return refused(
          `cannot access ptr member ${member.name} with moff ${at} in struct ${label(struct)} with off ${off} size ${size}`,
        );
      }
      return pointee(btf, type.type, member.name, untrusted);
    }
    // Numbers next to each other, as in skb->cb, may be read as one.
    if (off + size > end && !untrusted) {
      return refused(
        `access beyond the end of member ${member.name} (mend:${end}) in struct ${label(struct)} with off ${off} size ${size}`,
      );
    }
    return SCALAR;
  }
  return refused(`struct ${label(struct)} doesn't have field at offset ${off}`, 'EINVAL');
}

function pointee(btf: Btf, target: BtfTypeId, field: string, untrusted: boolean): Walked {
  const outermost = btf.type(target);
  const tag = outermost.kind === 'type_tag' && !outermost.attribute ? (POINTER_TAGS[outermost.name] ?? 0) : 0;
  const btfId = resolve(btf, target);
  if (!isStruct(btf.type(btfId))) return MEMORY;
  return { kind: 'object', btfId, flags: tag | (untrusted ? PTR_UNTRUSTED : 0), field };
}

/** `STRUCT 'task_struct'`, as the log names a type. */
export function typeLabel(type: BtfType): string {
  return `${kindName(type)} '${nameOf(type)}'`;
}
