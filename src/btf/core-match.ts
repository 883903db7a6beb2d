/** CO-RE: which types, members and enumerators of a target are "the same" as those an object was compiled with. */
import type { Btf } from './btf.ts';
import { CORE_RELO_SUBJECT, type CoreSpec, type CoreStep, isFlexibleArray, MAX_STEPS } from './core-spec.ts';
import { INT_SIGNED } from './kinds.ts';
import { essentialName } from './name-index.ts';
import { resolve, resolveType, trySizeOf } from './size.ts';
import type { BtfComposite, BtfEnum, BtfEnum64, BtfType, BtfTypeId } from './type.ts';

/** Types nested deeper than this don't match. */
const MAX_DEPTH = 32;

/** A type seen from both sides. */
interface Pair {
  readonly local: Btf;
  readonly target: Btf;
  /** Answers about types with parts, which may contain each other many times over. */
  readonly known: Map<string, boolean>;
}

function pairOf(local: Btf, target: Btf): Pair {
  return { local, target, known: new Map() };
}

function remember(pair: Pair, key: string, answer: () => boolean): boolean {
  const known = pair.known.get(key);
  if (known !== undefined) return known;
  const result = answer();
  pair.known.set(key, result);
  return result;
}

type AnyEnum = BtfEnum | BtfEnum64;

function isEnum(type: BtfType): type is AnyEnum {
  return type.kind === 'enum' || type.kind === 'enum64';
}

function isComposite(type: BtfType): type is BtfComposite {
  return type.kind === 'struct' || type.kind === 'union';
}

/** Kinds that may stand for each other: equal ones, and enums of either width. */
export function kindsCompatible(a: BtfType['kind'], b: BtfType['kind']): boolean {
  return a === b || ((a === 'enum' || a === 'enum64') && (b === 'enum' || b === 'enum64'));
}

function nameOf(type: BtfType): string {
  return 'name' in type ? type.name : '';
}

/** Finds in the target, starting at `root`, what the local access names. `undefined` is no match. */
export function matchSpec(local: CoreSpec, target: Btf, root: BtfTypeId): CoreSpec | undefined {
  const pair = pairOf(local.btf, target);
  const spec = { btf: target, kind: local.kind, root };
  switch (CORE_RELO_SUBJECT[local.kind]) {
    case 'type': {
      const match =
        local.kind === 'type_matches'
          ? typesMatch(pair, local.root, root, false, MAX_DEPTH)
          : kindsCompatible(local.btf.kind(local.root), target.kind(root)) &&
            typesCompatible(pair, local.root, root, MAX_DEPTH);
      return match ? { ...spec, steps: [], raw: [], bitOffset: 0 } : undefined;
    }
    case 'enumerator':
      return matchEnumerator(local, target, root);
    case 'field':
      return matchField(local, target, root);
  }
}

function matchEnumerator(local: CoreSpec, target: Btf, root: BtfTypeId): CoreSpec | undefined {
  const id = resolve(target, root);
  const type = target.type(id);
  if (!isEnum(type)) return undefined;
  const wanted = essentialName(local.steps[0]!.name!);
  const index = type.values.findIndex(({ name }) => essentialName(name) === wanted);
  if (index < 0) return undefined;
  const step = { type: id, index, name: type.values[index]!.name };
  return { btf: target, kind: local.kind, root, steps: [step], raw: [index], bitOffset: 0 };
}

function matchField(local: CoreSpec, target: Btf, root: BtfTypeId): CoreSpec | undefined {
  const pair = pairOf(local.btf, target);
  const steps: CoreStep[] = [];
  const raw: number[] = [];
  let bitOffset = 0;
  let id = root;
  for (const [i, step] of local.steps.entries()) {
    id = resolve(target, id);
    if (raw.length >= MAX_STEPS) return undefined;
    if (step.name !== undefined) {
      const found = matchMember(pair, step, id, new Set());
      if (!found) return undefined;
      steps.push({ type: found.owner, index: found.path[found.path.length - 1]!, name: step.name });
      raw.push(...found.path);
      bitOffset += found.bitOffset;
      id = found.type;
      continue;
    }
    // The first index is into an imagined array of the root type.
    if (i > 0) {
      const array = target.type(id);
      if (array.kind !== 'array') return undefined;
      if (step.index >= array.length && !isFlexibleArray(target, steps[steps.length - 1], array))
        return undefined;
      id = resolve(target, array.type);
    }
    steps.push({ type: id, index: step.index });
    raw.push(step.index);
    if (step.index > 0) {
      const size = trySizeOf(target, id);
      if (size === undefined) return undefined;
      bitOffset += step.index * size * 8;
    }
  }
  return { btf: target, kind: local.kind, root, steps, raw, bitOffset };
}

interface MatchedMember {
  readonly owner: BtfTypeId;
  /** Member indices from the struct that was searched, through anonymous ones. */
  readonly path: readonly number[];
  readonly bitOffset: number;
  readonly type: BtfTypeId;
}

/**
 * The first member of that name, in this struct or an anonymous one inside it. If its type is not compatible there is
 * no match, unless it was found inside an anonymous member: then the search goes on after that.
 */
