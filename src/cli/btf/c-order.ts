/** What a header of a kernel's types holds and in which order, so that it changes little from one kernel to the next. */
import type { Btf, BtfTypeId, Kfunc } from '../../btf/index.ts';

/** Tags by which Linux marks functions. */
const KFUNC = 'bpf_kfunc';
const FASTCALL = 'bpf_fastcall';

/** What comes first. */
const RANK = { anonymousEnum: 0, enum: 1, number: 2, composite: 3, prototype: 4, rest: 10 } as const;

interface Sorted {
  readonly id: BtfTypeId;
  readonly rank: number;
  /** The name of what it is at the end of all references. */
  readonly name: string;
  readonly ownName: string;
}

/** All types, also those of the base: by kind, then by name, then by what they are made of. */
export function orderedForC(btf: Btf): BtfTypeId[] {
  const sorted: Sorted[] = [];
  for (let id = 1; id < btf.endId; id++) {
    const type = id as BtfTypeId;
    sorted.push({
      id: type,
      rank: rankOf(btf, type, false),
      name: sortName(btf, type, false),
      ownName: btf.nameOf(type),
    });
  }
  const hashes = new Hashes(btf);
  return sorted
    .sort(
      (a, b) =>
        a.rank - b.rank ||
        compare(a.name, b.name) ||
        compare(a.ownName, b.ownName) ||
        compare(hashes.of(a.id), hashes.of(b.id)) ||
        a.id - b.id,
    )
    .map(({ id }) => id);
}

/** The functions that are tagged for programs, by name. */
export function kfuncsOf(btf: Btf): Kfunc[] {
  const found: { readonly id: BtfTypeId; readonly name: string }[] = [];
  const fast = new Set<BtfTypeId>();
  for (let id = 1; id < btf.endId; id++) {
    const tag = btf.type(id as BtfTypeId);
    if (tag.kind !== 'decl_tag' || tag.component !== -1) continue;
    const func = btf.type(tag.type);
    if (func.kind !== 'func') continue;
    if (tag.name === KFUNC) found.push({ id: tag.type, name: func.name });
    if (tag.name === FASTCALL) fast.add(tag.type);
  }
  return found.sort((a, b) => compare(a.name, b.name)).map(({ id }) => ({ id, fastcall: fast.has(id) }));
}

function compare<T extends string | bigint>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function rankOf(btf: Btf, id: BtfTypeId, reached: boolean): number {
  const type = btf.type(id);
  const named = reached || btf.nameOf(id) !== '';
  switch (type.kind) {
    case 'enum':
    case 'enum64':
      return named ? RANK.enum : RANK.anonymousEnum;
    case 'int':
    case 'float':
      return RANK.number;
    case 'struct':
    case 'union':
      return named ? RANK.composite : RANK.rest;
    case 'func_proto':
      return named ? RANK.prototype : RANK.rest;
    case 'array':
    case 'type_tag':
    case 'const':
    case 'ptr':
    case 'volatile':
    case 'restrict':
    case 'typedef':
    case 'decl_tag':
      return named ? rankOf(btf, type.type, true) : RANK.rest;
    default:
      return RANK.rest;
  }
}

function sortName(btf: Btf, id: BtfTypeId, reached: boolean): string {
  const type = btf.type(id);
  switch (type.kind) {
    case 'enum':
    case 'enum64':
      return type.name !== '' || reached ? type.name : (type.values[0]?.name ?? '');
    case 'array':
    case 'type_tag':
    case 'const':
    case 'ptr':
    case 'volatile':
    case 'restrict':
    case 'typedef':
    case 'decl_tag':
      return sortName(btf, type.type, true);
    default:
      return btf.nameOf(id);
  }
}

/** Numbers that tell types of one name apart, as bpftool makes them: 64 bits of 31 times the last plus the next. */
class Hashes {
  readonly #btf: Btf;
  readonly #known = new Map<BtfTypeId, bigint>();

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  of(id: BtfTypeId): bigint {
    let hash = this.#known.get(id);
    if (hash === undefined) {
      hash = this.#hash(id, true);
      this.#known.set(id, hash);
    }
    return hash;
  }

  #hash(id: BtfTypeId, members: boolean): bigint {
    const type = this.#btf.type(id);
    let hash = withName(0n, this.#btf.nameOf(id));
    switch (type.kind) {
      case 'enum':
      case 'enum64':
        for (const { name } of type.values) hash = withName(hash, name);
        return hash;
      case 'struct':
      case 'union':
        if (!members) return hash;
        for (const member of type.members) {
          hash = mix(withName(hash, member.name), this.#hash(member.type, false));
        }
        return hash;
      case 'type_tag':
      case 'const':
      case 'ptr':
      case 'volatile':
      case 'restrict':
      case 'typedef':
      case 'decl_tag':
        return mix(hash, this.#hash(type.type, members));
      case 'array':
        return mix(mix(hash, BigInt(type.length)), this.#hash(type.type, members));
      default:
        return hash;
    }
  }
}

function mix(hash: bigint, value: bigint): bigint {
  return BigInt.asUintN(64, hash * 31n + value);
}

function withName(hash: bigint, name: string): bigint {
  if (name === '') return hash;
  let own = 0n;
  for (let i = 0; i < name.length; i++) own = mix(own, BigInt(name.charCodeAt(i)));
  return mix(hash, own);
}
