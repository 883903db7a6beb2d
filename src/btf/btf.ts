/**
 * Reads BTF. The type section becomes an array of 32-bit words with an index of where each type starts; a type is
 * decoded when it is asked for. What is checked on reading: header, record bounds, string offsets, type ids, members
 * inside their struct, and that no type contains or refers to itself without end. What only the kernel cares about
 * (names, alignment, which kind may refer to which) is checked by `validateBtf`.
 */
import { Bug, InputError } from '../base/error.ts';
import { checkCycles, checkReferences, type TypeTable } from './check.ts';
import { type BtfHeader, readHeader } from './header.ts';
import { BTF_KIND_BY_ID, BTF_KINDS, BTF_LINKAGES, type BtfKind, type BtfKindFact } from './kinds.ts';
import { NameIndex } from './name-index.ts';
import { BtfStrings } from './strings.ts';
import type { BtfMember, BtfType, BtfTypeId, BtfTypeOf } from './type.ts';
import { hostWords } from './words.ts';

const FACTS: readonly (BtfKindFact | undefined)[] = BTF_KIND_BY_ID.map((kind) =>
  kind === 'void' ? undefined : BTF_KINDS[kind],
);

/**
 * Parses a `.BTF` section or a file such as `/sys/kernel/btf/vmlinux`.
 * @param name what the bytes are, for messages (`a.o: section .BTF`)
 * @param base the BTF that this one continues (vmlinux for a kernel module's)
 * @param origin offset of the bytes in their file, for messages
 * @throws InputError naming the place if the bytes are not well-formed
 */
export function parseBtf(bytes: Uint8Array, name: string, base?: Btf, origin = 0): Btf {
  return new Btf(bytes, name, base, origin);
}

/** A parsed BTF: types by id and by name. It decodes lazily and remembers; the bytes must not change. */
export class Btf {
  /** What the bytes are: `a.o: section .BTF`. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly base: Btf | undefined;
  readonly littleEndian: boolean;
  readonly header: BtfHeader;
  readonly strings: BtfStrings;
  /** First id declared here rather than in the base; 1 without a base. */
  readonly firstId: number;
  /** One past the highest id. */
  readonly endId: number;
  /** The records of this BTF in the host's byte order, without the base's. */
  readonly table: TypeTable;
  readonly #cache: (BtfType | undefined)[] = [];
  readonly #names: { whole?: NameIndex; essential?: NameIndex } = {};
  #pointerSize: number | undefined;

  constructor(bytes: Uint8Array, name: string, base?: Btf, origin = 0) {
    this.name = name;
    this.bytes = bytes;
    this.base = base;
    this.header = readHeader(bytes, name, origin);
    this.littleEndian = this.header.littleEndian;
    const { strings, types } = this.header;
    const stringBytes = bytes.subarray(strings.offset, strings.offset + strings.size);
    checkStringSection(stringBytes, name, origin + strings.offset, base !== undefined);
    this.strings = new BtfStrings(stringBytes, name, base?.strings);
    this.firstId = base ? base.endId : 1;
    const words = hostWords(bytes.subarray(types.offset, types.offset + types.size), this.littleEndian);
    const starts = indexRecords(words, name, origin + types.offset, this.firstId);
    this.endId = this.firstId + starts.length;
    this.table = { words, starts, firstId: this.firstId, endId: this.endId, base: base?.table };
    const place = { name, origin: origin + types.offset, describe: (id: number) => this.describe(id) };
    checkReferences(this.table, this.strings.end, place);
    checkCycles(this.table, place);
  }

  /** Number of ids, `void` and the base's included. */
  get length(): number {
    return this.endId;
  }

