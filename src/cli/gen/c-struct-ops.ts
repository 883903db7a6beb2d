/** The part of a C skeleton that shows tables of functions (`struct_ops`) before they are loaded. */
import { InputError } from '../../base/error.ts';
import { CDeclarations } from '../../btf/dump-c.ts';
import { type Btf, type BtfTypeId, resolve, resolveType, trySizeOf } from '../../btf/index.ts';
import type { CMap, CObject } from './c-object.ts';

const SCALARS: readonly string[] = ['int', 'float', 'enum', 'enum64'];
/** Bytes of a pointer in a BPF object. */
const POINTER = 8;

/** The tables of functions that have a shadow. */
function tables({ edition, maps, btf }: CObject): readonly CMap[] {
  return edition.shadows && btf ? maps.filter(({ spec }) => spec.structOps !== undefined) : [];
}

/** Structs of the members that can be set: scalars, and functions as the programs that they are. */
export function shadowStructs(object: CObject): string {
  const found = tables(object);
  if (found.length === 0) return '';
  const structs = found.map((map) => shadowStruct(object.name, map, object.btf!));
  return `\tstruct {\n${structs.join('')}\t} struct_ops;\n`;
}

/** Where the shadows begin once the object is open. */
export function shadowPointers(object: CObject): string {
  return tables(object)
    .map(
      ({ ident }) =>
        `\tobj->struct_ops.${ident} = (__typeof__(obj->struct_ops.${ident}))\n` +
        `\t\tbpf_map__initial_value(obj->maps.${ident}, NULL);\n\n`,
    )
    .join('');
}

function shadowStruct(name: string, { ident, spec }: CMap, btf: Btf): string {
  const { type, typeName } = spec.structOps!;
  const struct = btf.typeOf(type, 'struct');
  const declarations = new CDeclarations(btf);
  const lines: string[] = [];
  let at = 0;
  for (const [i, member] of struct.members.entries()) {
    const offset = Math.floor(member.bitOffset / 8);
    if (at < offset) lines.push(`char __padding_${i}[${offset - at}]`);
    const id = resolve(btf, member.type);
    if (isFunctionPointer(btf, id)) {
      lines.push(`struct bpf_program *${member.name}`);
      at = offset + POINTER;
      continue;
    }
    const size = trySizeOf(btf, id);
    if (size === undefined) {
      throw new InputError(
        'cli-gen',
        `Failed to resolve size of ${member.name}: ${btf.describe(id)} has none`,
      );
    }
    const scalar = SCALARS.includes(btf.kind(id));
    lines.push(
      scalar ? declarations.declare(id, member.name, { level: 3 }) : `char __unsupported_${i}[${size}]`,
    );
    at = offset + size;
  }
  if (at < struct.size) lines.push(`char __padding_end[${struct.size - at}]`);
  const body = lines.map((line) => `\t\t\t${line};\n`).join('');
  return `\t\tstruct ${name}__${ident}__${typeName} {\n${body}\t\t} *${ident};\n`;
}

function isFunctionPointer(btf: Btf, id: BtfTypeId): boolean {
  const type = btf.type(id);
  return type.kind === 'ptr' && resolveType(btf, type.type).kind === 'func_proto';
}
