/** Sizes, alignments and places of values of a type. */
import { InputError } from '../base/error.ts';
import type { Btf } from './btf.ts';
import { BTF_KINDS } from './kinds.ts';
import type { BtfComposite, BtfMember, BtfType, BtfTypeId } from './type.ts';

/** The id behind typedefs, qualifiers and type tags. */
export function resolve(btf: Btf, id: BtfTypeId): BtfTypeId {
  let at = id;
  for (;;) {
    const type = btf.type(at);
    switch (type.kind) {
      case 'typedef':
      case 'volatile':
      case 'const':
      case 'restrict':
      case 'type_tag':
        at = type.type;
        continue;
      default:
        return at;
    }
  }
}

/** The type behind typedefs, qualifiers and type tags. */
export function resolveType(btf: Btf, id: BtfTypeId): BtfType {
  return btf.type(resolve(btf, id));
}

/** The id behind qualifiers and type tags; a typedef is not looked through. */
export function skipQualifiers(btf: Btf, id: BtfTypeId): BtfTypeId {
  let at = id;
  for (;;) {
    const type = btf.type(at);
    if (
      type.kind !== 'volatile' &&
      type.kind !== 'const' &&
      type.kind !== 'restrict' &&
      type.kind !== 'type_tag'
    ) {
      return at;
    }
    at = type.type;
  }
}

/** Bytes of a value of that type, if it has values and their size is known. A VAR is as large as its type. */
export function trySizeOf(btf: Btf, id: BtfTypeId): number | undefined {
  let at = resolve(btf, id);
  let count = 1;
  for (;;) {
    const type = btf.type(at);
    switch (type.kind) {
      case 'int':
      case 'struct':
      case 'union':
      case 'enum':
      case 'enum64':
      case 'float':
      case 'datasec':
        return count * type.size;
      case 'ptr':
        return count * btf.pointerSize;
      case 'array':
        count *= type.length;
        at = resolve(btf, type.type);
        continue;
      case 'var':
        at = resolve(btf, type.type);
        continue;
      default:
        return undefined;
    }
  }
}

/** Bytes of a value of that type. @throws InputError if the type has no values (`void`, a function, a forward) */
export function sizeOf(btf: Btf, id: BtfTypeId): number {
  const size = trySizeOf(btf, id);
  if (size === undefined) {
    throw new InputError('btf-size', `${btf.name}: ${btf.describe(resolve(btf, id))} has no size`);
  }
  return size;
}

/**
 * Alignment in bytes that C gives to a value of that type; 0 if it is not known. A struct whose members or size would
 * not fit its natural alignment is packed: 1.
 */
export function alignOf(btf: Btf, id: BtfTypeId): number {
  const at = resolve(btf, id);
  const known = aligns.get(btf)?.get(at);
  if (known !== undefined) return known;
  const result = computeAlign(btf, at);
  let memo = aligns.get(btf);
  if (!memo) {
    memo = new Map();
    aligns.set(btf, memo);
  }
  memo.set(at, result);
  return result;
}

/** Alignments are asked for again and again while a struct's layout is checked. */
const aligns = new WeakMap<Btf, Map<BtfTypeId, number>>();

function computeAlign(btf: Btf, id: BtfTypeId): number {
  const type = btf.type(id);
  switch (type.kind) {
    case 'int':
    case 'enum':
    case 'enum64':
    case 'float':
      return Math.min(btf.pointerSize, type.size);
    case 'ptr':
      return btf.pointerSize;
    case 'array':
    case 'var':
      return alignOf(btf, type.type);
    case 'struct':
    case 'union': {
      let max = 1;
      for (const member of type.members) {
        const own = alignOf(btf, member.type);
        if (own <= 0) return own;
        max = Math.max(max, own);
        if (member.bitSize === 0 && member.bitOffset % (8 * own) !== 0) return 1;
      }
      return type.size % max === 0 ? max : 1;
    }
    default:
      return 0;
  }
}

/** A member found by name: its path from the outer struct through anonymous structs and unions. */
export interface FoundMember {
  readonly member: BtfMember;
  /** The struct or union that declares it. */
  readonly owner: BtfComposite;
  /** Bits from the start of the outer struct. */
  readonly bitOffset: number;
}

/**
 * The member of a struct or union, or of the anonymous ones inside it.
 * @param seen anonymous types that are known not to hold it
 */
export function findMember(
  btf: Btf,
  composite: BtfComposite,
  name: string,
  seen: Set<BtfTypeId> = new Set(),
): FoundMember | undefined {
  for (const member of composite.members) {
    if (member.name === name) return { member, owner: composite, bitOffset: member.bitOffset };
    if (member.name !== '' || seen.has(member.type)) continue;
    seen.add(member.type);
    const inner = resolveType(btf, member.type);
    if (inner.kind !== 'struct' && inner.kind !== 'union') continue;
    const found = findMember(btf, inner, name, seen);
    if (found) return { ...found, bitOffset: member.bitOffset + found.bitOffset };
  }
  return undefined;
}

/** A field found by path. */
export interface Field {
  readonly type: BtfTypeId;
  /** Bits from the start of the outer type. */
  readonly bitOffset: number;
  /** Width of a bitfield; 0 if it is none. */
  readonly bitSize: number;
}

/**
 * The field at a path such as `se.avg.load_avg` or `comm[3]` of a struct, union or array. Pointers are not followed.
 * @throws InputError naming the step that fails
 */
export function fieldAt(btf: Btf, id: BtfTypeId, path: string): Field {
  const fail = (problem: string): never => {
    throw new InputError(
      'btf-field',
      `${btf.name}: field '${path}' of ${btf.describe(resolve(btf, id))}: ${problem}`,
    );
  };
  const steps = path.match(/\[\d+\]|[^.[\]]+/g) ?? [];
  if (steps.join('.').replaceAll('.[', '[') !== path || steps.length === 0)
    return fail('the path is not well-formed');
  let field: Field = { type: id, bitOffset: 0, bitSize: 0 };
  for (const step of steps) {
    const type = resolveType(btf, field.type);
    if (step.startsWith('[')) {
      if (type.kind !== 'array') return fail(`${step} is applied to a ${kindLabel(type)}, not to an array`);
      const index = Number(step.slice(1, -1));
      if (index >= type.length && type.length > 0)
        return fail(`index ${index} is past the ${type.length} elements`);
      field = {
        type: type.type,
        bitOffset: field.bitOffset + index * 8 * sizeOf(btf, type.type),
        bitSize: 0,
      };
      continue;
    }
    if (type.kind !== 'struct' && type.kind !== 'union') {
      return fail(`'${step}' is looked for in a ${kindLabel(type)}, which has no members`);
    }
    const found = findMember(btf, type, step);
    if (!found) return fail(`there is no member '${step}' in ${type.kind} ${type.name || '(anon)'}`);
    field = {
      type: found.member.type,
      bitOffset: field.bitOffset + found.bitOffset,
      bitSize: found.member.bitSize,
    };
  }
  return field;
}

function kindLabel(type: BtfType): string {
  return type.kind === 'void' ? 'void' : BTF_KINDS[type.kind].label;
}