  /** Word index of a type's record in the table that declares it. */
  #locate(id: number): { readonly owner: Btf; readonly at: number } {
    let owner: Btf = this;
    while (id < owner.firstId && owner.base) owner = owner.base;
    const at = owner.table.starts[id - owner.firstId];
    if (at === undefined) {
      throw new InputError(
        'btf-type-id',
        `${this.name}: there is no type ${id}; the ids are 0 to ${this.endId - 1}`,
      );
    }
    return { owner, at };
  }

  /** A type's kind, without decoding the type. */
  kind(id: BtfTypeId): BtfType['kind'] {
    if (id === 0) return 'void';
    const { owner, at } = this.#locate(id);
    return BTF_KIND_BY_ID[(owner.table.words[at + 1]! >>> 24) & 0x1f]!;
  }

  /** A type's name, without decoding the type; empty if it has none. */
  nameOf(id: BtfTypeId): string {
    if (id === 0) return 'void';
    const { owner, at } = this.#locate(id);
    return owner.strings.get(owner.table.words[at]!, `the name of type ${id}`);
  }

  /** The type with that id. @throws InputError if there is none */
  type(id: BtfTypeId): BtfType {
    if (id === 0) return { kind: 'void' };
    if (id < this.firstId && this.base) return this.base.type(id);
    const index = id - this.firstId;
    const known = this.#cache[index];
    if (known) return known;
    const { at } = this.#locate(id);
    const type = decodeType(this.table.words, at, this.strings, id);
    this.#cache[index] = type;
    return type;
  }

  /** The type with that id, which must be of that kind. */
  typeOf<K extends BtfKind>(id: BtfTypeId, kind: K): BtfTypeOf<K> {
    const type = this.type(id);
    if (type.kind !== kind) {
      throw new InputError(
        'btf-kind',
        `${this.name}: ${this.describe(id)} is not a ${BTF_KINDS[kind].label}`,
      );
    }
    return type as BtfTypeOf<K>;
  }

  /** The ids declared here, in order; the base's are not among them. */
  *ids(): Generator<BtfTypeId> {
    for (let id = this.firstId; id < this.endId; id++) yield id as BtfTypeId;
  }

  /** The ids of all types of that name and, if given, kind, in order; the base's first. */
  named(name: string, kind?: BtfKind): BtfTypeId[] {
    const found = this.base ? this.base.named(name, kind) : [];
    for (const id of this.nameIndex().find(name)) {
      if (kind === undefined || this.kind(id) === kind) found.push(id);
    }
    return found;
  }

  /** The first type of that name and kind. */
  find(name: string, kind?: BtfKind): BtfTypeId | undefined {
    const inBase = this.base?.find(name, kind);
    if (inBase !== undefined) return inBase;
    return this.nameIndex()
      .find(name)
      .find((id) => kind === undefined || this.kind(id) === kind);
  }

  /** The index of this BTF's own names, without the base's; made on first use. */
  nameIndex(mode: 'whole' | 'essential' = 'whole'): NameIndex {
    let index = this.#names[mode];
    if (!index) {
      index = new NameIndex(this.table, this.strings, mode);
      this.#names[mode] = index;
    }
    return index;
  }

  /** Bytes of a pointer on the machine that the types are of, by the size of `long`; 8 where that is not declared. */
  get pointerSize(): number {
    if (this.base) return this.base.pointerSize;
    if (this.#pointerSize === undefined) {
      const long = ['long unsigned int', 'unsigned long', 'long int', 'long']
        .map((name) => this.find(name, 'int'))
        .find((id) => id !== undefined);
      const type = long === undefined ? undefined : this.type(long);
      this.#pointerSize = type?.kind === 'int' && type.size === 4 ? 4 : 8;
    }
    return this.#pointerSize;
  }

  /** A type in words, for messages: `type 12 (STRUCT task_struct)`. */
  describe(id: number): string {
    if (id === 0) return 'type 0 (void)';
    if (id >= this.endId) return `type ${id}`;
    const kind = this.kind(id as BtfTypeId);
    const name = this.nameOf(id as BtfTypeId);
    if (kind === 'void') throw new Bug(`type ${id} is void`);
    return `type ${id} (${BTF_KINDS[kind].label} ${name === '' ? '(anon)' : name})`;
  }
}

function checkStringSection(bytes: Uint8Array, name: string, origin: number, split: boolean): void {
  const last = bytes.length - 1;
  if (bytes.length === 0 ? split : bytes[last] === 0 && (split || bytes[0] === 0)) return;
  throw new InputError(
    'btf-strings',
    bytes.length === 0
      ? `${name}: the string section at offset ${origin} is empty; it must hold at least one zero byte`
      : bytes[last] !== 0
        ? `${name}: the string section at offset ${origin} does not end with a zero byte`
        : `${name}: the string section at offset ${origin} does not begin with an empty string`,
  );
}

