/**
 * What Linux demands of BTF beyond what reading it checks: names, reserved fields, which kind may refer to which, members
 * inside their struct. A BTF that passes is one that BTF_LOAD accepts. Not checked: that a chain of types is at most 32
 * deep (reading allows 256), and what fields like `bpf_spin_lock` ask of the structs that have them.
 * @see kernel/bpf/btf.c of Linux for the rules, Documentation/bpf/btf.rst for the format
 */
import type { Btf } from './btf.ts';
import { BTF_KINDS, type BtfKind, INT_BOOL, INT_CHAR, INT_SIGNED } from './kinds.ts';
import { resolve, trySizeOf } from './size.ts';
import type {
  BtfComposite,
  BtfDeclaredType,
  BtfInt,
  BtfMember,
  BtfType,
  BtfTypeId,
  BtfTypeOf,
} from './type.ts';

/** Why Linux would not load a BTF. */
export interface BtfRejection {
  /** The type; absent if it is the header. */
  readonly id?: BtfTypeId;
  /** The member, parameter, enumerator or variable, counted from 0. */
  readonly component?: number;
  /** Linux's words (`Invalid name`). */
  readonly problem: string;
}

/** Linux's bounds: of ids, of the string table, of the whole. */
const MAX_TYPE = 0xfffff;
const MAX_NAME_OFFSET = 0xffffff;
const MAX_BYTES = 16 * 1024 * 1024;
/** KSYM_NAME_LEN. */
const MAX_NAME = 512;

/** The first reason, in Linux's order, why BTF_LOAD would reject this BTF. */
export function validateBtf(btf: Btf): BtfRejection | undefined {
  const header = headerProblem(btf);
  if (header !== undefined) return { problem: header };
  for (const id of btf.ids()) {
    const found = recordProblem(btf, id);
    if (found) return { id, ...found };
  }
  for (const id of btf.ids()) {
    if (!tagsFirst(btf, id)) return { id, problem: "Type tags don't precede modifiers" };
  }
  for (const id of btf.ids()) {
    const found = referenceProblem(btf, id);
    if (found) return { id, ...found };
  }
  return undefined;
}

type Found = Omit<BtfRejection, 'id'> | undefined;

function found(problem: string, component?: number): Found {
  return component === undefined ? { problem } : { problem, component };
}

function headerProblem(btf: Btf): string | undefined {
  const { length, types, strings, flags } = btf.header;
  if (btf.bytes.length > MAX_BYTES) return 'BTF is too large';
  if (btf.bytes.subarray(24, length).some((byte) => byte !== 0)) return 'Unsupported header';
  if (flags !== 0) return 'Unsupported flags';
  if (types.size === 0 && !btf.base) return 'No type found';
  if (types.offset !== length)
    return types.offset > length ? 'Unsupported section found' : 'Section overlap found';
  if (strings.offset !== types.offset + types.size || strings.offset + strings.size !== btf.bytes.length) {
    return 'Unsupported section found';
  }
  if (strings.size - 1 > MAX_NAME_OFFSET) return 'Invalid string section';
  if (btf.endId - 1 > MAX_TYPE) return 'Too many types';
  return undefined;
}

/** A C identifier, in which compilers also put dots. */
function isIdentifier(name: string): boolean {
  return name.length < MAX_NAME && /^[A-Za-z_.][A-Za-z0-9_.]*$/.test(name);
}

/** A section's name: printable. */
function isSectionName(name: string): boolean {
  return name.length < MAX_NAME && /^[\x20-\x7e]+$/.test(name);
}

/** Kinds whose records may have the flag bit. */
const FLAGGED: readonly BtfKind[] = ['struct', 'union', 'fwd', 'enum', 'enum64', 'decl_tag', 'type_tag'];
/** Kinds that count no elements in their info word. FUNC keeps its linkage there. */
const COUNTED: readonly BtfKind[] = ['struct', 'union', 'enum', 'enum64', 'func_proto', 'datasec', 'func'];

