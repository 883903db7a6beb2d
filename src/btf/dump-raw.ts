/** Dumps types record by record, with the field names of `bpftool btf dump` (text) and `bpftool -j btf dump` (JSON). */
import type { Btf } from './btf.ts';
import { BTF_KINDS, INT_BOOL, INT_CHAR, INT_SIGNED } from './kinds.ts';
import type { BtfTypeId } from './type.ts';

export interface RawMember {
  readonly name: string;
  readonly type_id: number;
  readonly bits_offset: number;
  readonly bitfield_size?: number;
}
export interface RawValue {
  readonly name: string;
  readonly val: number | bigint;
}
export interface RawParam {
  readonly name: string;
  readonly type_id: number;
}
export interface RawVar {
  readonly type_id: number;
  readonly offset: number;
  readonly size: number;
}

/** A record as bpftool's JSON has it, in its order of keys. Which keys are there depends on the kind. */
export interface RawType {
  readonly id: number;
  /** `STRUCT`. */
  readonly kind: string;
  /** `(anon)` without a name. */
  readonly name: string;
  readonly encoding?: string;
  readonly size?: number;
  readonly bits_offset?: number;
  readonly nr_bits?: number;
  readonly type_id?: number;
  readonly index_type_id?: number;
  readonly nr_elems?: number;
  readonly ret_type_id?: number;
  readonly linkage?: string;
  readonly fwd_kind?: string;
  readonly component_idx?: number;
  readonly vlen?: number;
  readonly members?: readonly RawMember[];
  readonly values?: readonly RawValue[];
  readonly params?: readonly RawParam[];
  readonly vars?: readonly RawVar[];
}

const INT_ENCODINGS: Readonly<Record<number, string>> = {
  0: '(none)',
  [INT_SIGNED]: 'SIGNED',
  [INT_CHAR]: 'CHAR',
  [INT_BOOL]: 'BOOL',
};

function shown(name: string): string {
  return name === '' ? '(anon)' : name;
}

/** One type as a record. */
export function rawType(btf: Btf, id: BtfTypeId): RawType {
  const type = btf.type(id);
  const head = {
    id,
    kind: type.kind === 'void' ? 'UNKNOWN' : BTF_KINDS[type.kind].label,
    name: shown('name' in type ? type.name : ''),
  };
  switch (type.kind) {
    case 'void':
      return head;
    case 'int':
      return {
        ...head,
        size: type.size,
        bits_offset: type.bitOffset,
        nr_bits: type.bits,
        encoding: INT_ENCODINGS[type.encoding] ?? 'UNKN',
      };
    case 'ptr':
    case 'typedef':
    case 'volatile':
    case 'const':
    case 'restrict':
    case 'type_tag':
      return { ...head, type_id: type.type };
    case 'array':
      return { ...head, type_id: type.type, index_type_id: type.indexType, nr_elems: type.length };
    case 'struct':
    case 'union':
      return {
        ...head,
        size: type.size,
        vlen: type.members.length,
        members: type.members.map((member) => ({
          name: shown(member.name),
          type_id: member.type,
          bits_offset: member.bitOffset,
          ...(member.bitSize > 0 ? { bitfield_size: member.bitSize } : {}),
        })),
      };
    case 'enum':
    case 'enum64':
      return {
        ...head,
        encoding: type.signed ? 'SIGNED' : 'UNSIGNED',
        size: type.size,
        vlen: type.values.length,
        values: type.values.map(({ name, value }) => ({ name: shown(name), val: value })),
      };
    case 'fwd':
      return { ...head, fwd_kind: type.of };
    case 'func':
    case 'var':
      return { ...head, type_id: type.type, linkage: type.linkage };
    case 'func_proto':
      return {
        ...head,
        ret_type_id: type.returns,
        vlen: type.params.length,
        params: type.params.map((param) => ({ name: shown(param.name), type_id: param.type })),
      };
    case 'datasec':
      return {
        ...head,
        size: type.size,
        vlen: type.vars.length,
        vars: type.vars.map(({ type: variable, offset, size }) => ({ type_id: variable, offset, size })),
      };
    case 'float':
      return { ...head, size: type.size };
    case 'decl_tag':
      return { ...head, type_id: type.type, component_idx: type.component };
  }
}

/** One type as text: a line, and a line for each of its parts. */
export function rawText(btf: Btf, id: BtfTypeId): string {
  const { id: _, kind, name, members, values, params, vars, ...fields } = rawType(btf, id);
  const type = btf.type(id);
  const pairs = Object.entries(fields).map(([key, value]) => `${key}=${value}`);
  // bpftool has a comma here, and only here.
  const separator = type.kind === 'var' ? ', ' : ' ';
  const lines = [
    [`[${id}] ${kind} '${name}'`, pairs.join(separator)].filter((part) => part !== '').join(' '),
  ];
  for (const member of members ?? []) {
    const width = member.bitfield_size === undefined ? '' : ` bitfield_size=${member.bitfield_size}`;
    lines.push(`\t'${member.name}' type_id=${member.type_id} bits_offset=${member.bits_offset}${width}`);
  }
  const suffix = type.kind === 'enum64' ? (type.signed ? 'LL' : 'ULL') : '';
  for (const value of values ?? []) lines.push(`\t'${value.name}' val=${value.val}${suffix}`);
  for (const param of params ?? []) lines.push(`\t'${param.name}' type_id=${param.type_id}`);
  for (const variable of vars ?? []) {
    const target = rawType(btf, variable.type_id as BtfTypeId);
    lines.push(
      `\ttype_id=${variable.type_id} offset=${variable.offset} size=${variable.size} (${target.kind} '${target.name}')`,
    );
  }
  return lines.join('\n');
}

/** All types that the BTF itself declares, as text. */
export function dumpRaw(btf: Btf): string {
  const out: string[] = [];
  for (const id of btf.ids()) out.push(rawText(btf, id), '\n');
  return out.join('');
}