function matchMember(
  pair: Pair,
  step: CoreStep,
  targetId: BtfTypeId,
  seen: Set<BtfTypeId>,
): MatchedMember | undefined {
  const owner = resolve(pair.target, targetId);
  const type = pair.target.type(owner);
  if (!isComposite(type) || seen.has(owner)) return undefined;
  seen.add(owner);
  const localOwner = pair.local.type(step.type);
  if (!isComposite(localOwner)) return undefined;
  const localMember = localOwner.members[step.index]!;
  for (const [index, member] of type.members.entries()) {
    if (member.name === '') {
      const inner = matchMember(pair, step, member.type, seen);
      if (inner)
        return { ...inner, path: [index, ...inner.path], bitOffset: member.bitOffset + inner.bitOffset };
    } else if (member.name === step.name) {
      return fieldsCompatible(pair, localMember.type, member.type)
        ? { owner, path: [index], bitOffset: member.bitOffset, type: member.type }
        : undefined;
    }
  }
  return undefined;
}

/** Members whose types may differ as these do are still the same member. */
function fieldsCompatible(pair: Pair, localId: BtfTypeId, targetId: BtfTypeId): boolean {
  const local = resolveType(pair.local, localId);
  const target = resolveType(pair.target, targetId);
  if (isComposite(local) && isComposite(target)) return true;
  if (!kindsCompatible(local.kind, target.kind)) return false;
  switch (local.kind) {
    case 'ptr':
    case 'float':
      return true;
    case 'fwd':
    case 'enum':
    case 'enum64': {
      const a = essentialName(local.name);
      const b = essentialName(nameOf(target));
      return a === '' || b === '' || a === b;
    }
    case 'int':
      return target.kind === 'int' && local.bitOffset === 0 && target.bitOffset === 0;
    case 'array':
      return target.kind === 'array' && fieldsCompatible(pair, local.type, target.type);
    default:
      return false;
  }
}

/** For type_exists, type_size and type ids: the same outer shape; members are not compared. */
function typesCompatible(pair: Pair, localId: BtfTypeId, targetId: BtfTypeId, depth: number): boolean {
  if (depth <= 0) return false;
  const local = resolveType(pair.local, localId);
  const target = resolveType(pair.target, targetId);
  if (!kindsCompatible(local.kind, target.kind)) return false;
  switch (local.kind) {
    case 'void':
    case 'struct':
    case 'union':
    case 'enum':
    case 'enum64':
    case 'fwd':
      return true;
    case 'int':
      return target.kind === 'int' && local.bitOffset === 0 && target.bitOffset === 0;
    case 'ptr':
      return target.kind === 'ptr' && typesCompatible(pair, local.type, target.type, depth - 1);
    case 'array':
      return target.kind === 'array' && typesCompatible(pair, local.type, target.type, depth - 1);
    case 'func_proto':
      return (
        target.kind === 'func_proto' &&
        local.params.length === target.params.length &&
        remember(
          pair,
          `${localId} ${targetId}`,
          () =>
            local.params.every((p, i) => typesCompatible(pair, p.type, target.params[i]!.type, depth - 1)) &&
            typesCompatible(pair, local.returns, target.returns, depth - 1),
        )
      );
    default:
      return false;
  }
}

function namesMatch(local: string, target: string): boolean {
  return target === '' ? local === '' : essentialName(local) === essentialName(target);
}

/** For type_matches: every member that the object knows exists in the target and matches; behind a pointer names do. */
function typesMatch(
  pair: Pair,
  localId: BtfTypeId,
  targetId: BtfTypeId,
  behindPointer: boolean,
  depth: number,
): boolean {
  if (depth <= 0) return false;
  const local = resolveType(pair.local, localId);
  const target = resolveType(pair.target, targetId);
  if (!namesMatch(nameOf(local), nameOf(target))) return false;
  switch (local.kind) {
    case 'void':
      return target.kind === 'void';
    case 'fwd':
      if (target.kind === 'fwd') return local.of === target.of;
      return behindPointer && target.kind === local.of;
    case 'enum':
    case 'enum64':
      return isEnum(target) && enumsMatch(local, target);
    case 'struct':
    case 'union':
      if (behindPointer) return target.kind === 'fwd' ? target.of === local.kind : target.kind === local.kind;
      return (
        isComposite(target) &&
        target.kind === local.kind &&
        remember(pair, `${localId} ${targetId}`, () => compositesMatch(pair, local, target, depth))
      );
    case 'int':
      return (
        target.kind === 'int' &&
        local.size === target.size &&
        (local.encoding & INT_SIGNED) === (target.encoding & INT_SIGNED)
      );
    case 'ptr':
      return target.kind === 'ptr' && typesMatch(pair, local.type, target.type, true, depth - 1);
    case 'array':
      return (
        target.kind === 'array' &&
        local.length === target.length &&
        typesMatch(pair, local.type, target.type, behindPointer, depth - 1)
      );
    case 'func_proto':
      return (
        target.kind === 'func_proto' &&
        local.params.length === target.params.length &&
        remember(
          pair,
          `${localId} ${targetId} ${behindPointer}`,
          () =>
            local.params.every((p, i) =>
              typesMatch(pair, p.type, target.params[i]!.type, behindPointer, depth - 1),
            ) && typesMatch(pair, local.returns, target.returns, behindPointer, depth - 1),
        )
      );
    default:
      return false;
  }
}

function enumsMatch(local: AnyEnum, target: AnyEnum): boolean {
  if (local.size !== target.size || local.values.length > target.values.length) return false;
  const names = new Set(target.values.map(({ name }) => essentialName(name)));
  return local.values.every(({ name }) => names.has(essentialName(name)));
}

function compositesMatch(pair: Pair, local: BtfComposite, target: BtfComposite, depth: number): boolean {
  if (local.members.length > target.members.length) return false;
  return local.members.every((member) =>
    target.members.some(
      (candidate) =>
        namesMatch(member.name, candidate.name) &&
        typesMatch(pair, member.type, candidate.type, false, depth - 1),
    ),
  );
}
