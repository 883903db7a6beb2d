/**
 * The special fields of map values and of objects that programs allocate: locks, timers, pointers to kernel objects,
 * lists and trees. The kernel keeps them consistent, so a program reaches them only through the helpers for them.
 *
 * @see kernel/bpf/btf.c, btf_parse_fields; include/linux/bpf.h, struct btf_record
 */
import type { Btf, BtfMember, BtfType, BtfTypeId } from '../../btf/index.ts';
import { declTags } from '../verifier/explore/decl-tags.ts';

/** Fields by the name of their struct; `unique` ones occur once in a value. */
const STRUCTS = {
  bpf_spin_lock: { kind: 'spin_lock', size: 4 },
  bpf_res_spin_lock: { kind: 'res_spin_lock', size: 4 },
  bpf_timer: { kind: 'timer', size: 16 },
  bpf_wq: { kind: 'wq', size: 16 },
  bpf_task_work: { kind: 'task_work', size: 8 },
  bpf_list_head: { kind: 'list_head', size: 16 },
  bpf_list_node: { kind: 'list_node', size: 24 },
  bpf_rb_root: { kind: 'rb_root', size: 16 },
  bpf_rb_node: { kind: 'rb_node', size: 32 },
  bpf_refcount: { kind: 'refcount', size: 4 },
} as const;

/** Pointer fields by their type tag. */
const TAGS = {
  kptr_untrusted: 'kptr_unref',
  kptr: 'kptr_ref',
  percpu_kptr: 'kptr_percpu',
  uptr: 'uptr',
} as const;

export type FieldKind = (typeof STRUCTS)[keyof typeof STRUCTS]['kind'] | (typeof TAGS)[keyof typeof TAGS];

/** A special field of a value. */
export interface SpecialField {
  readonly kind: FieldKind;
  /** Bytes from the value's start. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** For pointers, the struct pointed to, and for lists and trees the struct of their elements, in the BTF of the value. */
  readonly target?: BtfTypeId;
  /** For lists and trees: name of the node's member in the element. */
  readonly nodeName?: string;
}

/** The special fields of a value, by offset. */
export type FieldRecord = readonly SpecialField[];

/** No special fields. */
export const NO_FIELDS: FieldRecord = [];
const POINTER = 8;
/** Nesting that is looked into. */
const MAX_DEPTH = 32;
/** Fields that a record may have. @see include/linux/btf.h, BTF_FIELDS_MAX */
const MAX_FIELDS = 11;

const records = new WeakMap<Btf, Map<number, FieldRecord>>();

/** The special fields of a struct or of a section of global variables. */
export function recordOf(btf: Btf, typeId: BtfTypeId): FieldRecord {
  let known = records.get(btf);
  if (known === undefined) {
    known = new Map();
    records.set(btf, known);
  }
  let record = known.get(typeId);
  if (record === undefined) {
    record = find(btf, typeId);
    known.set(typeId, record);
  }
  return record;
}

/** Kinds that a value may have one of. */
const UNIQUE: ReadonlySet<FieldKind> = new Set<FieldKind>([
  'spin_lock',
  'res_spin_lock',
  'timer',
  'wq',
  'task_work',
  'refcount',
]);

/**
 * The special fields of a map's values: nodes are none outside of what programs allocate, and a value with two fields
 * of a kind that occurs once has none at all, as Linux has it.
 */
export function valueFieldsOf(btf: Btf, typeId: BtfTypeId): FieldRecord {
  const all = recordOf(btf, typeId);
  if (all.length === 0) return NO_FIELDS;
  let fields = valueFields.get(all);
  if (fields === undefined) {
    fields = all.filter(({ kind }) => kind !== 'list_node' && kind !== 'rb_node');
    if (repeats(fields)) fields = NO_FIELDS;
    valueFields.set(all, fields);
  }
  return fields;
}

const valueFields = new WeakMap<FieldRecord, FieldRecord>();

function repeats(fields: FieldRecord): boolean {
  const seen = new Set<FieldKind>();
  for (const { kind } of fields) {
    if (UNIQUE.has(kind) && seen.has(kind)) return true;
    seen.add(kind);
  }
  return false;
}

export function has(record: FieldRecord, kind: FieldKind): boolean {
  return record.some((field) => field.kind === kind);
}

function find(btf: Btf, typeId: BtfTypeId): FieldRecord {
  const type = btf.type(typeId);
  const found: SpecialField[] = [];
  if (type.kind === 'struct' || type.kind === 'union') addStruct(btf, typeId, type.members, 0, found, 0);
  if (type.kind === 'datasec') {
    for (const [i, entry] of type.vars.entries()) {
      const variable = btf.type(entry.type);
      if (variable.kind === 'var') addMember(btf, entry.type, -1, variable.type, entry.offset, found, i);
    }
  }
  found.sort((a, b) => a.offset - b.offset);
  return isValid(btf, found) ? found : NO_FIELDS;
}

