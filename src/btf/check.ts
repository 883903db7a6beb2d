/** The checks that reading a BTF makes, over its words: no type is decoded for them. */
import { InputError } from '../base/error.ts';
import { BTF_KIND_BY_ID, BTF_KINDS, type BtfKind } from './kinds.ts';

/** The records of one BTF. */
export interface TypeTable {
  readonly words: Uint32Array;
  /** Word index of each own type's record. */
  readonly starts: Uint32Array;
  readonly firstId: number;
  readonly endId: number;
  readonly base: TypeTable | undefined;
}

/** What messages say about the place. */
export interface CheckPlace {
  readonly name: string;
  /** Offset of the type section in the file. */
  readonly origin: number;
  describe(id: number): string;
}

const K = Object.fromEntries(Object.entries(BTF_KINDS).map(([kind, fact]) => [kind, fact.id])) as {
  readonly [kind in BtfKind]: (typeof BTF_KINDS)[kind]['id'];
};

/** Where in its record each kind keeps type ids and string offsets: first word, stride, whether per element. */
interface RefPlaces {
  readonly third: boolean;
  readonly types: readonly number[];
  readonly elementTypes: number;
  readonly elementNames: number;
  readonly stride: number;
}

const NONE: RefPlaces = { third: false, types: [], elementTypes: -1, elementNames: -1, stride: 0 };
const PLACES: readonly RefPlaces[] = BTF_KIND_BY_ID.map((kind): RefPlaces => {
  if (kind === 'void') return NONE;
  const { third, element } = BTF_KINDS[kind];
  const types = kind === 'array' ? [3, 4] : [];
  const elementTypes =
    kind === 'datasec' ? 0 : kind === 'enum' || kind === 'enum64' || element === 0 ? -1 : 1;
  const elementNames = kind === 'datasec' || element === 0 ? -1 : 0;
  return { third: third === 'type', types, elementTypes, elementNames, stride: element };
});

/** Checks every string offset and type id, the numbers of linkages, and that members begin inside their struct. */
export function checkReferences(table: TypeTable, stringEnd: number, place: CheckPlace): void {
  const { words, starts, endId } = table;
  const fail = (index: number, at: number, problem: string): never => {
    throw new InputError(
      'btf-type',
      `${place.name}: type ${table.firstId + index} at offset ${place.origin + starts[index]! * 4}: ${problem} ` +
        `(at offset ${place.origin + at * 4})`,
    );
  };
  for (let index = 0; index < starts.length; index++) {
    const start = starts[index]!;
    const info = words[start + 1]!;
    const kind = (info >>> 24) & 0x1f;
    const vlen = info & 0xffff;
    const refs = PLACES[kind]!;
    const checkId = (at: number): void => {
      if (words[at]! >= endId) {
        fail(index, at, `refers to type ${words[at]}, but the highest type id is ${endId - 1}`);
      }
    };
    const checkName = (at: number): void => {
      if (words[at]! >= stringEnd) {
        fail(
          index,
          at,
          `has a name at string offset ${words[at]}, but the string table ends at ${stringEnd}`,
        );
      }
    };
    checkName(start);
    if (refs.third) checkId(start + 2);
    for (const at of refs.types) checkId(start + at);
    if (refs.stride > 0) {
      for (let i = 0, at = start + 3; i < vlen; i++, at += refs.stride) {
        if (refs.elementNames >= 0) checkName(at + refs.elementNames);
        if (refs.elementTypes >= 0) checkId(at + refs.elementTypes);
      }
    }
    if (kind === K.struct || kind === K.union) {
      const bits = words[start + 2]! * 8;
      for (let i = 0, at = start + 3; i < vlen; i++, at += 3) {
        const offset = info >>> 31 === 1 ? words[at + 2]! & 0xffffff : words[at + 2]!;
        if (offset > bits) {
          fail(
            index,
            at + 2,
            `member ${i} begins at bit ${offset}, past the end of the ${words[start + 2]} bytes`,
          );
        }
        if (kind === K.union && offset !== 0) {
          fail(index, at + 2, `member ${i} of a union begins at bit ${offset}, not at 0`);
        }
      }
    } else if (kind === K.func && vlen > 2) {
      fail(index, start + 1, `has the unknown linkage ${vlen}`);
    } else if (kind === K.var && words[start + 3]! > 2) {
      fail(index, start + 3, `has the unknown linkage ${words[start + 3]}`);
    }
  }
}