/** Where each record starts, in words. */
function indexRecords(words: Uint32Array, name: string, origin: number, firstId: number): Uint32Array {
  const starts = new Uint32Array(Math.floor(words.length / 3));
  let count = 0;
  for (let at = 0; at < words.length; ) {
    const fail = (problem: string): never => {
      throw new InputError(
        'btf-type',
        `${name}: type ${firstId + count} at offset ${origin + at * 4} ${problem}`,
      );
    };
    if (at + 3 > words.length)
      return fail(`is cut off: the type section ends at offset ${origin + words.length * 4}`);
    const info = words[at + 1]!;
    const fact = FACTS[(info >>> 24) & 0x1f];
    if (!fact) return fail(`has the unknown kind ${(info >>> 24) & 0x1f}`);
    if (info & 0x60ff0000) return fail(`has unknown bits in its info word 0x${info.toString(16)}`);
    starts[count] = at;
    const next = at + 3 + fact.fixed + fact.element * (info & 0xffff);
    if (next > words.length) {
      return fail(
        `(${fact.label}${fact.element > 0 ? ` with ${info & 0xffff} elements` : ''}) needs ${(next - at) * 4} bytes, ` +
          `but the type section ends at offset ${origin + words.length * 4}`,
      );
    }
    at = next;
    count++;
  }
  return starts.slice(0, count);
}

/** Decodes the record at word `at`. */
function decodeType(words: Uint32Array, at: number, strings: BtfStrings, id: number): BtfType {
  const info = words[at + 1]!;
  const third = words[at + 2]!;
  const flag = info >>> 31 === 1;
  const vlen = info & 0xffff;
  const string = (offset: number): string => strings.get(offset, `a name in type ${id}`);
  const name = string(words[at]!);
  const kind = BTF_KIND_BY_ID[(info >>> 24) & 0x1f]!;
  const type = third as BtfTypeId;
  const elements = <T>(size: number, decode: (at: number) => T): T[] => {
    const list: T[] = new Array(vlen);
    for (let i = 0; i < vlen; i++) list[i] = decode(at + 3 + i * size);
    return list;
  };
  switch (kind) {
    case 'void':
      return { kind };
    case 'int': {
      const data = words[at + 3]!;
      return {
        kind,
        name,
        size: third,
        encoding: (data >>> 24) & 0xf,
        bits: data & 0xff,
        bitOffset: (data >>> 16) & 0xff,
      };
    }
    case 'ptr':
    case 'volatile':
    case 'const':
    case 'restrict':
      return { kind, type };
    case 'array':
      return {
        kind,
        type: words[at + 3] as BtfTypeId,
        indexType: words[at + 4] as BtfTypeId,
        length: words[at + 5]!,
      };
    case 'struct':
    case 'union':
      return {
        kind,
        name,
        size: third,
        bitfields: flag,
        members: elements(3, (m): BtfMember => {
          const offset = words[m + 2]!;
          return {
            name: string(words[m]!),
            type: words[m + 1] as BtfTypeId,
            bitOffset: flag ? offset & 0xffffff : offset,
            bitSize: flag ? offset >>> 24 : 0,
          };
        }),
      };
    case 'enum':
      return {
        kind,
        name,
        size: third,
        signed: flag,
        values: elements(2, (v) => ({
          name: string(words[v]!),
          value: flag ? words[v + 1]! | 0 : words[v + 1]!,
        })),
      };
    case 'enum64':
      return {
        kind,
        name,
        size: third,
        signed: flag,
        values: elements(3, (v) => {
          const raw = (BigInt(words[v + 2]!) << 32n) | BigInt(words[v + 1]!);
          return { name: string(words[v]!), value: flag ? BigInt.asIntN(64, raw) : raw };
        }),
      };
    case 'fwd':
      return { kind, name, of: flag ? 'union' : 'struct' };
    case 'typedef':
      return { kind, name, type };
    case 'func':
      return { kind, name, type, linkage: BTF_LINKAGES[vlen]! };
    case 'func_proto':
      return {
        kind,
        returns: type,
        params: elements(2, (p) => ({ name: string(words[p]!), type: words[p + 1] as BtfTypeId })),
      };
    case 'var':
      return { kind, name, type, linkage: BTF_LINKAGES[words[at + 3]!]! };
    case 'datasec':
      return {
        kind,
        name,
        size: third,
        vars: elements(3, (v) => ({
          type: words[v] as BtfTypeId,
          offset: words[v + 1]!,
          size: words[v + 2]!,
        })),
      };
    case 'float':
      return { kind, name, size: third };
    case 'decl_tag':
      return { kind, name, type, component: words[at + 3]! | 0, attribute: flag };
    case 'type_tag':
      return { kind, name, type, attribute: flag };
    default:
      throw new Bug(`type ${id} has the kind ${String(kind satisfies never)}`);
  }
}