/** Linux has no record of a value that breaks one of these rules. @see kernel/bpf/btf.c, btf_parse_fields */
function isValid(btf: Btf, fields: FieldRecord): boolean {
  if (fields.length > MAX_FIELDS) return false;
  const spin = has(fields, 'spin_lock');
  const resilient = has(fields, 'res_spin_lock');
  if (spin && resilient) return false;
  const roots = fields.filter(({ kind }) => kind === 'list_head' || kind === 'rb_root');
  if (roots.length > 0 && !spin && !resilient) return false;
  if (has(fields, 'list_node') && has(fields, 'rb_node') && !has(fields, 'refcount')) return false;
  return roots.every((root) => hasNode(btf, root));
}

/** The elements of the list or tree have the node that its tag names. */
function hasNode(btf: Btf, { kind, target, nodeName }: SpecialField): boolean {
  const element = target === undefined ? undefined : btf.type(target);
  if (element?.kind !== 'struct') return false;
  const member = element.members.find(({ name }) => name === nodeName);
  const node = member === undefined ? undefined : btf.type(member.type);
  return node?.kind === 'struct' && node.name === (kind === 'list_head' ? 'bpf_list_node' : 'bpf_rb_node');
}

function addStruct(
  btf: Btf,
  typeId: BtfTypeId,
  members: readonly BtfMember[],
  base: number,
  found: SpecialField[],
  depth: number,
): void {
  if (depth >= MAX_DEPTH) return;
  for (const [i, member] of members.entries()) {
    if (member.bitOffset % 8 !== 0) continue;
    addMember(btf, typeId, i, member.type, base + member.bitOffset / 8, found, depth);
  }
}

function addMember(
  btf: Btf,
  owner: BtfTypeId,
  component: number,
  typeId: BtfTypeId,
  offset: number,
  found: SpecialField[],
  depth: number,
): void {
  let at = typeId;
  let type: BtfType = btf.type(at);
  let elements = 1;
  while (type.kind === 'array') {
    elements *= type.length;
    at = type.type;
    type = btf.type(at);
  }
  const one: SpecialField[] = [];
  let stride = POINTER;
  const special = 'name' in type ? STRUCTS[type.name as keyof typeof STRUCTS] : undefined;
  if (special !== undefined && (type.kind === 'struct' || type.kind === 'union')) {
    stride = special.size;
    if (type.size === special.size) one.push({ ...special, offset, ...graphTarget(btf, owner, component) });
  } else if (type.kind === 'struct') {
    stride = type.size;
    addStruct(btf, at, type.members, offset, one, depth + 1);
  } else {
    const pointer = taggedPointer(btf, type);
    if (pointer !== undefined) one.push({ ...pointer, offset, size: POINTER });
  }
  if (one.length === 0) return;
  for (let i = 0; i < elements && found.length <= MAX_FIELDS; i++) {
    for (const field of one) found.push({ ...field, offset: field.offset + i * stride });
  }
}

/** `T __kptr *p`: a pointer to a struct with a tag that makes it the kernel's matter. */
function taggedPointer(
  btf: Btf,
  start: BtfType,
): { readonly kind: FieldKind; readonly target: BtfTypeId } | undefined {
  let type = start.kind === 'volatile' ? btf.type(start.type) : start;
  if (type.kind !== 'ptr') return undefined;
  let kind: FieldKind | undefined;
  let target = type.type;
  for (;;) {
    type = btf.type(target);
    if (type.kind === 'type_tag') {
      if (!type.attribute) kind = TAGS[type.name as keyof typeof TAGS] ?? kind;
    } else if (
      type.kind !== 'const' &&
      type.kind !== 'volatile' &&
      type.kind !== 'restrict' &&
      type.kind !== 'typedef'
    ) {
      break;
    }
    target = type.type;
  }
  if (kind === undefined || (type.kind !== 'struct' && type.kind !== 'union')) return undefined;
  return { kind, target };
}

/** The tag `contains:STRUCT:MEMBER` of a list head or tree root says what its elements are. */
function graphTarget(
  btf: Btf,
  owner: BtfTypeId,
  component: number,
): { readonly target?: BtfTypeId; readonly nodeName?: string } {
  for (const tag of declTags(btf, owner)) {
    if (tag.component !== component || !tag.name.startsWith('contains:')) continue;
    const [, struct = '', nodeName = ''] = tag.name.split(':');
    const target = btf.find(struct, 'struct');
    return target === undefined ? {} : { target, nodeName };
  }
  return {};
}
