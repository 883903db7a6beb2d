/** The part of a C skeleton that shows an object's global variables. */
import { InputError } from '../../base/error.ts';
import { CDeclarations } from '../../btf/dump-c.ts';
import { alignOf, type Btf, type BtfTypeId, resolveType, trySizeOf } from '../../btf/index.ts';
import type { CMap, CObject } from './c-object.ts';

/** Largest alignment that is reckoned with: the compiler of the skeleton may be one for 32 bits. */
const MAX_ALIGN = 4;

/** A struct for each map of global data, laid out as its section is. */
export function dataStructs({ name, maps, btf }: CObject): string {
  if (!btf) return '';
  const declarations = new CDeclarations(btf);
  return maps.map((map) => dataStruct(name, map, btf, declarations)).join('');
}

function dataStruct(name: string, map: CMap, btf: Btf, declarations: CDeclarations): string {
  const { data, spec, variables } = map;
  if (data === undefined) return '';
  const lines: string[] = [];
  let at = 0;
  let pads = 0;
  for (const [i, variable] of (variables ?? []).entries()) {
    const { offset } = variable;
    if (at > offset) {
      throw new InputError(
        'cli-gen',
        `Something is wrong for ${spec.name}'s variable #${i}: need offset ${offset}, already at ${at}.`,
      );
    }
    const align = Math.min(alignOf(btf, variable.type), MAX_ALIGN);
    if (align <= 0) {
      throw new InputError(
        'cli-gen',
        `Failed to determine alignment of variable '${variable.name}': ${align}`,
      );
    }
    if (Math.ceil(at / align) * align !== offset) {
      lines.push(`\t\tchar __pad${pads++}[${offset - at}];\n`);
    }
    const style = { level: 2, strip: isStripped(map) };
    lines.push(`\t\t${declarations.declare(variable.type, variable.ident, style)};\n`);
    at = offset + variable.size;
  }
  return `\tstruct ${name}__${data} {\n${lines.join('')}\t} *${data};\n`;
}

/** A struct of pointers for each map of global data: where its variables are is known when the program runs. */
export function dataPointers({ name, maps, btf, edition }: CObject): string {
  if (!btf) return '';
  const declarations = new CDeclarations(btf);
  return maps
    .map((map) => {
      const { data, variables } = map;
      if (data === undefined || !variables || !hasPlaces(map)) return '';
      const lines = variables.map((variable) => {
        const type = declarations.declare(variable.type, '', { level: 2, strip: isStripped(map) });
        const text = needsTypeof(btf, variable.type) ? `${edition.typeof}(${type})` : type;
        return `\t\t${text} *${variable.name};\n`;
      });
      return `\tstruct ${name}__${data} {\n${lines.join('')}\t} ${data};\n`;
    })
    .join('');
}

/** Whether libbpf finds the places of its variables for a subskeleton: it does not look into an arena. */
export function hasPlaces({ spec }: CMap): boolean {
  return spec.type !== 'arena';
}

/** Variables of the kernel's configuration keep their qualifiers. */
function isStripped({ spec }: CMap): boolean {
  return spec.origin !== 'kconfig';
}

/** Arrays and pointers to functions have their names inside, where a `*` can't simply be put before them. */
function needsTypeof(btf: Btf, id: BtfTypeId): boolean {
  const type = resolveType(btf, id);
  return type.kind === 'array' || (type.kind === 'ptr' && btf.kind(type.type) === 'func_proto');
}

/** Assertions that each variable is as large for the compiler as it is in the object. */
export function sizeAssertions({ name, maps, btf }: CObject): string {
  if (!btf) return '';
  const lines = maps.flatMap(({ data, variables }) => {
    if (data === undefined) return [];
    return (variables ?? []).flatMap(({ type, ident }) => {
      const size = trySizeOf(btf, type);
      if (size === undefined) return [];
      return [
        `\t_Static_assert(sizeof(s->${data}->${ident}) == ${size}, "unexpected size of '${ident}'");\n`,
      ];
    });
  });
  return `__attribute__((unused)) static void
${name}__assert(struct ${name} *s __attribute__((unused)))
{
#ifdef __cplusplus
#define _Static_assert static_assert
#endif
${lines.join('')}#ifdef __cplusplus
#undef _Static_assert
#endif
}
`;
}
