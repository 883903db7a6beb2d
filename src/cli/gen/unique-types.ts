/** Finds the types that say the same, so that each stands once in what is linked. */
import { type BtfDeclaredType, type BtfTypeId, withReferences } from '../../btf/index.ts';

export interface UniqueTypes {
  readonly types: readonly BtfDeclaredType[];
  /** The new id of each type. */
  readonly id: (old: BtfTypeId) => BtfTypeId;
}

/**
 * Types are the same when what they say is, and what they refer to is the same, round in circles too: they are
 * told apart step by step, by how far one must follow their references to see that they differ. A forward declaration is
 * the struct of its name where there is one alone. Variables and sections stay as they are.
 * @param types the first has id 1
 */
export function uniqueTypes(types: readonly BtfDeclaredType[]): UniqueTypes {
  const references: BtfTypeId[][] = [];
  const shapes = types.map((type, i) => {
    const to: BtfTypeId[] = [];
    const shape = withReferences(type, (id) => {
      to.push(id);
      return 0 as BtfTypeId;
    });
    references.push(to);
    const own = type.kind === 'var' || type.kind === 'datasec' ? `${i}` : '';
    return own + JSON.stringify(shape, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
  });
  /** Forward declarations that are known to be a struct, by id. */
  const meant = new Map<number, number>();
  const follow = (id: number): number => meant.get(id) ?? id;
  let classes = tellApart(shapes, references, follow);
  for (let found = true; found; ) {
    found = false;
    for (const [i, type] of types.entries()) {
      if (type.kind !== 'fwd' || meant.has(i + 1)) continue;
      const structs = types.flatMap((other, n) =>
        other.kind === type.of && other.name === type.name ? [n] : [],
      );
      if (structs.length === 0 || new Set(structs.map((n) => classes[n])).size > 1) continue;
      meant.set(i + 1, structs[0]! + 1);
      found = true;
    }
    if (found) classes = tellApart(shapes, references, follow);
  }
  return renumber(types, classes, follow);
}

/** @returns the class of each type; classes are numbered from 1 */
function tellApart(
  shapes: readonly string[],
  references: readonly (readonly BtfTypeId[])[],
  follow: (id: number) => number,
): number[] {
  let [classes, count] = numbered(shapes);
  for (;;) {
    const of = (id: number): number => (id === 0 ? 0 : classes[follow(id) - 1]!);
    const [finer, finerCount] = numbered(references.map((to, i) => `${classes[i]}:${to.map(of).join()}`));
    if (finerCount === count) return classes;
    classes = finer;
    count = finerCount;
  }
}

function numbered(keys: readonly string[]): [classes: number[], count: number] {
  const known = new Map<string, number>();
  const classes = keys.map((key) => {
    const number = known.get(key) ?? known.size + 1;
    known.set(key, number);
    return number;
  });
  return [classes, known.size];
}

function renumber(
  types: readonly BtfDeclaredType[],
  classes: readonly number[],
  follow: (id: number) => number,
): UniqueTypes {
  const ids = new Map<number, BtfTypeId>();
  const kept: BtfDeclaredType[] = [];
  for (const [i, type] of types.entries()) {
    if (follow(i + 1) !== i + 1 || ids.has(classes[i]!)) continue;
    kept.push(type);
    ids.set(classes[i]!, kept.length as BtfTypeId);
  }
  const id = (old: BtfTypeId): BtfTypeId => (old === 0 ? old : ids.get(classes[follow(old) - 1]!)!);
  return { types: kept.map((type) => withReferences(type, id)), id };
}
