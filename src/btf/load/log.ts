/** What Linux writes while it checks a BTF, line by line. @see kernel/bpf/btf.c, __btf_verifier_log_type and behind it */
import { BTF_KINDS, INT_BOOL, INT_CHAR, INT_SIGNED } from '../kinds.ts';
import type { BtfSource, RawType } from './source.ts';

const ENCODINGS: Readonly<Record<number, string>> = {
  0: '(none)',
  [INT_SIGNED]: 'SIGNED',
  [INT_CHAR]: 'CHAR',
  [INT_BOOL]: 'BOOL',
};

/** Offset of a member in bits, and its size where its struct says sizes. */
export function memberPlace(source: BtfSource, type: RawType, index: number): { bits: number; size: number } {
  const word = source.extra(type, 3 * index + 2);
  return type.flag ? { bits: word & 0xff_ffff, size: word >>> 24 } : { bits: word, size: 0 };
}

export class BtfLog {
  readonly #source: BtfSource;
  readonly #wanted: boolean;
  #text = '';

  /** @param wanted whether anything is written at all */
  constructor(source: BtfSource, wanted: boolean) {
    this.#source = source;
    this.#wanted = wanted;
  }

  get text(): string {
    return this.#text;
  }

  write(text: string): void {
    if (this.#wanted) this.#text += text;
  }

  header(): void {
    if (!this.#wanted) return;
    const { magic, version, flags, length, types, strings } = this.#source.header;
    this.#text +=
      `magic: 0x${magic.toString(16)}\nversion: ${version}\nflags: 0x${flags.toString(16)}\nhdr_len: ${length}\n` +
      `type_off: ${types.offset}\ntype_len: ${types.size}\nstr_off: ${strings.offset}\nstr_len: ${strings.size}\n` +
      `btf_total_size: ${this.#source.bytes.length}\n`;
  }

  /** The type with what its kind tells of it. @param problem what is wrong with it */
  type(type: RawType, problem?: string): void {
    if (this.#wanted) this.#line(`${this.#head(type)} ${this.#details(type)}`, problem);
  }

  /** The type's kind and name alone. */
  basic(type: RawType, problem: string): void {
    if (this.#wanted) this.#line(this.#head(type), problem);
  }

  /** @param shown the id of its type, where that is not the one it has */
  member(type: RawType, index: number, problem?: string, shown?: number): void {
    if (!this.#wanted) return;
    const source = this.#source;
    const { bits, size } = memberPlace(source, type, index);
    const name = source.shown(source.extra(type, 3 * index));
    const bitfield = type.flag ? ` bitfield_size=${size}` : '';
    const id = shown ?? source.extra(type, 3 * index + 1);
    this.#line(`\t${name} type_id=${id}${bitfield} bits_offset=${bits}`, problem);
  }

  /** A section's variable. */
  variable(type: RawType, index: number, problem?: string): void {
    if (!this.#wanted) return;
    const [id, offset, size] = [0, 1, 2].map((word) => this.#source.extra(type, 3 * index + word));
    this.#line(`\t type_id=${id} offset=${offset} size=${size}`, problem);
  }

  #line(text: string, problem?: string): void {
    this.#text += problem === undefined ? `${text}\n` : `${text} ${problem}\n`;
  }

  #head({ id, kind, name }: RawType): string {
    const label = kind === 'void' ? 'UNKNOWN' : BTF_KINDS[kind].label;
    return `[${id}] ${label} ${this.#source.shown(name)}`;
  }

  #details(type: RawType): string {
    const source = this.#source;
    switch (type.kind) {
      case 'int': {
        const data = source.extra(type, 0);
        const encoding = ENCODINGS[(data >>> 24) & 0xf] ?? 'UNKN';
        return `size=${type.third} bits_offset=${(data >>> 16) & 0xff} nr_bits=${data & 0xff} encoding=${encoding}`;
      }
      case 'array':
        return `type_id=${source.extra(type, 0)} index_type_id=${source.extra(type, 1)} nr_elems=${source.extra(type, 2)}`;
      case 'struct':
      case 'union':
      case 'enum':
      case 'enum64':
      case 'datasec':
        return `size=${type.third} vlen=${type.vlen}`;
      case 'float':
        return `size=${type.third}`;
      case 'fwd':
        return type.flag ? 'union' : 'struct';
      case 'var':
        return `type_id=${type.third} linkage=${source.extra(type, 0)}`;
      case 'decl_tag':
        return `type=${type.third} component_idx=${source.extra(type, 0) | 0}`;
      case 'func_proto':
        return `return=${type.third} args=(${this.#arguments(type)})`;
      default:
        return `type_id=${type.third}`;
    }
  }

  #arguments(type: RawType): string {
    if (type.vlen === 0) return 'void';
    const last = type.vlen - 1;
    return Array.from({ length: type.vlen }, (_, i) => {
      const id = this.#source.extra(type, 2 * i + 1);
      if (i === last && id === 0) return 'vararg';
      return `${id} ${this.#source.shown(this.#source.extra(type, 2 * i))}`;
    }).join(', ');
  }
}