/** What the record of a type says, without looking at others. */
function recordProblem(btf: Btf, id: BtfTypeId): Found {
  const type = btf.type(id) as BtfDeclaredType;
  const at = btf.table.starts[id - btf.firstId]!;
  const info = btf.table.words[at + 1]!;
  const third = btf.table.words[at + 2]!;
  const named = btf.table.words[at] !== 0;
  if (!COUNTED.includes(type.kind) && (info & 0xffff) !== 0) return found('vlen != 0');
  if (!FLAGGED.includes(type.kind) && info >>> 31 !== 0) return found('Invalid btf_info kind_flag');
  if (BTF_KINDS[type.kind].third === 'type' && third > MAX_TYPE) return found('Invalid type_id');
  switch (type.kind) {
    case 'int':
      return intProblem(type, btf.table.words[at + 3]!);
    case 'ptr':
    case 'volatile':
    case 'const':
    case 'restrict':
      return named ? found('Invalid name') : undefined;
    case 'typedef':
      return isIdentifier(type.name) ? undefined : found('Invalid name');
    case 'type_tag':
      return type.name === '' ? found('Invalid name') : undefined;
    case 'array':
      if (named) return found('Invalid name');
      if (third !== 0) return found('size != 0');
      if (type.type === 0) return found('Invalid elem');
      return type.indexType === 0 ? found('Invalid index') : undefined;
    case 'struct':
    case 'union':
      return compositeProblem(btf, type, at);
    case 'fwd':
      if (third !== 0) return found('type != 0');
      return isIdentifier(type.name) ? undefined : found('Invalid name');
    case 'enum':
    case 'enum64': {
      if (![1, 2, 4, 8].includes(type.size)) return found('Unexpected size');
      if (named && !isIdentifier(type.name)) return found('Invalid name');
      const bad = type.values.findIndex(({ name }) => !isIdentifier(name));
      return bad < 0 ? undefined : found('Invalid name', bad);
    }
    case 'func':
      if (!isIdentifier(type.name)) return found('Invalid name');
      return type.linkage === 'extern' ? found('Invalid func linkage') : undefined;
    case 'func_proto':
      return named ? found('Invalid name') : undefined;
    case 'var':
      if (!isIdentifier(type.name)) return found('Invalid name');
      if (type.type === 0) return found('Invalid type_id');
      return type.linkage === 'extern' ? found('Linkage not supported') : undefined;
    case 'datasec':
      return datasecProblem(type);
    case 'float':
      return [2, 4, 8, 12, 16].includes(type.size) ? undefined : found('Invalid type_size');
    case 'decl_tag':
      if (type.name === '') return found('Invalid value');
      return type.component < -1 ? found('Invalid component_idx') : undefined;
  }
}

function intProblem(type: BtfInt, data: number): Found {
  if (data & 0xf0000000) return found('Invalid int_data');
  const bits = type.bits + type.bitOffset;
  if (bits > 128) return found('nr_bits exceeds 128');
  if (Math.ceil(bits / 8) > type.size) return found('nr_bits exceeds type_size');
  return [0, INT_SIGNED, INT_CHAR, INT_BOOL].includes(type.encoding)
    ? undefined
    : found('Unsupported encoding');
}

function compositeProblem(btf: Btf, type: BtfComposite, at: number): Found {
  if (btf.table.words[at] !== 0 && !isIdentifier(type.name)) return found('Invalid name');
  let last = 0;
  for (const [i, member] of type.members.entries()) {
    const nameOffset = btf.table.words[at + 3 + i * 3]!;
    if (nameOffset !== 0 && !isIdentifier(member.name)) return found('Invalid name', i);
    if (member.type === 0) return found('Invalid type_id', i);
    if (type.kind === 'union' && member.bitOffset !== 0) return found('Invalid member bits_offset', i);
    if (member.bitOffset < last) return found('Invalid member bits_offset', i);
    if (Math.ceil(member.bitOffset / 8) > type.size) {
      return found('Member bits_offset exceeds its struct size', i);
    }
    last = member.bitOffset;
  }
  return undefined;
}

function datasecProblem(type: BtfTypeOf<'datasec'>): Found {
  if (type.size === 0) return found('size == 0');
  if (!isSectionName(type.name)) return found('Invalid name');
  let end = 0;
  let sum = 0;
  for (const [i, variable] of type.vars.entries()) {
    if (variable.type === 0) return found('Invalid type_id', i);
    if (variable.offset < end || variable.offset >= type.size) return found('Invalid offset', i);
    if (variable.size === 0 || variable.size > type.size) return found('Invalid size', i);
    end = variable.offset + variable.size;
    if (end > type.size) return found('Invalid offset+size', i);
    sum += variable.size;
  }
  return sum > type.size ? found('Invalid btf_info size') : undefined;
}

