/** What an object wants from the kernel: `.kconfig` values, `.ksyms` variables and functions. */
import { InputError } from '../base/error.ts';
import {
  alignOf,
  type Btf,
  type BtfTypeId,
  INT_BOOL,
  INT_CHAR,
  INT_SIGNED,
  resolveType,
  sizeOf,
} from '../btf/index.ts';
import { SECTION_INDEX, SYMBOL_BIND, SYMBOL_TYPE } from '../elf/index.ts';
import type { ObjectFile } from './object-file.ts';
import type { ExternSpec, KconfigShape } from './spec.ts';

type Kconfig = Extract<ExternSpec, { readonly kind: 'kconfig' }>;

/** Externs by name. Undefined symbols that no BTF describes are left out: a relocation against one is refused. */
export function parseExterns(object: ObjectFile): Map<string, ExternSpec> {
  const btf = object.rawBtf;
  const externs = new Map<string, ExternSpec>();
  if (!btf) return externs;
  const declared = declarations(btf);
  const kconfig: (Kconfig & { readonly align: number })[] = [];
  for (const symbol of object.elf.symbols) {
    if (symbol.section !== SECTION_INDEX.undef || symbol.name === '' || externs.has(symbol.name)) continue;
    if (symbol.type !== SYMBOL_TYPE.notype && symbol.type !== SYMBOL_TYPE.func) continue;
    const found = declared.get(symbol.name);
    if (!found) continue;
    const weak = symbol.bind === SYMBOL_BIND.weak;
    const { name } = symbol;
    const type = btf.type(found.type);
    if (found.section === '.kconfig' && type.kind === 'var') {
      const size = sizeOf(btf, type.type);
      const entry = {
        name,
        weak,
        kind: 'kconfig',
        size,
        offset: 0,
        ...kconfigShape(object, name, type.type),
      } as const;
      kconfig.push({ ...entry, align: alignOf(btf, type.type) });
      externs.set(name, entry);
    } else if (found.section === '.ksyms' && type.kind === 'func') {
      externs.set(name, { name, weak, kind: 'kfunc', type: type.type });
    } else if (found.section === '.ksyms' && type.kind === 'var') {
      const target = resolveType(btf, type.type);
      externs.set(name, { name, weak, kind: 'ksym', type: target.kind === 'void' ? undefined : type.type });
    }
  }
  // libbpf's order of the values in the map, which what a program's listing shows depends on.
  kconfig.sort((a, b) => b.align - a.align || a.size - b.size || (a.name < b.name ? -1 : 1));
  let end = 0;
  for (const { align, ...entry } of kconfig) {
    const offset = Math.ceil(end / align) * align;
    end = offset + entry.size;
    externs.set(entry.name, { ...entry, offset });
  }
  return externs;
}

/** The `.kconfig` map's value: how large it is. */
export function kconfigSize(externs: ReadonlyMap<string, ExternSpec>): number {
  let end = 0;
  for (const entry of externs.values()) {
    if (entry.kind === 'kconfig') end = Math.max(end, entry.offset + entry.size);
  }
  return end;
}

/** Extern variables and functions of the BTF, with the section that their DATASEC names. */
function declarations(btf: Btf): Map<string, { readonly section: string; readonly type: BtfTypeId }> {
  const found = new Map<string, { section: string; type: BtfTypeId }>();
  for (const id of btf.ids()) {
    if (btf.kind(id) !== 'datasec') continue;
    const section = btf.typeOf(id, 'datasec');
    if (section.name !== '.kconfig' && section.name !== '.ksyms') continue;
    for (const { type } of section.vars) found.set(btf.nameOf(type), { section: section.name, type });
  }
  return found;
}

function kconfigShape(
  object: ObjectFile,
  name: string,
  id: BtfTypeId,
): { readonly shape: KconfigShape; readonly signed: boolean } {
  const btf = object.rawBtf!;
  const type = resolveType(btf, id);
  if (type.kind === 'int' && [1, 2, 4, 8].includes(type.size)) {
    const signed = (type.encoding & INT_SIGNED) !== 0;
    if (type.encoding & INT_BOOL && type.size === 1) return { shape: 'bool', signed };
    const char = type.size === 1 && ((type.encoding & INT_CHAR) !== 0 || type.name === 'char');
    return { shape: char ? 'char' : 'int', signed };
  }
  if (type.kind === 'enum' && type.size === 4 && type.name === 'libbpf_tristate') {
    return { shape: 'tristate', signed: false };
  }
  if (type.kind === 'array') {
    const element = resolveType(btf, type.type);
    if (element.kind === 'int' && element.size === 1 && type.length > 0)
      return { shape: 'string', signed: false };
  }
  throw new InputError(
    'loader-kconfig',
    `${object.file}: section .kconfig: extern ${name} is a ${type.kind}; ` +
      `a configuration value is a bool, char, integer, enum libbpf_tristate or char array`,
  );
}
