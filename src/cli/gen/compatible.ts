/** Whether what two objects say of a global variable, function or map goes together. */
import type { BtfComposite, BtfType, BtfTypeId } from '../../btf/index.ts';

/** Where types are found by their ids. */
export interface TypeSource {
  type(id: BtfTypeId): BtfType;
}

/** A type and where it is from. */
export interface TypeAt {
  readonly from: TypeSource;
  readonly id: BtfTypeId;
}

/**
 * Names of types, sizes and members must be the same; what is behind a pointer only by name, and it may be declared
 * only. Lengths of arrays and names of parameters may differ.
 * @returns why they don't, as the end of a sentence
 */
export function typeDifference(a: TypeAt, b: TypeAt, behindPointer = false): string | undefined {
  const [left, right] = [bare(a), bare(b)];
  if (left.kind === 'fwd' || right.kind === 'fwd') return fwdDifference(left, right, behindPointer);
  if (left.kind !== right.kind) return `it is ${article(left)} in one and ${article(right)} in the other`;
  const leftName = 'name' in left ? left.name : '';
  const rightName = 'name' in right ? right.name : '';
  if (left.kind !== 'int' && left.kind !== 'float' && leftName !== rightName) {
    return `one has ${left.kind} ${leftName}, the other ${right.kind} ${rightName}`;
  }
  const inner = (x: BtfTypeId, y: BtfTypeId, pointer = behindPointer) =>
    typeDifference({ from: a.from, id: x }, { from: b.from, id: y }, pointer);
  switch (left.kind) {
    case 'int':
    case 'float':
    case 'enum':
    case 'enum64': {
      const { size } = right as typeof left;
      return left.size === size
        ? undefined
        : `${leftName} has ${left.size} bytes in one and ${size} in the other`;
    }
    case 'ptr':
      return inner(left.type, (right as typeof left).type, true);
    case 'array':
      return inner(left.type, (right as typeof left).type);
    case 'func':
    case 'var': {
      const other = right as typeof left;
      if ((left.linkage === 'static') !== (other.linkage === 'static')) return 'it is static in one';
      return inner(left.type, other.type);
    }
    case 'struct':
    case 'union':
      return behindPointer ? undefined : membersDifference(left, right as BtfComposite, inner);
    case 'func_proto': {
      const other = right as typeof left;
      if (left.params.length !== other.params.length) {
        return `it takes ${left.params.length} parameters in one and ${other.params.length} in the other`;
      }
      for (const [i, param] of left.params.entries()) {
        const found = inner(param.type, other.params[i]!.type);
        if (found !== undefined) return found;
      }
      return inner(left.returns, other.returns);
    }
    default:
      return undefined;
  }
}

function fwdDifference(left: BtfType, right: BtfType, behindPointer: boolean): string | undefined {
  const of = (type: BtfType) => (type.kind === 'fwd' ? type.of : type.kind);
  const name = (type: BtfType) => ('name' in type ? type.name : '');
  const whole = left.kind === right.kind || behindPointer;
  return whole && of(left) === of(right) && name(left) === name(right)
    ? undefined
    : `one has ${of(left)} ${name(left)}, the other ${of(right)} ${name(right)}`;
}

function membersDifference(
  left: BtfComposite,
  right: BtfComposite,
  inner: (x: BtfTypeId, y: BtfTypeId) => string | undefined,
): string | undefined {
  const label = `${left.kind} ${left.name}`;
  if (left.members.length !== right.members.length) {
    return `${label} has ${left.members.length} members in one and ${right.members.length} in the other`;
  }
  for (const [i, member] of left.members.entries()) {
    const other = right.members[i]!;
    if (member.name !== other.name || member.bitOffset !== other.bitOffset) {
      return `member ${member.name} of ${label} is ${other.name} or elsewhere in the other`;
    }
    const found = inner(member.type, other.type);
    if (found !== undefined) return found;
  }
  return undefined;
}

function article({ kind }: BtfType): string {
  return /^[aeiou]/.test(kind) ? `an ${kind}` : `a ${kind}`;
}

/** Behind qualifiers, typedefs and tags. */
function bare({ from, id }: TypeAt): BtfType {
  let type = from.type(id);
  while (
    type.kind === 'typedef' ||
    type.kind === 'const' ||
    type.kind === 'volatile' ||
    type.kind === 'restrict' ||
    type.kind === 'type_tag'
  ) {
    type = from.type(type.type);
  }
  return type;
}

/** As {@link typeDifference}, for the variables of `.maps`: every attribute must be the same, in any order. */
export function mapDifference(a: TypeAt, b: TypeAt): string | undefined {
  const [left, right] = [definition(a), definition(b)];
  if (!left || !right) return typeDifference(a, b);
  for (const name of new Set([...left.keys(), ...right.keys()])) {
    const [x, y] = [left.get(name), right.get(name)];
    if (x === undefined || y === undefined) return `${name} is said in one only`;
    const found = attributeDifference({ from: a.from, id: x }, { from: b.from, id: y });
    if (found !== undefined) return `${name} differs: ${found}`;
  }
  return undefined;
}

/** The members of a map's definition by name. */
function definition(at: TypeAt): ReadonlyMap<string, BtfTypeId> | undefined {
  const variable = bare(at);
  const struct = variable.kind === 'var' ? bare({ from: at.from, id: variable.type }) : variable;
  if (struct.kind !== 'struct') return undefined;
  return new Map(struct.members.map(({ name, type }) => [name, type]));
}

/** A number is the length of an array that is pointed at; a type is what is pointed at; `values` is an array of pointers. */
function attributeDifference(a: TypeAt, b: TypeAt): string | undefined {
  const [left, right] = [bare(a), bare(b)];
  if (left.kind === 'array' && right.kind === 'array') {
    const inner = [target(a.from, left.type), target(b.from, right.type)] as const;
    return inner[0] && inner[1] ? mapDifference(inner[0], inner[1]) : undefined;
  }
  const [x, y] = [target(a.from, left), target(b.from, right)];
  if (!x || !y) return typeDifference(a, b);
  const [p, q] = [bare(x), bare(y)];
  if (p.kind === 'array' && q.kind === 'array' && p.length !== q.length) return `${p.length} and ${q.length}`;
  return typeDifference(x, y);
}

function target(from: TypeSource, at: BtfType | BtfTypeId): TypeAt | undefined {
  const type = typeof at === 'number' ? bare({ from, id: at }) : at;
  return type.kind === 'ptr' ? { from, id: type.type } : undefined;
}