/** In a chain of modifiers the type tags stand first. */
function tagsFirst(btf: Btf, id: BtfTypeId): boolean {
  let type = btf.type(id);
  let tags = true;
  // A pointer's tags are those of what it points to.
  if (type.kind === 'ptr') type = btf.type(type.type);
  while (
    type.kind === 'typedef' ||
    type.kind === 'volatile' ||
    type.kind === 'const' ||
    type.kind === 'restrict' ||
    type.kind === 'type_tag'
  ) {
    if (type.kind !== 'type_tag') tags = false;
    else if (!tags) return false;
    type = btf.type(type.type);
  }
  return true;
}

/** Kinds that are about a type rather than types of values. */
const NOT_TYPES: readonly BtfType['kind'][] = ['var', 'decl_tag', 'datasec'];
const NO_SIZE: readonly BtfType['kind'][] = ['void', 'fwd', 'func', 'func_proto', ...NOT_TYPES];

/** A type that a value can have, behind its modifiers. */
function hasSize(btf: Btf, id: BtfTypeId): boolean {
  return !NO_SIZE.includes(btf.kind(resolve(btf, id)));
}

/** What is wrong with the types that a type refers to. */
function referenceProblem(btf: Btf, id: BtfTypeId): Found {
  const type = btf.type(id) as BtfDeclaredType;
  switch (type.kind) {
    case 'ptr':
    case 'typedef':
    case 'volatile':
    case 'const':
    case 'restrict':
    case 'type_tag': {
      if (NOT_TYPES.includes(btf.kind(type.type))) return found('Invalid type_id');
      const end = resolve(btf, type.type);
      const kind = btf.kind(end);
      if (NOT_TYPES.includes(kind)) return found('Invalid type_id');
      // Linux takes a function for its prototype, unless a pointer to it comes first.
      const early = type.kind === 'ptr' && kind === 'func' && end > id && type.type >= id;
      return early ? found('Invalid type_id') : undefined;
    }
    case 'array': {
      const index = btf.type(resolve(btf, type.indexType));
      if (NOT_TYPES.includes(btf.kind(type.indexType)) || !isRegularInt(index)) return found('Invalid index');
      const element = resolve(btf, type.type);
      if (!hasSize(btf, element)) return found('Invalid elem');
      const elementType = btf.type(element);
      if (elementType.kind === 'int' && !isRegularInt(elementType)) return found('Invalid array of int');
      return (trySizeOf(btf, id) ?? 0) > 0xffffffff ? found('Array size overflows u32_max') : undefined;
    }
    case 'struct':
    case 'union':
      for (const [i, member] of type.members.entries()) {
        if (!hasSize(btf, member.type)) return found('Invalid member', i);
        const problem = memberProblem(btf, type, member);
        if (problem !== undefined) return found(problem, i);
      }
      return undefined;
    case 'func': {
      const proto = btf.type(type.type);
      if (proto.kind !== 'func_proto') return found('Invalid type_id');
      const bad = proto.params.findIndex((param) => param.name === '' && param.type !== 0);
      return bad < 0 ? undefined : found(`Invalid arg#${bad + 1}`, bad);
    }
    case 'func_proto':
      return protoProblem(btf, type, id);
    case 'var':
      if (NOT_TYPES.includes(btf.kind(type.type))) return found('Invalid type_id');
      return hasSize(btf, type.type) ? undefined : found('Invalid type_id');
    case 'datasec':
      for (const [i, variable] of type.vars.entries()) {
        if (btf.kind(variable.type) !== 'var') return found('Not a VAR kind member', i);
        const size = trySizeOf(btf, variable.type);
        if (size === undefined) return found('Invalid type', i);
        if (variable.size < size) return found('Invalid size', i);
      }
      return undefined;
    case 'decl_tag':
      return declTagProblem(btf, type);
    default:
      return undefined;
  }
}

