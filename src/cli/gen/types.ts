/** C types as the TypeScript types that their values are read as; the rules are those of the loader's views. */
import {
  type Btf,
  type BtfComposite,
  type BtfTypeId,
  INT_BOOL,
  INT_CHAR,
  INT_SIGNED,
  resolveType,
  skipQualifiers,
} from '../../btf/index.ts';
import { isKept } from '../../loader/index.ts';

/** Typedefs of numbers in network order. */
const NETWORK: Readonly<Record<string, string>> = { __be16: 'number', __be32: 'string', __be64: 'bigint' };
/** Bytes of the largest integer that is a `number`. */
const NUMBER_SIZE = 4;

/** Writes types, and keeps the interfaces that they name. */
export class TypeScriptTypes {
  readonly #btf: Btf;
  readonly #names = new Map<BtfTypeId, string>();
  readonly #taken = new Set<string>();
  readonly #interfaces: string[] = [];

  /** @param taken names that the module uses already */
  constructor(btf: Btf, taken: Iterable<string>) {
    this.#btf = btf;
    this.#taken = new Set(taken);
  }

  /** The interfaces that the types named so far need, in the order of their use. */
  get interfaces(): readonly string[] {
    return this.#interfaces;
  }

  text(id: BtfTypeId): string {
    const btf = this.#btf;
    const at = skipQualifiers(btf, id);
    const type = btf.type(at);
    switch (type.kind) {
      case 'typedef':
        return NETWORK[type.name] ?? this.text(type.type);
      case 'int':
        if (type.encoding & INT_BOOL) return 'boolean';
        return type.size > NUMBER_SIZE ? 'bigint' : 'number';
      case 'enum':
      case 'enum64': {
        const names = type.values.map(({ name }) => `'${name}'`);
        return [...names, type.size > NUMBER_SIZE ? 'bigint' : 'number'].join(' | ');
      }
      case 'float':
        return 'number';
      case 'array':
        return this.#array(type.type);
      case 'struct':
      case 'union':
        if (type.name === 'in_addr' || type.name === 'in6_addr') return 'string';
        return type.name === '' ? this.#members(type, '  ') : this.#named(at, type);
      case 'var':
        return this.text(type.type);
      default:
        return 'bigint';
    }
  }

  #array(element: BtfTypeId): string {
    const btf = this.#btf;
    const type = resolveType(btf, element);
    if (type.kind === 'int' && type.size === 1 && !(type.encoding & INT_BOOL)) {
      const plain = btf.type(skipQualifiers(btf, element));
      const isChar = plain.kind === 'int' && ((type.encoding & INT_CHAR) !== 0 || type.name === 'char');
      if (isChar) return 'string | Uint8Array';
      if (!(type.encoding & INT_SIGNED)) return 'Uint8Array';
    }
    return arrayOf(this.text(element));
  }

  #named(id: BtfTypeId, type: BtfComposite): string {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const base = pascalCase(type.name);
    let name = base;
    for (let n = 2; this.#taken.has(name); n++) name = `${base}${n}`;
    this.#taken.add(name);
    this.#names.set(id, name);
    const place = this.#interfaces.push('') - 1;
    const body = this.#members(type, '');
    this.#interfaces[place] =
      `/** \`${type.kind} ${type.name}\`, ${type.size} bytes. */\nexport interface ${name} ${body}\n`;
    return name;
  }

  #members(type: BtfComposite, indent: string): string {
    const lines = this.#lines(type, `${indent}  `);
    return lines.length === 0 ? 'Readonly<Record<string, never>>' : `{\n${lines.join('')}${indent}}`;
  }

  /** What stands in an anonymous struct stands among the outer members. */
  #lines(type: BtfComposite, indent: string): string[] {
    return type.members.flatMap(({ name, type: id }) => {
      const inner = resolveType(this.#btf, id);
      const composite = inner.kind === 'struct' || inner.kind === 'union';
      if (name === '') return composite ? this.#lines(inner, indent) : [];
      if (composite && isKept(inner.name)) return [];
      return [`${indent}${name}: ${this.text(id)};\n`];
    });
  }
}

/** An array that is not to be changed in place. */
export function arrayOf(type: string): string {
  return /^\w+$/.test(type) ? `readonly ${type}[]` : `readonly (${type})[]`;
}

/** `rule_key` as `RuleKey`. */
export function pascalCase(name: string): string {
  const joined = name
    .split(/[^A-Za-z0-9]+/)
    .filter((part) => part !== '')
    .map((part) => part[0]!.toUpperCase() + part.slice(1))
    .join('');
  return /^[0-9]/.test(joined) || joined === '' ? `_${joined}` : joined;
}