/**
 * Calls `visit` with the ids that a type needs to be complete: what it contains by value (`value`), or what its C
 * declaration spells out before it comes to a name of a struct, union or enum (`spelling`).
 */
type Graph = 'value' | 'spelling';

function edgeCount(table: TypeTable, index: number, graph: Graph): number {
  const info = table.words[table.starts[index]! + 1]!;
  const vlen = info & 0xffff;
  switch ((info >>> 24) & 0x1f) {
    case K.typedef:
    case K.volatile:
    case K.const:
    case K.restrict:
    case K.type_tag:
    case K.array:
      return 1;
    case K.ptr:
      return graph === 'spelling' ? 1 : 0;
    case K.func_proto:
      return graph === 'spelling' ? 1 + vlen : 0;
    case K.struct:
    case K.union:
    case K.datasec:
      return graph === 'value' ? vlen : 0;
    case K.var:
    case K.func:
    case K.decl_tag:
      return 1;
    default:
      return 0;
  }
}

function edge(table: TypeTable, index: number, n: number): number {
  const at = table.starts[index]!;
  const { words } = table;
  switch ((words[at + 1]! >>> 24) & 0x1f) {
    case K.array:
      return words[at + 3]!;
    case K.func_proto:
      return n === 0 ? words[at + 2]! : words[at + 3 + (n - 1) * 2 + 1]!;
    case K.struct:
    case K.union:
      return words[at + 3 + n * 3 + 1]!;
    case K.datasec:
      return words[at + 3 + n * 3]!;
    default:
      return words[at + 2]!;
  }
}

/** Fails when a type contains itself by value, or is spelled by itself. Depth is bounded by memory, not by the stack. */
export function checkCycles(table: TypeTable, place: CheckPlace): void {
  for (const graph of ['value', 'spelling'] as const) findCycle(table, graph, place);
}

/** Far beyond what a compiler makes; it bounds the recursion of whatever walks types. Linux resolves up to 32. */
const MAX_DEPTH = 256;

function findCycle(table: TypeTable, graph: Graph, place: CheckPlace): void {
  const count = table.starts.length;
  const { firstId } = table;
  // 0 is not visited, 1 is on the path, 2 is done. The base's types are done: they can't refer to this table's.
  const state = new Uint8Array(count);
  const depth = new Uint16Array(count);
  const path: number[] = [];
  const next: number[] = [];
  const raiseDepth = (index: number, inner: number): void => {
    depth[index] = Math.max(depth[index]!, depth[inner]! + 1);
    if (depth[index]! > MAX_DEPTH) {
      const id = table.firstId + index;
      throw new InputError(
        'btf-nesting',
        `${place.name}: ${place.describe(id)} at offset ${place.origin + table.starts[index]! * 4} nests types more ` +
          `than ${MAX_DEPTH} deep`,
      );
    }
  };
  for (let root = 0; root < count; root++) {
    if (state[root] !== 0) continue;
    path.push(root);
    next.push(0);
    state[root] = 1;
    while (path.length > 0) {
      const index = path[path.length - 1]!;
      const n = next[next.length - 1]!;
      if (n >= edgeCount(table, index, graph)) {
        state[index] = 2;
        path.pop();
        next.pop();
        if (path.length > 0) raiseDepth(path[path.length - 1]!, index);
        continue;
      }
      next[next.length - 1] = n + 1;
      const target = edge(table, index, n) - firstId;
      if (target < 0) continue;
      if (state[target] === 2) {
        raiseDepth(index, target);
        continue;
      }
      if (state[target] === 1) failCycle(table, graph, path.slice(path.indexOf(target)), place);
      state[target] = 1;
      path.push(target);
      next.push(0);
    }
  }
}

function failCycle(table: TypeTable, graph: Graph, cycle: readonly number[], place: CheckPlace): never {
  const shown = cycle.length > 8 ? [...cycle.slice(0, 7), cycle[cycle.length - 1]!] : cycle;
  const steps = shown.map((index) => place.describe(table.firstId + index));
  if (cycle.length > 8) steps.splice(7, 0, `${cycle.length - 8} more`);
  const first = cycle[0]!;
  const offset = place.origin + table.starts[first]! * 4;
  const verb = graph === 'value' ? 'contains itself' : 'is declared by itself';
  throw new InputError(
    'btf-cycle',
    `${place.name}: ${place.describe(table.firstId + first)} at offset ${offset} ${verb}: ` +
      `${[...steps, `type ${table.firstId + first}`].join(' → ')}`,
  );
}