function isRegularInt(type: BtfType): boolean {
  return type.kind === 'int' && type.bitOffset === 0 && [8, 16, 32, 64, 128].includes(type.bits);
}

/** Whether a member fits its struct, by its type. */
function memberProblem(btf: Btf, owner: BtfComposite, member: BtfMember): string | undefined {
  const type = btf.type(resolve(btf, member.type));
  const start = member.bitOffset;
  const startByte = Math.floor(start / 8);
  const exceeds = (bits: number): boolean => startByte > owner.size || startByte * 8 + bits > owner.size * 8;
  switch (type.kind) {
    case 'int': {
      if (!owner.bitfields) {
        if (type.bitOffset + type.bits + (start % 8) > 128) return 'nr_copy_bits exceeds 128';
        return start + type.bitOffset + type.bits > owner.size * 8 ? 'Member exceeds struct_size' : undefined;
      }
      if (!isRegularInt(type)) return 'Invalid member base type';
      if (member.bitSize > type.bits) return 'Invalid member bitfield_size';
      if (member.bitSize === 0 && start % 8 !== 0) return 'Invalid member offset';
      const bits = member.bitSize > 0 ? member.bitSize : type.bits;
      if ((start % 8) + bits > 128) return 'nr_copy_bits exceeds 128';
      return exceeds(Math.ceil(((start % 8) + bits) / 8) * 8) ? 'Member exceeds struct_size' : undefined;
    }
    case 'enum':
    case 'enum64': {
      if (!owner.bitfields) {
        if (start % 8 !== 0) return 'Member is not byte aligned';
        return exceeds(type.size * 8) ? 'Member exceeds struct_size' : undefined;
      }
      if (member.bitSize === 0 && start % 8 !== 0) return 'Member is not byte aligned';
      if (member.bitSize > 32) return 'Invalid member bitfield_size';
      const bits = member.bitSize > 0 ? member.bitSize : 32;
      return exceeds(Math.ceil(((start % 8) + bits) / 8) * 8) ? 'Member exceeds struct_size' : undefined;
    }
    default: {
      if (member.bitSize > 0) return 'Invalid member bitfield_size';
      if (start % 8 !== 0) return 'Member is not byte aligned';
      const size = trySizeOf(btf, member.type) ?? 0;
      if (type.kind === 'float' && startByte % Math.min(8, type.size) !== 0)
        return 'Member is not properly aligned';
      return exceeds(size * 8) ? 'Member exceeds struct_size' : undefined;
    }
  }
}

function protoProblem(btf: Btf, type: BtfTypeOf<'func_proto'>, id: BtfTypeId): Found {
  const at = btf.table.starts[id - btf.firstId]!;
  if (type.returns !== 0) {
    if (NOT_TYPES.includes(btf.kind(type.returns))) return found('Invalid return type');
    if (btf.kind(resolve(btf, type.returns)) !== 'void' && !hasSize(btf, type.returns)) {
      return found('Invalid return type');
    }
  }
  const last = type.params.length - 1;
  for (const [i, param] of type.params.entries()) {
    // A name may be an empty string elsewhere in the table than at its start: that is a name, and no valid one.
    const named = btf.table.words[at + 3 + i * 2] !== 0;
    if (param.type === 0) {
      if (i !== last || named) return found(`Invalid arg#${i + 1}`, i);
      continue;
    }
    if (named && !isIdentifier(param.name)) return found(`Invalid arg#${i + 1}`, i);
    if (NOT_TYPES.includes(btf.kind(param.type)) || !hasSize(btf, param.type))
      return found(`Invalid arg#${i + 1}`, i);
  }
  return undefined;
}

function declTagProblem(btf: Btf, type: BtfTypeOf<'decl_tag'>): Found {
  const target = btf.type(type.type);
  let components: number;
  switch (target.kind) {
    case 'var':
    case 'typedef':
      components = 0;
      break;
    case 'struct':
    case 'union':
      components = target.members.length;
      break;
    case 'func': {
      const proto = btf.type(target.type);
      components = proto.kind === 'func_proto' ? proto.params.length : 0;
      break;
    }
    default:
      return found('Invalid type_id');
  }
  return type.component >= 0 && type.component >= components ? found('Invalid component_idx') : undefined;
}
